//! A layer on rows of u8.

use std::sync::Arc;

use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder};

/// Where a layer's weights are that multiplies rows of u8, and the sums of its weights.
#[derive(Clone, Debug)]
pub(crate) struct UnsignedLinear {
    pub(crate) layer: LinearSpan,
    pub(crate) sums: Arc<[i32]>,
}

impl UnsignedLinear {
    /// A layer of the folder, as [`ModelFolder::linear_span`] finds it.
    pub(crate) fn new<C>(folder: &ModelFolder<C>, name: &str, outputs: usize, depth: usize, biased: bool) -> Result<Self, FolderError> {
        let layer = folder.linear_span(name, outputs, depth, biased)?;
        Ok(Self { sums: folder.weight_sums(name, &layer)?, layer })
    }
}
