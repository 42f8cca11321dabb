//! What may be wrong with a file.

use std::fmt;

/// Why a file of phonemes cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// It cannot be read.
    Read(std::io::Error),
    /// It is something else.
    NotPhonemes,
    /// It ends too early.
    Cut,
    /// What it says of itself cannot be read.
    Head(String),
    /// Its network is not of the size it says.
    Net,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read: {error}"),
            Self::NotPhonemes => f.write_str("no file of phonemes"),
            Self::Cut => f.write_str("ends too early"),
            Self::Head(error) => write!(f, "its head cannot be read: {error}"),
            Self::Net => f.write_str("its network is not of the size it says"),
        }
    }
}

impl std::error::Error for OpenError {}
