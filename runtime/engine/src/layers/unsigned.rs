//! A layer on rows of u8.

use std::sync::Arc;

use crate::weights::{FolderError, LinearSpan, Weights};

/// Where a layer's weights are that multiplies rows of u8, and the sums of its weights.
#[derive(Clone, Debug)]
pub struct UnsignedLinear {
    /// Weights of the linear layer.
    pub layer: LinearSpan,
    /// Sums of the weights of each output, which rows of u8 need.
    pub sums: Arc<[i32]>,
}

impl UnsignedLinear {
    /// A layer of the weights, as [`Weights::linear_span`] finds it.
    pub fn new(weights: &Weights, name: &str, outputs: usize, depth: usize, biased: bool) -> Result<Self, FolderError> {
        let layer = weights.linear_span(name, outputs, depth, biased)?;
        Ok(Self { sums: weights.weight_sums(name, &layer)?, layer })
    }
}
