//! Opens a checkpoint folder of any supported kind.

use std::path::Path;

use crate::sources::safetensors;
use crate::yamnet::Yamnet;
use crate::{Error, Source, ct2_model, hf, yamnet};

/// What a folder holds.
#[derive(Clone, Debug)]
pub enum Checkpoint {
    /// A Whisper, from CTranslate2 or Hugging Face.
    Whisper(Box<Source>),
    /// A YAMNet, from ONNX.
    Yamnet(Box<Yamnet>),
}

/// Opens a folder that holds a YAMNet as ONNX, or a Whisper as for [`open`].
///
/// # Errors
/// None of them is there, or what is there is malformed or unsupported.
pub fn open_any(folder: &Path) -> Result<Checkpoint, Error> {
    if folder.join(yamnet::GRAPH).is_file() {
        yamnet::open(folder).map(|source| Checkpoint::Yamnet(Box::new(source)))
    } else {
        open(folder).map(|source| Checkpoint::Whisper(Box::new(source)))
    }
}

/// Opens a folder that holds a CTranslate2 or Hugging Face Whisper checkpoint.
///
/// # Errors
/// Neither kind is there, or what is there is malformed or unsupported.
pub fn open(folder: &Path) -> Result<Source, Error> {
    if folder.join("model.bin").is_file() {
        ct2_model::open(folder)
    } else if folder.join(safetensors::SINGLE).is_file() || folder.join(safetensors::INDEX).is_file() {
        hf::open(folder)
    } else {
        std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        Err(Error::UnknownSource { path: folder.to_owned() })
    }
}
