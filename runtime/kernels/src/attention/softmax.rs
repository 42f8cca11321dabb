//! Softmax over scores that a factor brings to units of log2.

use crate::math::exp2_softmax;
use crate::simd::{LANES, Simd};

/// log2(255): added to every exponent, so that the largest probability becomes 255 without a multiplication.
const LOG2_255: f32 = 7.994_353_4;

/// The largest of the first `tokens` scores.
#[inline(always)]
fn largest<S: Simd>(s: S, scores: &[f32], tokens: usize) -> f32 {
    let (full, rest) = scores[..tokens].as_chunks::<LANES>();
    let largest = s.max_of(full, s.splat(f32::MIN), |x| x);
    s.reduce_max(s.max(largest, s.load_partial(rest, f32::MIN)))
}

/// Probabilities times 255 of the largest, rounded; those beyond `tokens` are 0. Returns the sum of the unrounded ones, and of the rounded.
///
/// # Panics
/// If `scores` and `probs` are not `tokens` rounded up to whole blocks.
#[inline(always)]
pub(super) fn softmax_u8<S: Simd>(s: S, scores: &[f32], factor: f32, tokens: usize, probs: &mut [u8]) -> (f32, i32) {
    assert!(scores.len() == probs.len() && probs.len() == super::padded(tokens), "{} scores, {} probabilities", scores.len(), probs.len());
    let (factor, offset) = (s.splat(factor), s.splat(LOG2_255 - largest(s, scores, tokens) * factor));
    let mut sum = s.splat(0.0);
    let mut rounded_sum = s.splat_i32(0);
    let mut count = |power: S::F32| {
        let rounded = s.to_i32(power);
        sum = s.add(sum, power);
        rounded_sum = s.add_i32(rounded_sum, rounded);
        rounded
    };
    let power = |x: &[f32; LANES]| exp2_softmax(s, s.fma(s.load(x), factor, offset));
    let (fours, blocks) = scores.as_chunks::<LANES>().0.split_at(tokens / (4 * LANES) * 4);
    let (four_probs, probs) = probs.split_at_mut(fours.len() * LANES);
    for (x, p) in fours.as_chunks::<4>().0.iter().zip(four_probs.as_chunks_mut().0) {
        s.store_u8x4([count(power(&x[0])), count(power(&x[1])), count(power(&x[2])), count(power(&x[3]))], p);
    }
    let mut left = tokens - fours.len() * LANES;
    for (x, p) in blocks.iter().zip(probs.as_chunks_mut().0) {
        let mut powers = [0.0; LANES];
        s.store(power(x), &mut powers);
        powers[left.min(LANES)..].fill(0.0);
        s.store_u8(count(s.load(&powers)), p);
        left = left.saturating_sub(LANES);
    }
    let mut lanes = [0; LANES];
    s.store_i32(rounded_sum, &mut lanes);
    (s.reduce_add(sum), lanes.iter().sum())
}

/// Replaces scores by powers of two of their distance to the largest, those beyond `tokens` by 0, and returns the sum.
#[inline(always)]
pub(super) fn powers<S: Simd>(s: S, scores: &mut [f32], factor: f32, tokens: usize) -> f32 {
    let (factor, offset) = (s.splat(factor), s.splat(-largest(s, scores, tokens) * factor));
    let (full, rest) = scores[..tokens].as_chunks_mut::<LANES>();
    let mut sum = s.splat(0.0);
    for x in full {
        let power = exp2_softmax(s, s.fma(s.load(x), factor, offset));
        sum = s.add(sum, power);
        s.store(power, x);
    }
    if !rest.is_empty() {
        let power = exp2_softmax(s, s.fma(s.load_partial(rest, 0.0), factor, offset));
        s.store_partial(power, rest);
        sum = s.add(sum, s.load_partial(rest, 0.0));
    }
    scores[tokens..].fill(0.0);
    s.reduce_add(sum)
}
