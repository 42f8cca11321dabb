//! What can go wrong in a transcription.

use std::fmt;

use super::engine::EngineError;
use super::specials::SpecialsError;
use super::tokenizer::TokenizerError;
use crate::source::SourceError;

/// Why a transcription stopped.
#[derive(Debug)]
pub enum TranscribeError {
    /// The samples could not be read.
    Source(SourceError),
    /// A sample is NaN or infinite.
    NotFinite {
        /// Its position in the recording.
        sample: u64,
    },
    /// The network failed.
    Engine(EngineError),
    /// The vocabulary cannot be read.
    Tokenizer(TokenizerError),
    /// The model's settings do not fit together.
    Specials(SpecialsError),
    /// `generation_config.json` cannot be read.
    GenerationConfig(serde_json::Error),
    /// The model's mel bands have no filters here.
    MelBands {
        /// Bands of the model.
        bands: usize,
    },
    /// An option does not fit the model.
    Option(OptionError),
}

/// Why an option does not fit the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// A setting of the voice activity detector is out of range.
    Vad {
        /// What is wrong, and what would be right.
        wrong: &'static str,
    },
    /// The model knows English only.
    EnglishOnly {
        /// The language asked for.
        language: String,
    },
    /// The model cannot translate.
    CannotTranslate,
    /// No such language, or not in this model.
    UnknownLanguage {
        /// The language asked for.
        language: String,
    },
    /// Window lengths are 1 to 30 s.
    Window {
        /// The length asked for.
        seconds: u32,
    },
    /// The model names no alignment heads.
    NoAlignmentHeads,
    /// The model has no token for text before the window.
    NoPromptToken,
    /// Too many hotwords.
    Hotwords {
        /// Hotwords given.
        words: usize,
        /// Most there may be.
        most: usize,
    },
    /// A hotword is too long.
    LongHotword {
        /// How it begins.
        begins: String,
        /// Most characters of one.
        most: usize,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnglishOnly { language } => {
                write!(f, "language {language}: this model knows English only; use a multilingual one such as whisper-base")
            }
            Self::CannotTranslate => {
                f.write_str("task translate: this model knows English only; use a multilingual one such as whisper-base")
            }
            Self::UnknownLanguage { language } => {
                write!(f, "language {language}: not a language of this model; use a code such as en, or auto")
            }
            Self::Vad { wrong } => write!(f, "voice activity detection: {wrong}"),
            Self::Window { seconds } => write!(f, "window {seconds}: a window is 1 to 30 seconds long"),
            Self::NoAlignmentHeads => f.write_str("word timestamps: the model's generation_config.json names no alignment_heads"),
            Self::NoPromptToken => f.write_str("initial prompt: the model has no <|startofprev|> token"),
            Self::Hotwords { words, most } => {
                write!(f, "hotwords: {words} of them: give at most {most} words or names")
            }
            Self::LongHotword { begins, most } => {
                write!(f, "hotwords: {begins:?}... is too long: give words or names of at most {most} characters")
            }
        }
    }
}

impl std::error::Error for OptionError {}

impl fmt::Display for TranscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::NotFinite { sample } => write!(f, "sample {sample} is not a finite number"),
            Self::Engine(error) => error.fmt(f),
            Self::Tokenizer(error) => error.fmt(f),
            Self::Specials(error) => error.fmt(f),
            Self::GenerationConfig(error) => write!(f, "generation_config.json: {error}"),
            Self::MelBands { bands } => write!(f, "the model has {bands} mel bands; filters exist for 80 and 128"),
            Self::Option(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TranscribeError {}

impl From<EngineError> for TranscribeError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<TokenizerError> for TranscribeError {
    fn from(error: TokenizerError) -> Self {
        Self::Tokenizer(error)
    }
}

impl From<SpecialsError> for TranscribeError {
    fn from(error: SpecialsError) -> Self {
        Self::Specials(error)
    }
}

impl From<OptionError> for TranscribeError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}
