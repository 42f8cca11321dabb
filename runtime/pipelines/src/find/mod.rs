//! Sounds and pictures by words, and pictures by a picture.
//!
//! A [`TextEncoder`] makes a vector of a sentence; [`SoundWords`] says how near it is to each of YAMNet's classes, by several phrases for each.
//! [`Captions`] go the other way: from what is heard to the vector of what would be said of it. Pictures are looked for by the vectors that
//! [`crate::embed`] makes of them and of texts. An [`Index`] keeps what was heard and seen in folders.

mod captions;
mod entry;
mod error;
mod finder;
mod index;
mod lock;
mod sounds;
mod table;
mod text;
mod vector;
mod words;

pub use captions::Captions;
pub use entry::{Entry, Kind};
pub use error::{FindError, IndexError};
pub use finder::{Finder, Hit, Window};
pub use index::{Files, Taken, Update};
pub use lock::Lock;
pub use sounds::{Row, SoundRows};
pub use table::{Index, PictureModel, SoundModels};
pub use text::TextEncoder;
pub use vector::{ByteVector, PictureQuery};
pub use words::{Query, SoundWords};

/// What identifies a model folder: the digest of its SHA256SUMS.
///
/// # Errors
/// [`FindError::Folder`] if it has none.
pub fn identity(folder: &std::path::Path) -> Result<String, FindError> {
    use ossicle_models::folder::FolderError;
    use sha2::{Digest, Sha256};
    let path = folder.join("SHA256SUMS");
    let sums = std::fs::read(&path).map_err(|source| FolderError::Read { path, source })?;
    Ok(ossicle_trace::hex(&Sha256::digest(&sums)))
}

/// The sentence encoder that is used unless another is named.
pub const MODEL: &str = "minilm";
