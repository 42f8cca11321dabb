//! How much a model computes for what is asked of it.

use ossicle_models::Work;
use serde_json::Value;

/// Seconds of sound, unless another length is given.
const SECONDS: f64 = 3.0;

/// Tokens of a text, unless another length is given: a short sentence.
const TOKENS: usize = 16;

/// What is asked of a model. Each family reads what it knows and leaves the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Workload {
    /// Seconds of sound that is heard or made; 3 if not given.
    pub seconds: Option<f64>,
    /// Whether a Whisper's window is always 30 s.
    pub full_window: bool,
    /// Tokens of a text, those of a Whisper's transcript among them.
    pub tokens: Option<usize>,
    /// Tokens of a Whisper's prompt.
    pub prompt: Option<usize>,
    /// Whether memory is planned for word times too.
    pub words: bool,
}

impl Workload {
    /// Seconds of sound.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(SECONDS)
    }

    /// Tokens of a text for a model that reads no more than `most`.
    pub(super) fn text(&self, most: usize) -> Result<usize, super::FamilyError> {
        match self.tokens {
            Some(tokens) if !(1..=most).contains(&tokens) => {
                Err(super::FamilyError::Workload(format!("{tokens} tokens: 1 to {most} are possible")))
            }
            Some(tokens) => Ok(tokens),
            None => Ok(TOKENS.min(most)),
        }
    }
}

/// A part of what a model computes that is repeated as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name, such as "patch".
    pub name: &'static str,
    /// What one run is of, such as "0.96 s"; empty where the name says it.
    pub of: String,
    /// How often it runs for the workload.
    pub runs: f64,
    /// What one run computes in graphs.
    pub work: Work,
    /// Frames of 80 mel bands that one run computes beside that, by one thread.
    pub frames: f64,
    /// Logits that one run chooses among beside that, by one thread.
    pub logits: f64,
}

impl Phase {
    /// A phase of one run.
    pub fn new(name: &'static str, work: Work) -> Self {
        Self { name, of: String::new(), runs: 1.0, work, frames: 0.0, logits: 0.0 }
    }

    /// Log-mel features: so many frames of so many bands.
    pub(super) fn features(name: &'static str, frames: f64, bands: usize) -> Self {
        Self { frames: frames * bands as f64 / 80.0, ..Self::new(name, Work::default()) }
    }

    /// The same, for all of `seconds` one run `every` so many.
    #[must_use]
    pub(super) fn every(self, every: f64, seconds: f64) -> Self {
        self.times((seconds / every).ceil(), format!("every {} s", (every * 1e3).round() / 1e3))
    }

    /// The same, `runs` times, each of what `of` says.
    #[must_use]
    pub(super) fn times(self, runs: f64, of: impl Into<String>) -> Self {
        Self { runs, of: of.into(), ..self }
    }
}

/// All that a model computes for a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What sort of thing the workload is, such as "recording".
    pub what: &'static str,
    /// The workload in a few words.
    pub about: String,
    /// Its figures, by name.
    pub figures: Vec<(&'static str, Value)>,
    /// Seconds of sound that it is, if it is sound.
    pub seconds: Option<f64>,
    /// In the order in which they first run.
    pub phases: Vec<Phase>,
    /// What is computed beside and not counted; empty if that is nothing worth a word.
    pub without: &'static str,
}

impl Job {
    /// A workload that is no sound.
    pub(super) fn new(what: &'static str, about: impl Into<String>, phases: Vec<Phase>) -> Self {
        Self { what, about: about.into(), figures: vec![], seconds: None, phases, without: "" }
    }

    /// So many seconds of sound.
    pub(super) fn of_seconds(what: &'static str, seconds: f64, phases: Vec<Phase>) -> Self {
        Self { seconds: Some(seconds), ..Self::new(what, format!("{seconds} s"), phases) }
    }
}
