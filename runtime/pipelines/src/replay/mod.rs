//! What traces are of, and how it is done again: each pipeline that writes traces, by the name that they have for it.
//!
//! `ossicle-sim replay` asks here. A new pipeline is a module of this folder and a line in [`PIPELINES`].

mod detect;
mod embed;
mod error;
mod generate;
mod label;
mod speak;
mod transcribe;

use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::Options;
use ossicle_trace::{Model, Tap};
use serde_json::Value;

pub use error::ReplayError;

use crate::audio::{AudioError, AudioReader};
use crate::source::{SampleSource, SourceError};
use crate::trace::{self, DigestError};

/// All pipelines that write traces.
pub static PIPELINES: [&dyn Pipeline; 6] =
    [&transcribe::Transcribe, &detect::Detect, &label::Label, &embed::Embed, &speak::Speak, &generate::Generate];

/// A pipeline that writes traces.
pub trait Pipeline: Debug + Sync {
    /// Its name in traces, which is that of its command.
    fn name(&self) -> &'static str;

    /// Files of its model's folder that bits depend on.
    fn files(&self) -> &'static [&'static str];

    /// Its model as traces name it: the digests of [`files`](Self::files), and of what else bits depend on.
    ///
    /// # Errors
    /// If a file cannot be read.
    fn model(&self, folder: &Path) -> Result<Model, DigestError> {
        trace::model_of(folder, self.files())
    }

    /// How many models may run beside its own.
    fn most_beside(&self) -> usize {
        0
    }

    /// Whether the settings of a trace are those of this version.
    ///
    /// # Errors
    /// If they are not.
    fn check(&self, settings: &Value) -> serde_json::Result<()>;

    /// Does again what a trace is of, until the end or until it is enough.
    ///
    /// # Errors
    /// The input or a model cannot be used.
    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError>;
}

/// The pipeline of that name.
pub fn named(name: &str) -> Option<&'static dyn Pipeline> {
    PIPELINES.into_iter().find(|pipeline| pipeline.name() == name)
}

/// What is done again, and how.
pub struct Run<'a> {
    /// The recording or another input.
    pub input: &'a Path,
    /// Samples per second, if it has no header.
    pub raw_rate: Option<u32>,
    /// The model's folder.
    pub model: &'a Path,
    /// Folders of the models beside it.
    pub beside: &'a [PathBuf],
    /// Settings, as the trace has them.
    pub settings: &'a Value,
    /// How to compute.
    pub options: Options,
    /// Gets every tensor.
    pub tap: Arc<dyn Tap>,
    /// Says when it is enough.
    pub stop: &'a dyn Fn() -> bool,
}

impl Run<'_> {
    /// The recording, which ends when it is enough.
    fn source(&self) -> Result<Until<'_>, ReplayError> {
        let reader = match self.raw_rate {
            None => AudioReader::open_with(self.input, self.options.isa),
            Some(rate) => File::open(self.input).map_err(AudioError::Io).and_then(|file| AudioReader::raw(file, rate, self.options.isa)),
        };
        Ok(Until { reader: reader.map_err(|error| ReplayError::Audio(self.input.to_owned(), error))?, stop: self.stop })
    }

    /// The input, if it is a text.
    fn text(&self) -> Result<String, ReplayError> {
        std::fs::read_to_string(self.input).map_err(|source| {
            let error = DigestError { path: self.input.to_owned(), source };
            ReplayError::Run(format!("cannot read: {error}: name a readable file").into())
        })
    }

    /// The settings.
    fn settings<S: serde::de::DeserializeOwned>(&self) -> Result<S, ReplayError> {
        serde_json::from_value(self.settings.clone()).map_err(ReplayError::Settings)
    }

    /// An error of the model.
    fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> ReplayError {
        ReplayError::Model(self.model.to_owned(), Box::new(error))
    }
}

/// A recording that ends when somebody has seen enough.
struct Until<'a> {
    reader: AudioReader,
    stop: &'a dyn Fn() -> bool,
}

impl SampleSource for Until<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        if (self.stop)() { Ok(0) } else { SampleSource::read(&mut self.reader, out) }
    }
}

/// Settings of pipelines that have none; what is not known is passed over no more than elsewhere.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// Whether settings can be read as `S`.
fn readable<S: serde::de::DeserializeOwned>(settings: &Value) -> serde_json::Result<()> {
    serde_json::from_value::<S>(settings.clone()).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_of_one_pipeline_and_settings_are_checked() {
        for pipeline in PIPELINES {
            assert_eq!(PIPELINES.iter().filter(|other| other.name() == pipeline.name()).count(), 1);
            assert!(named(pipeline.name()).is_some() && pipeline.files().contains(&"model.safetensors"));
            assert!(pipeline.check(&json!({"dance": 1})).is_err(), "{}", pipeline.name());
        }
        assert!(named("dance").is_none());
    }
}
