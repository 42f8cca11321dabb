//! Families of models: what a model folder gives, what it needs and how much it computes, by the kind that its `config.json` names.
//!
//! Whatever goes over all models (`ossicle models`, `ossicle bench network`, `ossicle-sim plan`) asks here. A new family is a module of this
//! folder and a line in [`FAMILIES`].
//!
//! ```no_run
//! use ossicle::families::{self, Options, Workload};
//! use ossicle_kernels::simd::Isa;
//!
//! let model = ossicle::models::find("yamnet")?;
//! let (family, info) = families::of(&model)?;
//! println!("{} gives {}", info.name, family.gives(&info));
//! let (options, workload) = (Options { isa: Isa::detect(), threads: 1 }, Workload::default());
//! println!("{} bytes", family.memory(&model, options, &workload)?.total());
//! for phase in family.job(&model, options, &workload)?.phases {
//!     println!("{}: {} multiplications, {} times", phase.name, phase.work.multiplications(), phase.runs);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audiogen;
mod classes;
mod clip;
mod encodec;
mod error;
mod exercise;
mod hibari;
mod job;
mod kokoro;
mod minilm;
mod needs;
mod network;
mod spectral;
mod t5;
mod vits;
mod whisper;
mod whisper_events;
mod yamnet;

use std::path::{Path, PathBuf};

use ossicle_models::folder;

pub use ossicle_models::Options;

pub use error::FamilyError;
pub use exercise::Exercise;
pub use job::{Job, Phase, Workload};
pub use needs::Needs;

use crate::embed::{self, EmbedError, Images, TextSource};
use crate::models::{self, ModelInfo};

/// All families.
pub static FAMILIES: [&dyn Family; 14] = [
    &whisper::Whisper,
    &yamnet::Yamnet,
    &classes::Classes,
    &whisper_events::WhisperEvents,
    &network::Network,
    &clip::Clip,
    &minilm::MiniLm,
    &hibari::Hibari,
    &kokoro::Kokoro,
    &vits::Vits,
    &audiogen::Audiogen,
    &encodec::Encodec,
    &spectral::Spectral,
    &t5::T5,
];

/// What there is to know of the models of one kind.
pub trait Family: Sync {
    /// The kind, as `config.json` names it.
    fn kind(&self) -> &'static str;

    /// What a model gives, in a few words, such as "a voice" or "521 sounds".
    fn gives(&self, info: &ModelInfo) -> String;

    /// What else is worth a line in the description of a model: names and values. Here labels, if there are any.
    fn details(&self, info: &ModelInfo) -> Vec<(&'static str, String)> {
        let labels = || ("classes", format!("{}, by name in labels.txt", info.num_labels));
        (info.num_labels > 0).then(labels).into_iter().collect()
    }

    /// Other model folders that a model needs, in its own or elsewhere.
    ///
    /// # Errors
    /// It cannot be told.
    fn parts(&self, _: &Path) -> Result<Vec<PathBuf>, FamilyError> {
        Ok(vec![])
    }

    /// What a model needs for a workload, without the program.
    ///
    /// # Errors
    /// The folder cannot be used, or the workload is none for it.
    fn memory(&self, model: &Path, options: Options, workload: &Workload) -> Result<Needs, FamilyError>;

    /// Opens a model as its own command does, which checks all that it uses.
    ///
    /// # Errors
    /// The folder cannot be used.
    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError>;

    /// How much a model computes for a workload.
    ///
    /// # Errors
    /// As [`memory`](Self::memory).
    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError>;

    /// Graphs that run by themselves, by name; the first is the one that is meant when none is named.
    fn graphs(&self) -> &'static [&'static str];

    /// A graph of [`graphs`](Self::graphs), ready to run on values that stand for its input. `tokens` is the length of a text, if it reads one.
    ///
    /// # Errors
    /// The folder cannot be used, or has no such graph.
    fn exercise(&self, model: &Path, graph: &str, options: Options, tokens: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError>;

    /// What makes vectors of images, if the model has that.
    ///
    /// # Errors
    /// The folder cannot be used, or needs more memory than allowed.
    fn images(&self, _model: &Path, _options: embed::Options) -> Result<Option<Images>, EmbedError> {
        Ok(None)
    }

    /// What makes vectors of texts, if the model has that.
    ///
    /// # Errors
    /// As [`images`](Self::images).
    fn texts(&self, _model: &Path, _options: embed::Options) -> Result<Option<TextSource>, EmbedError> {
        Ok(None)
    }

    /// Whether it labels images only by words that are given to it.
    fn labels_by_words_only(&self) -> bool {
        false
    }
}

/// The family of a kind.
pub fn named(kind: &str) -> Option<&'static dyn Family> {
    FAMILIES.into_iter().find(|family| family.kind() == kind)
}

/// The family of a model folder, and what its files say.
///
/// # Errors
/// [`FamilyError::Model`] if `config.json` cannot be read, [`FamilyError::Kind`] if the family is not known.
pub fn of(model: &Path) -> Result<(&'static dyn Family, ModelInfo), FamilyError> {
    let info = models::info(model)?;
    match named(&info.kind) {
        Some(family) => Ok((family, info)),
        None => Err(FamilyError::Kind { path: model.to_owned(), kind: info.kind }),
    }
}

/// Compares every file of a model folder with `SHA256SUMS`, those of its parts too, and opens the model.
///
/// # Errors
/// A file is not as recorded, or the model cannot be used.
pub fn verify(model: &Path, options: Options) -> Result<(), FamilyError> {
    let (family, _) = of(model)?;
    folder::verify(model)?;
    family.parts(model)?.iter().try_for_each(|part| folder::verify(part))?;
    family.check(model, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_of_one_family() {
        for family in FAMILIES {
            assert!(named(family.kind()).is_some_and(|found| found.kind() == family.kind()), "{}", family.kind());
            assert_eq!(FAMILIES.iter().filter(|other| other.kind() == family.kind()).count(), 1, "{}", family.kind());
        }
        assert!(named("dance").is_none());
    }
}
