//! Whole vectors, as the kernels want them.

use crate::pack;

/// Values of one vector: rows and channels are rounded up to whole ones.
pub(super) const LANES: usize = pack::BLOCK_ROWS;

/// Rows of `width` values, each with zeros up to a whole vector.
pub(super) fn padded(values: &[f32], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len().next_multiple_of(LANES));
    for row in values.chunks(width) {
        out.extend_from_slice(row);
        out.resize(out.len().next_multiple_of(LANES), 0.0);
    }
    out
}
