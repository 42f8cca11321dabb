//! What a trace was made of, found again on this machine.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ossicle::models::{self, ModelError};
use ossicle::replay::{self, PIPELINES, Pipeline, ReplayError};
use ossicle::trace::{self, DigestError};
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Options;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::NUMERICS_VERSION;
use ossicle_trace::{Header, Tap};
use serde_json::Value;

/// A recording, a model and the options of one run.
#[derive(Clone, Debug)]
pub struct Subject {
    input: PathBuf,
    raw_rate: Option<u32>,
    model: PathBuf,
    beside: Vec<PathBuf>,
    pipeline: &'static dyn Pipeline,
    settings: Value,
}

/// Why a run cannot be repeated.
#[derive(Debug)]
pub enum SubjectError {
    /// A pipeline that is not known here.
    Pipeline(String),
    /// Another numerics contract.
    Numerics(u32),
    /// Settings that are not known here.
    Settings(serde_json::Error),
    /// A file cannot be read.
    Digest(DigestError),
    /// The trace names a model by something else than a folder's name.
    ModelName(String),
    /// This is not the traced recording.
    OtherInput {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The traced file's name.
        name: String,
        /// Its SHA-256.
        traced: String,
    },
    /// This is not the traced model.
    OtherModel {
        /// The folder.
        path: PathBuf,
        /// The first file that differs.
        file: String,
        /// The traced model's name.
        name: String,
    },
    /// Not as many models beside the traced one as the trace names.
    Beside {
        /// How many were given.
        given: usize,
        /// The traced ones' names.
        traced: Vec<String>,
    },
    /// More models beside the traced one than its pipeline takes.
    TooManyBeside {
        /// How many the trace names.
        traced: usize,
        /// How many there may be.
        most: usize,
    },
    /// There is no such model.
    Model(ModelError),
    /// It cannot be done again.
    Replay(ReplayError),
}

impl std::fmt::Display for SubjectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pipeline(name) => {
                let known = PIPELINES.map(Pipeline::name);
                write!(f, "a trace of {name:?}: this program repeats {known:?}: use the version that wrote it")
            }
            Self::Numerics(version) => {
                write!(
                    f,
                    "computed by numerics version {version}: this program computes by {NUMERICS_VERSION}: use the version that wrote it"
                )
            }
            Self::Settings(error) => write!(f, "settings: {error}: use the version that wrote the trace"),
            Self::ModelName(name) => {
                write!(f, "the trace names a path as its model: {name:?}: name the model's folder with --model or --beside")
            }
            Self::Digest(error) => write!(f, "cannot read: {error}: name a readable file"),
            Self::OtherInput { path, found, name, traced } => {
                let path = path.display();
                write!(f, "another recording than the traced one: {path} has SHA-256 {found}: give {name}, which has {traced}")
            }
            Self::OtherModel { path, file, name } => {
                write!(
                    f,
                    "another model than the traced {name}: {} differs in {file}: give the same folder with --model or --beside",
                    path.display()
                )
            }
            Self::Beside { given, traced } if traced.is_empty() => {
                write!(f, "--beside: the trace has no models beside its own, not {given}: leave --beside out")
            }
            Self::Beside { given, traced } => {
                let one = if traced.len() == 1 { "a model" } else { "models" };
                write!(f, "--beside: {given} given for {one} beside the traced one: give {} in this order", traced.join(", "))
            }
            Self::TooManyBeside { traced, most } => {
                write!(f, "a trace with {traced} models beside its own, where {most} can be: use the version that wrote it")
            }
            Self::Model(error) => write!(f, "{error}: or name the traced model's folder with --model or --beside"),
            Self::Replay(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SubjectError {}

impl From<ModelError> for SubjectError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<DigestError> for SubjectError {
    fn from(error: DigestError) -> Self {
        Self::Digest(error)
    }
}

impl From<ReplayError> for SubjectError {
    fn from(error: ReplayError) -> Self {
        Self::Replay(error)
    }
}

impl Subject {
    /// A recording to be transcribed with the model of that name, or at that path.
    ///
    /// # Errors
    /// [`SubjectError::Model`] if there is none.
    pub fn new(input: &Path, model: &str, options: &TranscribeOptions) -> Result<Self, SubjectError> {
        Self::with(input, model, trace::TRANSCRIBE, serde_json::to_value(options).map_err(SubjectError::Settings)?)
    }

    /// A recording or another input, the pipeline of that name that takes it, and the settings.
    ///
    /// # Errors
    /// As for [`new`](Subject::new); [`SubjectError::Pipeline`] or [`SubjectError::Settings`] if these are not known.
    pub fn with(input: &Path, model: &str, pipeline: &str, settings: Value) -> Result<Self, SubjectError> {
        let pipeline = pipeline_of(pipeline, &settings)?;
        Ok(Self { input: input.to_owned(), raw_rate: None, model: models::find(model)?, beside: vec![], pipeline, settings })
    }

    /// The same with models beside it: classes of one's own for a detection, a head on the encoder for a transcription.
    ///
    /// # Errors
    /// [`SubjectError::Model`] if there is none of such a name.
    pub fn beside(mut self, names: &[impl AsRef<str>]) -> Result<Self, SubjectError> {
        self.beside = names.iter().map(|name| models::find(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// What `header` describes, with the recording at `input`, the model at `model`, or the one of the traced name, and likewise those beside it.
    ///
    /// # Errors
    /// If the trace cannot be repeated by this version, or recording or model are not the traced ones.
    pub fn of(header: &Header, input: &Path, model: Option<&str>, beside: &[String]) -> Result<Self, SubjectError> {
        let pipeline = pipeline_of(&header.pipeline, &header.settings)?;
        if header.numerics != NUMERICS_VERSION {
            return Err(SubjectError::Numerics(header.numerics));
        }
        let found = trace::input(input, None)?.sha256;
        if let (Some(found), Some(traced)) = (found, header.input.sha256.clone())
            && found != traced
        {
            return Err(SubjectError::OtherInput { path: input.to_owned(), found, name: header.input.name.clone(), traced });
        }
        let most = pipeline.most_beside();
        if header.beside.len() > most {
            return Err(SubjectError::TooManyBeside { traced: header.beside.len(), most });
        }
        if !beside.is_empty() && beside.len() != header.beside.len() {
            return Err(SubjectError::Beside {
                given: beside.len(),
                traced: header.beside.iter().map(|model| model.name.clone()).collect(),
            });
        }
        let name = model.map_or_else(|| plain(&header.model.name), Ok)?;
        let others = match beside {
            [] => header.beside.iter().map(|model| plain(&model.name)).collect::<Result<Vec<_>, _>>()?,
            given => given.iter().map(String::as_str).collect(),
        };
        let subject = Self { raw_rate: header.input.raw_rate, ..Self::with(input, name, pipeline.name(), header.settings.clone())? }
            .beside(&others)?;
        same(&header.model, &subject.model_files()?, &subject.model)?;
        for ((traced, found), path) in header.beside.iter().zip(subject.beside_files()?).zip(&subject.beside) {
            same(traced, &found, path)?;
        }
        Ok(subject)
    }

    /// The header of a trace of this on an instruction set.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn header(&self, isa: Isa, threads: usize) -> Result<Header, SubjectError> {
        let input = trace::input(&self.input, self.raw_rate)?;
        let header = trace::of(self.pipeline.name(), input, self.model_files()?, self.settings.clone(), Options { isa, threads });
        Ok(Header { beside: self.beside_files()?, ..header })
    }

    fn beside_files(&self) -> Result<Vec<ossicle_trace::Model>, DigestError> {
        self.beside.iter().map(|path| trace::events(path)).collect()
    }

    fn model_files(&self) -> Result<ossicle_trace::Model, DigestError> {
        self.pipeline.model(&self.model)
    }

    /// Does it, handing every tensor to `tap`, until the end or until `stop` says so.
    ///
    /// # Errors
    /// If input or model cannot be read, or the network fails.
    pub fn run(&self, isa: Isa, threads: usize, tap: Arc<dyn Tap>, stop: &dyn Fn() -> bool) -> Result<(), SubjectError> {
        let options = ossicle_models::Options { isa, threads };
        let Self { input, raw_rate, model, beside, pipeline, settings } = self;
        Ok(pipeline.repeat(&replay::Run { input, raw_rate: *raw_rate, model, beside, settings, options, tap, stop })?)
    }
}

/// The pipeline of that name, if its settings can be read.
fn pipeline_of(name: &str, settings: &Value) -> Result<&'static dyn Pipeline, SubjectError> {
    let pipeline = replay::named(name).ok_or_else(|| SubjectError::Pipeline(name.to_owned()))?;
    pipeline.check(settings).map_err(SubjectError::Settings)?;
    Ok(pipeline)
}

/// A folder's name, if it is one: a trace may come from anybody, and must not choose which files are read.
fn plain(name: &str) -> Result<&str, SubjectError> {
    let mut components = Path::new(name).components();
    let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if one && !name.contains(['/', '\\']) { Ok(name) } else { Err(SubjectError::ModelName(name.to_owned())) }
}

/// Refuses a model that is not the traced one.
fn same(traced: &ossicle_trace::Model, found: &ossicle_trace::Model, path: &Path) -> Result<(), SubjectError> {
    match traced.files.keys().chain(found.files.keys()).find(|&name| traced.files.get(name) != found.files.get(name)) {
        Some(file) => Err(SubjectError::OtherModel { path: path.to_owned(), file: file.clone(), name: traced.name.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_no_names() {
        assert_eq!(plain("whisper-tiny.en").ok(), Some("whisper-tiny.en"));
        for path in ["", ".", "..", "/", "/etc", "../model", "a/b", "a/", "./a", "a\\b"] {
            assert!(matches!(plain(path), Err(SubjectError::ModelName(name)) if name == path), "{path}");
        }
    }
}
