//! A layer on rows of u8.

use std::sync::Arc;

use ossicle_kernels::simd::LANES;

use crate::folder::{FolderError, LinearSpan, ModelFolder};

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
        let mut sums = vec![0; outputs.next_multiple_of(LANES)];
        folder.linear(&layer).weights.sums(&mut sums);
        Ok(Self { layer, sums: sums.into() })
    }
}
