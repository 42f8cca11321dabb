use std::fmt;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use ossicle_text::TokenizerError;

use crate::label::LabelError;

/// Why there is no vector.
#[derive(Debug)]
pub enum EmbedError {
    /// The model folder cannot be used.
    Folder(FolderError),
    /// Its graph cannot be built or run.
    Graph(GraphError),
    /// Its `tokenizer.json` cannot be used.
    Tokenizer {
        /// The model folder.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },
    /// Its `preprocessor_config.json`, or an image, cannot be used.
    Label(LabelError),
    /// It is of a kind that encodes nothing of the sort.
    Kind {
        /// The model folder.
        path: PathBuf,
        /// Its kind.
        kind: String,
        /// What was to be encoded: "images" or "texts".
        what: &'static str,
    },
    /// The sentence encoder that a network's words were made with is not there, or another one is.
    TextModel {
        /// The network's folder.
        path: PathBuf,
        /// The encoder's name.
        name: String,
    },
    /// Labels were tuned for another model.
    Tuning {
        /// The model folder.
        path: PathBuf,
    },
    /// A vector is not finite.
    NotFinite {
        /// The model folder.
        path: PathBuf,
    },
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::Tokenizer { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Label(error) => error.fmt(f),
            Self::Kind { path, kind, what } => {
                write!(f, "{}: a model of kind {kind:?} has no vectors of {what}: give one of kind \"clip\"", path.display())
            }
            Self::TextModel { path, name } => {
                write!(
                    f,
                    "{}: the sentence encoder {name} that its words were made with is not next to it nor among the models",
                    path.display()
                )
            }
            Self::Tuning { path } => {
                write!(f, "{}: the labels were tuned for another model: name that one, or tune them again", path.display())
            }
            Self::NotFinite { path } => write!(f, "{}: a vector is not finite: make the model again", path.display()),
        }
    }
}

impl std::error::Error for EmbedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(error) => Some(error),
            Self::Graph(error) => Some(error),
            Self::Tokenizer { source, .. } => Some(source),
            Self::Label(error) => Some(error),
            Self::Kind { .. } | Self::TextModel { .. } | Self::Tuning { .. } | Self::NotFinite { .. } => None,
        }
    }
}

impl From<FolderError> for EmbedError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for EmbedError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            other => Self::Graph(other),
        }
    }
}

impl From<LabelError> for EmbedError {
    fn from(error: LabelError) -> Self {
        Self::Label(error)
    }
}
