//! Sounds by words: a sentence against the sounds that YAMNet knows.
//!
//! A [`TextEncoder`] makes a vector of a sentence; [`SoundWords`] says how near it is to each of YAMNet's classes, by several phrases for each.

mod error;
mod text;
mod words;

pub use error::FindError;
pub use text::TextEncoder;
pub use words::{Query, SoundWords};

/// The model that is used unless another is named.
pub const MODEL: &str = "minilm";
