//! What can go wrong between a model folder and its graphs.

use std::fmt;
use std::path::PathBuf;

/// A model folder that cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// A file is missing or cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing, or its type or shape is not the model's.
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file's SHA-256 is not the recorded one.
    Hash {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Malformed { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Tensor { path, name, problem } => write!(f, "{}: tensor {name}: {problem}", path.display()),
            Self::Hash { path } => write!(f, "{}: does not match its entry in SHA256SUMS; fetch or make the model again", path.display()),
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A graph that cannot be built or run.
#[derive(Debug)]
pub enum GraphError {
    /// The model folder is at fault.
    Folder(FolderError),
    /// The input has a size that the model does not take.
    Size {
        /// What was measured.
        what: &'static str,
        /// Its size.
        have: usize,
        /// The largest size, of which also any multiple named in `what` must hold.
        most: usize,
    },
    /// The buffers that would have to be made are larger than allowed.
    Memory {
        /// Their bytes.
        needed: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// A buffer that a graph or layer does not have, or not of that type: a bug of ours.
    Access {
        /// `input`, `output` or `scratch`.
        what: &'static str,
        /// Which one.
        index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A layer was given values that it does not take: a bug of ours.
    Layer(&'static str),
    /// tract refused to build or run a plan: a bug of ours.
    Plan(String),
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Size { what, have, most } => write!(f, "{what}: {have}, at most {most}"),
            Self::Memory { needed, most } => {
                write!(f, "buffers of {} MB, at most {} MB are allowed", needed.div_ceil(1_000_000), most / 1_000_000)
            }
            Self::Access { what, index, problem } => write!(f, "{what} {index}: {problem}"),
            Self::Layer(problem) => write!(f, "layer: {problem}"),
            Self::Plan(problem) => write!(f, "plan: {problem}"),
        }
    }
}

impl std::error::Error for GraphError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text is this error's.
            Self::Folder(error) => error.source(),
            _ => None,
        }
    }
}

impl From<FolderError> for GraphError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<tract_core::internal::TractError> for GraphError {
    fn from(error: tract_core::internal::TractError) -> Self {
        Self::Plan(format!("{error:#}"))
    }
}
