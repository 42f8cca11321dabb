//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;

use crate::source::SourceError;

/// Labels that cannot be given.
#[derive(Debug)]
pub enum LabelError {
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no image that can be read.
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// `preprocessor_config.json` cannot be used.
    Preprocessor {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The network is for the other kind of input.
    Kind {
        /// What it labels: "images" or "recordings".
        labels: &'static str,
    },
    /// The network's scores are NaN or infinite.
    NotFinite,
    /// The recording could not be read on.
    Source(SourceError),
    /// The model folder is at fault.
    Folder(FolderError),
    /// The network needs more memory than allowed, or refused to run: a bug of ours.
    Graph(GraphError),
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Image { path, problem } | Self::Preprocessor { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Kind { labels } => write!(f, "the model labels {labels}"),
            Self::NotFinite => f.write_str("the network's scores are no finite numbers"),
            Self::Source(error) => error.fmt(f),
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LabelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Source(error) => Some(error),
            Self::Folder(error) => Some(error),
            Self::Graph(error) => Some(error),
            _ => None,
        }
    }
}

impl From<FolderError> for LabelError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for LabelError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            other => Self::Graph(other),
        }
    }
}

impl From<SourceError> for LabelError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}
