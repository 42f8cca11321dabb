//! Sounds by words: a sentence against the sounds that YAMNet knows.
//!
//! A [`TextEncoder`] makes a vector of a sentence; [`SoundWords`] says how near it is to each of YAMNet's classes, by several phrases for each.
//! [`Captions`] go the other way: from what is heard to the vector of what would be said of it.

mod captions;
mod error;
mod index;
mod sounds;
mod table;
mod text;
mod words;

pub use captions::{Captions, Described};
pub use error::FindError;
pub use index::{Finder, Hit, Update, Window};
pub use sounds::{Row, SoundRows};
pub use table::{Entry, Index, IndexError, Lock, Models, Widths};
pub use text::TextEncoder;
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

/// The model that is used unless another is named.
pub const MODEL: &str = "minilm";
