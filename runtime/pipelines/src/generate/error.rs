use std::fmt;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use ossicle_text::TokenizerError;

/// Why no sound can be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum GenerateError {
    /// A model folder is at fault.
    Folder(FolderError),
    /// A graph cannot be built or run.
    Graph(GraphError),
    /// A tokenizer cannot be used.
    Tokenizer {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },
    /// Parts of a model that do not fit each other.
    Parts {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A description that cannot be followed.
    Description(String),
    /// A setting outside of its range.
    Setting(String),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::Tokenizer { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Parts { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Description(problem) | Self::Setting(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for GenerateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their texts are this error's.
            Self::Folder(error) => error.source(),
            Self::Graph(error) => error.source(),
            Self::Tokenizer { source, .. } => source.source(),
            _ => None,
        }
    }
}

impl From<FolderError> for GenerateError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for GenerateError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            error => Self::Graph(error),
        }
    }
}
