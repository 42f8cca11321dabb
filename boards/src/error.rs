//! What can be wrong with a board.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no profile.
#[derive(Debug)]
pub enum BoardError {
    /// No built-in profile has this name.
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold a profile.
    Malformed {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong with it.
        problem: String,
    },
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } => {
                write!(f, "unknown board: {name}: give one of {}, or the path of a profile ending in .toml", known.join(", "))
            }
            Self::Read { path, source } => write!(f, "cannot read: {source}: {}: give the path of a board profile", path.display()),
            Self::Malformed { path, problem } => write!(f, "{problem}: {}: see docs/boards.md for the keys", path.display()),
        }
    }
}

impl std::error::Error for BoardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
