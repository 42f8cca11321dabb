use std::fmt;
use std::path::PathBuf;

use ossicle_frontend::vocoder::VocoderError;
use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;

/// Why nothing can be spoken.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpeakError {
    /// The model folder is at fault.
    Folder(FolderError),
    /// The network cannot be built or run.
    Graph(GraphError),
    /// Its frames do not become samples: a bug.
    Vocoder(VocoderError),
    /// `vocab.json` cannot be used.
    Symbols {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file that says how text is pronounced cannot be used.
    Phonemes {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The voice has no such file: it says phonemes only.
    NoText,
    /// The program that knows how the voice's texts are pronounced cannot be used.
    Espeak {
        /// What is wrong.
        problem: String,
    },
    /// A phoneme that the voice does not know.
    Phoneme {
        /// The phoneme.
        symbol: char,
        /// Characters before it.
        at: usize,
    },
    /// Voices that the model does not have, or a mixture that is none.
    Voices(String),
    /// No speed that can be spoken at.
    Speed(f32),
}

impl fmt::Display for SpeakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::Vocoder(error) => error.fmt(f),
            Self::Phonemes { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::NoText => f.write_str("this voice does not know how text is pronounced: give --phonemes"),
            Self::Espeak { problem } => write!(f, "this voice needs the program espeak-ng for texts: {problem}"),
            Self::Symbols { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Phoneme { symbol, at } => {
                write!(f, "{:?} (U+{:04X}), character {}, is no phoneme of this voice", symbol, u32::from(*symbol), at + 1)
            }
            Self::Voices(problem) => f.write_str(problem),
            Self::Speed(speed) => write!(f, "a speed of {speed}, 0.5 to 2 is possible"),
        }
    }
}

impl std::error::Error for SpeakError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(error) => error.source(),
            Self::Graph(error) => error.source(),
            _ => None,
        }
    }
}

impl From<GraphError> for SpeakError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            error => Self::Graph(error),
        }
    }
}

impl From<VocoderError> for SpeakError {
    fn from(error: VocoderError) -> Self {
        Self::Vocoder(error)
    }
}
