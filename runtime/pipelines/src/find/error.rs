use std::fmt;
use std::io;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use ossicle_text::TokenizerError;

use super::Kind;

/// Why sounds cannot be found by words.
#[derive(Debug)]
#[non_exhaustive]
pub enum FindError {
    /// The model folder is at fault.
    Folder(FolderError),
    /// The tokenizer of a model folder is.
    Tokenizer {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: TokenizerError,
    },
    /// The encoder cannot be built or run.
    Graph(GraphError),
    /// The model has no phrases for sounds, or not for these labels.
    Sounds {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A text that cannot be looked for.
    Text {
        /// The text.
        text: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Tokenizer { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Graph(error) => error.fmt(f),
            Self::Sounds { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Text { text, problem } => write!(f, "{text:?}: {problem}"),
        }
    }
}

impl std::error::Error for FindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(error) => error.source(),
            Self::Tokenizer { source, .. } => source.source(),
            Self::Graph(error) => error.source(),
            Self::Sounds { .. } | Self::Text { .. } => None,
        }
    }
}

impl From<FolderError> for FindError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for FindError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

/// An index cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexError {
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not an index, or damaged.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Other models made what it has of a kind.
    Models {
        /// The file.
        path: PathBuf,
        /// The kind.
        kind: Kind,
    },
    /// Another process is writing it.
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Malformed { path, problem } => write!(f, "{}: {problem}: make it anew with --rebuild", path.display()),
            Self::Models { path, kind } => {
                let (path, kind) = (path.display(), kind.name());
                write!(f, "{path}: other models made this index's {kind}s: use those, or make them anew with --rebuild --kind {kind}s")
            }
            Self::Locked { path } => write!(f, "{}: another process is writing this index: wait for it", path.display()),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
