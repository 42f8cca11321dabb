//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;

use super::near::listed;
use crate::find::FindError;
use crate::source::SourceError;

/// Settings that cannot be used.
#[derive(Debug)]
pub enum SettingsError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML, or has a key that is not known.
    Toml {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        problem: String,
    },
    /// A value is out of range.
    Value {
        /// The key, with the table it is in.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The model has no such label.
    Label {
        /// The class that asks for it.
        class: String,
        /// The label.
        label: String,
        /// Labels that are like it.
        near: Vec<String>,
    },
    /// The model scores no such label for whole patches beside a head.
    Near {
        /// The class that asks for it.
        class: String,
        /// As what: `near` or `unless`.
        key: &'static str,
        /// The label.
        label: String,
        /// Labels that are like it.
        near: Vec<String>,
    },
    /// There is no such class.
    Class {
        /// Its name.
        class: String,
        /// Classes and labels that are like it.
        near: Vec<String>,
    },
    /// A class is asked for twice.
    Twice {
        /// Its name.
        class: String,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Toml { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Value { key, problem } => write!(f, "{key}: {problem}"),
            Self::Label { class, label, near } => {
                write!(f, "classes.{class}: no label {label:?}: labels.txt of the model lists them{}", listed(near))
            }
            Self::Near { class, key, label, near } => {
                write!(f, "classes.{class}.{key}: no label {label:?}: near_labels.txt of the model lists them{}", listed(near))
            }
            Self::Class { class, near } => {
                write!(f, "no class {class:?}: give one of the settings, or a label of the model{}", listed(near))
            }
            Self::Twice { class } => write!(f, "class {class:?} twice: name it once"),
        }
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A detector that cannot be opened or run.
#[derive(Debug)]
pub enum EventsError {
    /// The model folder is at fault.
    Folder(FolderError),
    /// The settings are.
    Settings(SettingsError),
    /// The recording cannot be read on.
    Source(SourceError),
    /// Sounds in words cannot be looked for.
    Find(FindError),
    /// A folder of classes, or a head, does not go with the model.
    Classes {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The hop is none that the detector takes.
    Hop {
        /// Frames asked for.
        frames: usize,
    },
    /// The model's head has a hop of its own.
    HeadHop {
        /// Frames asked for.
        frames: usize,
        /// The head's.
        only: usize,
    },
    /// The network refused to run: a bug of ours.
    Graph(GraphError),
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Settings(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::Find(error) => error.fmt(f),
            Self::Classes { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Hop { frames } => write!(f, "a hop of {frames} frames: give 2 to 96, an even number"),
            Self::HeadHop { frames, only } => write!(f, "a hop of {frames} frames: this model has a hop of {only} and scores in it"),
            Self::Graph(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EventsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their text is this error's.
            Self::Folder(error) => error.source(),
            Self::Settings(error) => error.source(),
            Self::Source(error) => error.source(),
            Self::Find(error) => error.source(),
            Self::Hop { .. } | Self::HeadHop { .. } | Self::Classes { .. } => None,
            Self::Graph(error) => error.source(),
        }
    }
}

impl From<FolderError> for EventsError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<SettingsError> for EventsError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<GraphError> for EventsError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            other => Self::Graph(other),
        }
    }
}

impl From<FindError> for EventsError {
    fn from(error: FindError) -> Self {
        Self::Find(error)
    }
}
