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
    let mut sums = Sums { powers: s.splat(0.0), rounded: s.splat_i32(0) };
    let (fours, blocks) = scores.as_chunks::<LANES>().0.split_at(tokens / (4 * LANES) * 4);
    let (four_probs, probs) = probs.split_at_mut(fours.len() * LANES);
    for (x, p) in fours.as_chunks::<4>().0.iter().zip(four_probs.as_chunks_mut().0) {
        let mut rounded = [s.splat_i32(0); 4];
        for (rounded, x) in rounded.iter_mut().zip(x) {
            *rounded = sums.count(s, power(s, x, factor, offset));
        }
        s.store_u8x4(rounded, p);
    }
    let mut left = tokens - fours.len() * LANES;
    for (x, p) in blocks.iter().zip(probs.as_chunks_mut().0) {
        let mut powers = [0.0; LANES];
        s.store(power(s, x, factor, offset), &mut powers);
        powers[left.min(LANES)..].fill(0.0);
        s.store_u8(sums.count(s, s.load(&powers)), p);
        left = left.saturating_sub(LANES);
    }
    let mut lanes = [0; LANES];
    s.store_i32(sums.rounded, &mut lanes);
    (s.reduce_add(sums.powers), lanes.iter().sum())
}

/// `2^(x factor + offset)`. A function, as a closure is not always inlined and then lacks the vector instructions.
#[inline(always)]
fn power<S: Simd>(s: S, x: &[f32; LANES], factor: S::F32, offset: S::F32) -> S::F32 {
    exp2_softmax(s, s.fma(s.load(x), factor, offset))
}

/// Sums over all powers and over the rounded ones.
struct Sums<S: Simd> {
    powers: S::F32,
    rounded: S::I32,
}

impl<S: Simd> Sums<S> {
    /// Adds a vector of powers; returns it rounded.
    #[inline(always)]
    fn count(&mut self, s: S, power: S::F32) -> S::I32 {
        let rounded = s.to_i32(power);
        self.powers = s.add(self.powers, power);
        self.rounded = s.add_i32(self.rounded, rounded);
        rounded
    }
}

/// Replaces scores by powers of two of their distance to the largest, those beyond `tokens` by 0, and returns the sum.
#[inline(always)]
pub(super) fn powers<S: Simd>(s: S, scores: &mut [f32], factor: f32, tokens: usize) -> f32 {
    let (factor, offset) = (s.splat(factor), s.splat(-largest(s, scores, tokens) * factor));
    let (full, rest) = scores[..tokens].as_chunks_mut::<LANES>();
    let mut sum = s.splat(0.0);
    for x in full {
        let power = power(s, x, factor, offset);
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
