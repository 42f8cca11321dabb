//! What can go wrong.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;

use super::FAMILIES;
use crate::embed::EmbedError;
use crate::events::EventsError;
use crate::find::FindError;
use crate::generate::GenerateError;
use crate::label::LabelError;
use crate::models::ModelError;
use crate::speak::SpeakError;
use crate::whisper::transcriber::OpenError;

/// A model that cannot be described, planned or opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum FamilyError {
    /// Its `config.json` cannot be read.
    Model(ModelError),
    /// It is of a kind that is not known here.
    Kind {
        /// The model folder.
        path: PathBuf,
        /// The kind.
        kind: String,
    },
    /// Its folder is at fault.
    Folder(FolderError),
    /// Its graph cannot be built.
    Graph(GraphError),
    /// It is not made for such a workload.
    Workload(String),
    /// It has no such graph.
    Unknown {
        /// The name asked for.
        graph: String,
        /// Those that there are.
        graphs: &'static [&'static str],
    },
    /// What else can be wrong with a model of its kind.
    Other(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for FamilyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Kind { path, kind } => {
                let known: Vec<_> = FAMILIES.iter().map(|family| family.kind()).collect();
                write!(f, "{}: a model of kind {kind:?}, this version knows {}", path.display(), known.join(", "))
            }
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::Workload(problem) => f.write_str(problem),
            Self::Unknown { graph, graphs: [] } => {
                write!(f, "no graph {graph:?}: a model of this kind has none of its own")
            }
            Self::Unknown { graph, graphs } => write!(f, "no graph {graph:?}: give {}", graphs.join(" or ")),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl Error for FamilyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Their texts are this error's.
            Self::Model(error) => error.source(),
            Self::Folder(error) => error.source(),
            Self::Graph(error) => error.source(),
            Self::Other(error) => error.source(),
            Self::Kind { .. } | Self::Workload(_) | Self::Unknown { .. } => None,
        }
    }
}

impl From<ModelError> for FamilyError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<FolderError> for FamilyError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for FamilyError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Folder(error) => Self::Folder(error),
            error => Self::Graph(error),
        }
    }
}

/// Errors of pipelines, which have the folder's and the graph's among them.
macro_rules! pipelines {
    ($($error:ident),* $(,)?) => {
        $(impl From<$error> for FamilyError {
            fn from(error: $error) -> Self {
                match error {
                    $error::Folder(error) => Self::Folder(error),
                    $error::Graph(error) => error.into(),
                    error => Self::Other(Box::new(error)),
                }
            }
        })*
    };
}

pipelines! { EmbedError, EventsError, FindError, GenerateError, LabelError, OpenError, SpeakError }
