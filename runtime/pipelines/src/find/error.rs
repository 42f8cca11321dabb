use std::fmt;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use ossicle_text::TokenizerError;

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
