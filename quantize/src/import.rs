//! Opens a checkpoint folder of either supported kind.

use std::path::Path;

use crate::{Error, Source, ct2_model, hf};

/// Opens a folder that holds a CTranslate2 or Hugging Face Whisper checkpoint.
///
/// # Errors
/// Neither kind is there, or what is there is malformed or unsupported.
pub fn open(folder: &Path) -> Result<Source, Error> {
    if folder.join("model.bin").is_file() {
        ct2_model::open(folder)
    } else if folder.join(hf::SINGLE).is_file() || folder.join(hf::INDEX).is_file() {
        hf::open(folder)
    } else {
        std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        Err(Error::UnknownSource { path: folder.to_owned() })
    }
}
