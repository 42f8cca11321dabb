use std::fmt;
use std::path::{Path, PathBuf};

use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use serde_json::Value;

use crate::ct2;

/// Why a source could not be read or a model folder could not be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, written or renamed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds no checkpoint this crate can read.
    UnknownSource {
        /// The folder.
        path: PathBuf,
    },
    /// A CTranslate2 `model.bin` breaks its format.
    Ct2 {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        source: ct2::ParseError,
    },
    /// A safetensors file breaks its format.
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// A PyTorch checkpoint is malformed, or calls for more than tensors.
    Pickle {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        reason: String,
    },
    /// An ONNX file is malformed, or holds another network than the one expected.
    Onnx {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        reason: String,
    },
    /// A JSON file is malformed, lacks a field or holds a value that cannot be right.
    Json {
        /// The file.
        path: PathBuf,
        /// Field and reason.
        reason: String,
    },
    /// A tensor is missing, has the wrong shape, or holds values that cannot be quantised.
    Tensor {
        /// The file or folder it belongs to.
        path: PathBuf,
        /// The tensor's name in that file.
        name: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// The checkpoint asks for something the runtime does not do.
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// What it is, and what would be right.
        what: String,
    },
    /// A tensor that was written holds what the runtime refuses.
    Weights(FolderError),
    /// The output folder exists and may not be replaced.
    Exists {
        /// The folder.
        path: PathBuf,
        /// True when it may not be replaced even by force: it is no model folder.
        foreign: bool,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn json(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Json { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn tensor(path: &Path, name: &str, problem: TensorProblem) -> Self {
        Self::Tensor { path: path.to_owned(), name: name.to_owned(), problem }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into() }
    }
}

/// Refuses a setting that has not the one value that the runtime knows.
pub(crate) fn only(path: &Path, name: &str, have: &Value, want: &Value) -> Result<(), Error> {
    if have == want { Ok(()) } else { Err(Error::unsupported(path, format!("{name} is {have}, {want} is possible"))) }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::UnknownSource { path } => write!(
                f,
                "{}: no checkpoint here: expected Whisper as model.bin (CTranslate2), model.safetensors or \
                 model.safetensors.index.json (Hugging Face), or YAMNet as model.onnx",
                path.display()
            ),
            Self::Ct2 { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Safetensors { path, reason }
            | Self::Pickle { path, reason }
            | Self::Json { path, reason }
            | Self::Onnx { path, reason } => {
                write!(f, "{}: {reason}", path.display())
            }
            Self::Tensor { path, name, problem } => write!(f, "{}: tensor {name}: {problem}", path.display()),
            Self::Unsupported { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Weights(error) => error.fmt(f),
            Self::Exists { path, foreign: false } => {
                write!(f, "{}: already exists (--force replaces it)", path.display())
            }
            Self::Exists { path, foreign: true } => {
                write!(f, "{}: exists and is not a model folder, so it is not replaced: choose another output folder", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Ct2 { source, .. } => Some(source),
            // Its text is this error's.
            Self::Weights(error) => error.source(),
            _ => None,
        }
    }
}

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TensorProblem {
    /// The checkpoint lacks it.
    Missing,
    /// Its shape does not follow from the configuration.
    Shape {
        /// What the configuration asks for.
        expected: Vec<usize>,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// Its elements are not f32, f16 or bf16.
    NotFloat(String),
    /// Its elements are not signed bytes.
    NotBytes(String),
    /// An element is NaN or infinite.
    NotFinite {
        /// Index of the element, row-major.
        index: usize,
    },
    /// The checkpoint holds it but the runtime's Whisper has no use for it.
    Unexpected,
    /// The output projection is not the token embedding: the runtime ties them.
    Untied,
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Shape { expected, found } => write!(f, "shape {found:?}, expected {expected:?}"),
            Self::NotFloat(found) => {
                write!(f, "holds {found}; quantised or integer weights cannot be read, export the model as float16 or float32")
            }
            Self::NotBytes(found) => write!(f, "holds {found}, signed bytes are expected"),
            Self::NotFinite { index } => write!(f, "element {index} is not finite"),
            Self::Unexpected => f.write_str("not part of Whisper as the runtime knows it"),
            Self::Untied => f.write_str("differs from the token embedding; Whisper's output projection is tied to it"),
        }
    }
}

/// Why the runtime does not take a folder, without the draft's path, which is gone when this is read.
pub(crate) fn refusal(error: GraphError) -> String {
    match error {
        GraphError::Folder(FolderError::Malformed { problem, .. }) => problem,
        GraphError::Folder(FolderError::Tensor { name, problem, .. }) => format!("tensor {name} {problem}"),
        other => other.to_string(),
    }
}
