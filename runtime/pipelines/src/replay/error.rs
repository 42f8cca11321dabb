//! What can go wrong.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::audio::AudioError;

/// What cannot be done again.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// Settings that are not those of this version.
    Settings(serde_json::Error),
    /// The recording cannot be read.
    Audio(PathBuf, AudioError),
    /// The run failed on its way.
    Run(Box<dyn Error + Send + Sync>),
    /// The model in this folder cannot be used, or the input in this file.
    Model(PathBuf, Box<dyn Error + Send + Sync>),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "settings: {error}: use the version that wrote the trace"),
            Self::Audio(path, error) => write!(f, "{error}: {}: {}", path.display(), error.remedy()),
            Self::Run(error) => error.fmt(f),
            Self::Model(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Their texts are this error's.
            Self::Settings(error) => error.source(),
            Self::Audio(_, error) => error.source(),
            Self::Run(error) | Self::Model(_, error) => error.source(),
        }
    }
}
