//! Attention of one query over a cache that grows token by token.
//!
//! Values are quantised per token and head, as their channels' range over future tokens is unknown; the weighted sum is taken in f32,
//! token after token, with `fma`.

use super::{HEAD, Keys, Queries, Scale, padded, quantize_heads, scatter_keys, softmax};
use crate::dot::Products;
use crate::fault;
use crate::simd::{Isa, LANES, SimdOp};

/// Keys and values of one layer, grown token by token.
#[derive(Debug)]
pub struct CausalCache<'a> {
    /// `[padded / 16][heads][16][16][4]`
    pub keys: &'a mut [i8],
    /// `[padded / 16][heads][16]`
    pub key_scales: &'a mut [f32],
    /// `[tokens][heads][64]`
    pub values: &'a mut [i8],
    /// `[tokens][heads]`
    pub value_scales: &'a mut [f32],
    /// Heads of each token.
    pub heads: usize,
}

impl CausalCache<'_> {
    /// Quantises and writes one token's keys and values, `[heads][64]` each.
    ///
    /// # Panics
    /// If the cache does not hold the token.
    pub fn put(&mut self, isa: Isa, token: usize, key: &[f32], value: &[f32]) {
        let heads = self.heads;
        for head in 0..heads {
            let mut q = [0; HEAD];
            let mut scale = [0.0];
            quantize_heads(isa, &key[head * HEAD..][..HEAD], &mut q, &mut scale);
            scatter_keys(&q, token, head, heads, self.keys);
            self.key_scales[(token / LANES * heads + head) * LANES + token % LANES] = scale[0];
        }
        let width = heads * HEAD;
        let values = &mut self.values[token * width..][..width];
        quantize_heads(isa, &value[..width], values, &mut self.value_scales[token * heads..][..heads]);
    }
}

/// Attention of one query (the first of `query`) over the first `tokens` tokens of one head, into 64 values; `scores` holds
/// `padded(tokens)`.
///
/// # Panics
/// If a slice is too short.
pub fn attend_causal(
    isa: Isa,
    query: Queries<'_>,
    cache: &CausalCache<'_>,
    tokens: usize,
    head: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    isa.dispatch(AttendCausal { query, cache, tokens, head, scores, out: &mut *out });
    fault::f32s("attend_causal", isa.name(), out);
}

struct AttendCausal<'a, 'b> {
    query: Queries<'a>,
    cache: &'a CausalCache<'b>,
    tokens: usize,
    head: usize,
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl SimdOp for AttendCausal<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        let Self { query, cache, tokens, head, scores, out } = self;
        let heads = cache.heads;
        let width = padded(tokens);
        let keys = Keys { values: cache.keys, scales: cache.key_scales, tokens, heads };
        let (key_blocks, key_scales) = keys.head(head);
        let mut epilogue = Scale::new(key_scales, heads, scores, width);
        s.products(query.rows(0, head, &mut [0]), key_blocks, &mut epilogue);
        let scores = &mut scores[..width];
        let inverse = s.splat(1.0 / softmax::powers(s, scores, query.score_scale(0, head), tokens));
        let mut sums = [s.splat(0.0); HEAD / LANES];
        for (token, power) in scores[..tokens].iter().enumerate() {
            let row = token * heads + head;
            let weight = s.splat(power * cache.value_scales[row]);
            let (chunks, _) = cache.values[row * HEAD..][..HEAD].as_chunks();
            for (sum, chunk) in sums.iter_mut().zip(chunks) {
                *sum = s.fma(weight, s.from_i32(s.load_s8(chunk)), *sum);
            }
        }
        let (chunks, _) = out[..HEAD].as_chunks_mut();
        for (sum, out) in sums.into_iter().zip(chunks) {
            s.store(s.mul(sum, inverse), out);
        }
    }
}
