//! Softmax over scores in units of log2.

use crate::math::exp2_softmax;
use crate::simd::{LANES, Simd};

/// log2(255): added to every exponent, so that the largest probability becomes 255 without a multiplication.
const LOG2_255: f32 = 7.994_353_4;

/// The largest of the first `tokens` scores.
#[inline(always)]
fn largest<S: Simd>(s: S, scores: &[f32], tokens: usize) -> f32 {
    let mut largest = s.splat(f32::MIN);
    let (full, rest) = scores[..tokens].as_chunks::<LANES>();
    for x in full {
        largest = s.max(largest, s.load(x));
    }
    s.reduce_max(s.max(largest, s.load_partial(rest, f32::MIN)))
}

/// Probabilities times 255 of the largest, rounded; those beyond `tokens` are 0. Returns the sum of the unrounded ones, and of the rounded.
///
/// # Panics
/// If `scores` and `probs` are not equally long whole blocks that hold `tokens`.
#[inline(always)]
pub(super) fn softmax_u8<S: Simd>(s: S, scores: &mut [f32], tokens: usize, probs: &mut [u8]) -> (f32, i32) {
    let offset = s.splat(largest(s, scores, tokens) - LOG2_255);
    let (blocks, _) = scores.as_chunks_mut::<LANES>();
    let (probs, _) = probs.as_chunks_mut::<LANES>();
    assert_eq!(blocks.len(), probs.len(), "scores and probabilities differ");
    let full = tokens / LANES;
    let mut sum = s.splat(0.0);
    let mut rounded_sum = s.splat_i32(0);
    for (x, p) in blocks[..full].iter().zip(&mut *probs) {
        let power = exp2_softmax(s, s.sub(s.load(x), offset));
        let rounded = s.to_i32(power);
        sum = s.add(sum, power);
        rounded_sum = s.add_i32(rounded_sum, rounded);
        s.store_u8(rounded, p);
    }
    if let Some((x, p)) = blocks.get_mut(full).zip(probs.get_mut(full)) {
        let valid = tokens - full * LANES;
        let mut powers = [0.0; LANES];
        s.store(exp2_softmax(s, s.sub(s.load(x), offset)), &mut powers);
        powers[valid..].fill(0.0);
        let power = s.load(&powers);
        let rounded = s.to_i32(power);
        sum = s.add(sum, power);
        rounded_sum = s.add_i32(rounded_sum, rounded);
        s.store_u8(rounded, p);
    }
    let mut lanes = [0; LANES];
    s.store_i32(rounded_sum, &mut lanes);
    (s.reduce_add(sum), lanes.iter().sum())
}

/// Replaces scores by powers of two of their distance to the largest, those beyond `tokens` by 0, and returns the sum.
#[inline(always)]
pub(super) fn powers<S: Simd>(s: S, scores: &mut [f32], tokens: usize) -> f32 {
    let offset = s.splat(largest(s, scores, tokens));
    let (full, rest) = scores[..tokens].as_chunks_mut::<LANES>();
    let mut sum = s.splat(0.0);
    for x in full {
        let power = exp2_softmax(s, s.sub(s.load(x), offset));
        sum = s.add(sum, power);
        s.store(power, x);
    }
    if !rest.is_empty() {
        let power = exp2_softmax(s, s.sub(s.load_partial(rest, f32::MIN), offset));
        s.store_partial(power, rest);
        sum = s.add(sum, s.load_partial(rest, 0.0));
    }
    scores[tokens..].fill(0.0);
    s.reduce_add(sum)
}
