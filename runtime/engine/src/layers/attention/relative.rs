//! What scores know of how far rows are apart.

use crate::weights::Span;
use ossicle_kernels::simd::LANES;

/// What attention in f32 knows of positions.
#[derive(Clone, Debug)]
pub enum Positions {
    /// Nothing.
    None,
    /// Keys and values of near distances.
    Relative(RelativePositions),
    /// What is added to the score of each head and distance.
    Bias {
        /// `[heads][2 * far + 1]`, from `-far` on, rounded up to whole vectors.
        bias: Span,
        /// The largest distance; larger ones count as it.
        far: usize,
    },
}

impl Positions {
    /// Distances that have keys and values.
    pub(super) fn distances(&self) -> usize {
        if let Self::Relative(relative) = self { RelativePositions::distances(relative.window) } else { 0 }
    }
}

/// Keys and values of distances (Shaw et al. 2018, "Self-attention with relative position representations"), the same for all heads. Rows that
/// are further apart than `window` have none.
#[derive(Clone, Debug)]
pub struct RelativePositions {
    /// `[head][distances]`: from `window` rows before to `window` rows after, rounded up to whole vectors.
    pub keys: Span,
    /// `[distances][head]`
    pub values: Span,
    /// Rows to each side.
    pub window: usize,
}

impl RelativePositions {
    /// Distances, rounded up to whole vectors.
    pub fn distances(window: usize) -> usize {
        (2 * window + 1).next_multiple_of(LANES)
    }

    /// The rows that row `row` of `rows` is near to, each with the place of its distance.
    pub(super) fn near(&self, row: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = row.saturating_sub(self.window);
        let place = self.window + first - row;
        (first..rows.min(row + self.window + 1)).zip(place..)
    }
}

/// Biases of head `h` of `bias`, by how far each row of `out` is from `row`.
pub(super) fn biases(bias: &[f32], h: usize, far: usize, row: usize, out: &mut [f32]) {
    let (distances, far) = (RelativePositions::distances(far), far.cast_signed());
    for (other, out) in out.iter_mut().enumerate() {
        let distance = (other.cast_signed() - row.cast_signed()).clamp(-far, far);
        *out = bias[h * distances + (distance + far).cast_unsigned()];
    }
}
