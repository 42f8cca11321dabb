//! What makes vectors, of whatever family.

use std::fmt;
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::network::InputShape;
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_text::Cleaning;
use ossicle_trace::Tap;

use super::Similarity;

/// A graph that turns images into vectors.
pub trait ImageTower: fmt::Debug + Send {
    /// The vector of an image `[height][width][channels]`, of length 1.
    ///
    /// # Errors
    /// The graph refuses the image's size: a bug of ours.
    fn vector(&mut self, image: &[f32]) -> Result<&[f32], GraphError>;

    /// The instruction set in use.
    fn isa(&self) -> Isa;

    /// Memory in use.
    fn memory_plan(&self) -> MemoryPlan;

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>);
}

/// An image tower, and what goes into it and comes out.
#[derive(Debug)]
pub struct Images {
    /// The tower.
    pub tower: Box<dyn ImageTower>,
    /// How its vectors and those of texts become scores.
    pub similarity: Similarity,
    /// Values of a vector.
    pub width: usize,
    /// Size of an image.
    pub input: InputShape,
}

/// A graph that turns texts into vectors.
pub trait TextTower: fmt::Debug + Send {
    /// The vector of a text's tokens, of length 1.
    ///
    /// # Errors
    /// Too many tokens, or one is beyond the vocabulary.
    fn vector(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError>;

    /// Memory in use.
    fn memory_plan(&self) -> MemoryPlan;

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>);

    /// Digest of the tensors that vectors depend on, in lower-case hexadecimal, of encoders that others refer to by it.
    fn sha256(&self) -> Option<String> {
        None
    }
}

/// A text tower, and what goes into it and comes out.
#[derive(Debug)]
pub struct Texts {
    /// The tower.
    pub tower: Box<dyn TextTower>,
    /// The text of its `tokenizer.json`.
    pub tokenizer: String,
    /// What is done to a text first.
    pub cleaning: Cleaning,
    /// Most tokens of a text that are read, those around it included.
    pub most_tokens: usize,
    /// Values of a vector.
    pub width: usize,
}

/// What a family's models make vectors of.
#[derive(Debug)]
pub enum TextSource {
    /// Texts, by themselves.
    Own(Texts),
    /// Texts, by the encoder of another folder, whose vectors these values are taken from.
    Other(Box<super::TextEncoder>, Vec<f32>),
}
