//! What can be wrong with a trace.

use std::fmt;
use std::io;

/// A trace that cannot be read.
#[derive(Debug)]
pub enum TraceError {
    /// Its bytes cannot be read.
    Io(io::Error),
    /// It is no trace.
    NotATrace,
    /// It was written in another format.
    Version {
        /// The format's version.
        found: u32,
    },
    /// It ends before its header does.
    NoHeader,
    /// Something in it makes no sense.
    Malformed {
        /// Bytes before it.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The header is not what this format's version says.
    Header(serde_json::Error),
    /// A checksum does not fit what comes before it: a byte was changed, or the key is another.
    Altered {
        /// Where the checksum stands.
        offset: u64,
        /// Whether it was made with a key.
        keyed: bool,
    },
    /// A key was given for a trace made without one.
    NotKeyed,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotATrace => f.write_str("not a trace"),
            Self::Version { found } => write!(f, "a trace of format {found}, this program reads format {}", crate::FORMAT_VERSION),
            Self::NoHeader => f.write_str("ends within its header"),
            Self::Malformed { offset, problem } => write!(f, "damaged at byte {offset}: {problem}"),
            Self::Header(error) => write!(f, "damaged header: {error}"),
            Self::Altered { offset, keyed: false } => write!(f, "altered or damaged before byte {offset}, where its checksum does not fit"),
            Self::Altered { offset, keyed: true } => {
                write!(f, "altered before byte {offset}, or made with another key: the checksum there does not fit")
            }
            Self::NotKeyed => f.write_str("made without a key, so no key can vouch for it"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}
