//! A checkpoint as read, and how its files are read.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::float::FloatModel;
use crate::generation::GenerationConfig;

/// Which file format a checkpoint came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CTranslate2: `model.bin` and `config.json`.
    CTranslate2,
    /// Hugging Face: `model.safetensors`, one file or several.
    HuggingFace,
}

impl Format {
    /// The format's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CTranslate2 => "CTranslate2",
            Self::HuggingFace => "Hugging Face safetensors",
        }
    }
}

/// A checkpoint: the float model and what decoding needs.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder it was read from.
    pub path: PathBuf,
    /// The file format.
    pub format: Format,
    /// All weights.
    pub model: FloatModel,
    /// Token ids and lists.
    pub generation: GenerationConfig,
    /// The text of `tokenizer.json`, as in the source.
    pub tokenizer: String,
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|e| Error::json(path, e.utf8_error()))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?).map_err(|e| Error::json(path, e))
}

/// The tokenizer's text, and the same parsed.
pub(crate) fn read_tokenizer(folder: &Path) -> Result<(PathBuf, String, Value), Error> {
    let path = folder.join("tokenizer.json");
    let text = read_text(&path)?;
    let value = serde_json::from_str(&text).map_err(|e| Error::json(&path, e))?;
    Ok((path, text, value))
}
