//! Quantising and packing queries, keys and values.

use super::{HEAD, padded};
use crate::fault;
use crate::rows::{quantize_row, scale_of};
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Quantises each head of 64 values by its own scale: `x`, `values` are `[heads][64]`, `scales` `[heads]`.
///
/// # Panics
/// If the lengths differ.
pub fn quantize_heads(isa: Isa, x: &[f32], values: &mut [i8], scales: &mut [f32]) {
    isa.dispatch(QuantizeHeads { x, values: &mut *values, scales });
    fault::i8s("quantize_heads", isa.name(), values);
}

struct QuantizeHeads<'a> {
    x: &'a [f32],
    values: &'a mut [i8],
    scales: &'a mut [f32],
}

impl SimdOp for QuantizeHeads<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, values, scales } = self;
        assert!(x.len() == scales.len() * HEAD && values.len() == x.len(), "{} heads in {} values", scales.len(), x.len());
        for (head, scale) in scales.iter_mut().enumerate() {
            let range = head * HEAD..(head + 1) * HEAD;
            (*scale, _) = quantize_row(s, &x[range.clone()], &mut values[range]);
        }
    }
}

/// Where one head's keys of a token's block start; beyond any memory if that cannot be counted.
#[inline(always)]
fn key_block(token: usize, head: usize, heads: usize) -> usize {
    (token / LANES).saturating_mul(heads).saturating_add(head).saturating_mul(LANES * HEAD)
}

/// Writes one head's key of one token into `[padded / 16][heads][16][16][4]`.
///
/// # Panics
/// If `keys` does not hold the token.
pub fn scatter_keys(key: &[i8; HEAD], token: usize, head: usize, heads: usize, keys: &mut [i8]) {
    let block = &mut keys[key_block(token, head, heads)..][..LANES * HEAD];
    let (cells, _) = block.as_chunks_mut::<4>();
    let (groups, _) = key.as_chunks::<4>();
    for (cells, four) in cells.chunks_exact_mut(LANES).zip(groups) {
        cells[token % LANES] = *four;
    }
}

/// One head's key of one token, as [`scatter_keys`] wrote it.
///
/// # Panics
/// If `keys` does not hold the token.
pub fn gather_key(keys: &[i8], token: usize, head: usize, heads: usize) -> [i8; HEAD] {
    let block = &keys[key_block(token, head, heads)..][..LANES * HEAD];
    let (cells, _) = block.as_chunks::<4>();
    let mut key = [0; HEAD];
    for (four, cells) in key.as_chunks_mut::<4>().0.iter_mut().zip(cells.chunks_exact(LANES)) {
        *four = cells[token % LANES];
    }
    key
}

/// One head's values as [`pack_values`] packed them: token `t`, channel `c` to `out[t * stride + c]`.
///
/// # Panics
/// If a slice is too short.
pub fn unpack_values(values: &[i8], tokens: usize, stride: usize, out: &mut [i8]) {
    let width = padded(tokens);
    for token in 0..tokens {
        for (block, out) in out[token.saturating_mul(stride)..][..HEAD].as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let group = &values[block * LANES * width + token / 4 * 4 * LANES..][..4 * LANES];
            for (out, four) in out.iter_mut().zip(group.as_chunks::<4>().0) {
                *out = four[token % 4];
            }
        }
    }
}

/// Quantises one head's values per channel over all tokens and packs them as `[4][padded / 4][16][4]`.
///
/// Token `t`, channel `c` is `x[t * stride + c]`. `scales` and `sums` get one entry per channel.
///
/// # Panics
/// If a slice is too short.
pub fn pack_values(isa: Isa, x: &[f32], stride: usize, tokens: usize, values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    isa.dispatch(PackValues { x, stride, tokens, values: &mut *values, scales, sums });
    fault::i8s("pack_values", isa.name(), values);
}

struct PackValues<'a> {
    x: &'a [f32],
    stride: usize,
    tokens: usize,
    values: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl SimdOp for PackValues<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, stride, tokens, values, scales, sums } = self;
        let width = padded(tokens);
        // A second token that far away is out of bounds already.
        let stride = stride.min(x.len());
        for block in 0..HEAD / LANES {
            let column = |token: usize| match x[token * stride + block * LANES..].first_chunk() {
                Some(x) => s.load(x),
                None => panic!("values end before token {token}"),
            };
            let mut largest = s.splat(0.0);
            for token in 0..tokens {
                largest = s.max(largest, s.abs(column(token)));
            }
            let mut lanes = [0.0; LANES];
            s.store(largest, &mut lanes);
            let scales = &mut scales[block * LANES..][..LANES];
            for (lane, scale) in lanes.iter_mut().zip(scales) {
                (*scale, *lane) = scale_of(*lane);
            }
            let inverse = s.load(&lanes);
            let mut sum = s.splat_i32(0);
            let out = &mut values[block * LANES * width..][..LANES * width];
            let (groups, _) = out.as_chunks_mut::<{ 4 * LANES }>();
            for (group, out) in groups.iter_mut().enumerate() {
                for i in 0..4 {
                    let token = 4 * group + i;
                    let mut q = [0; LANES];
                    if token < tokens {
                        let quantized = s.to_i32(s.mul(column(token), inverse));
                        sum = s.add_i32(sum, quantized);
                        s.store_s8(quantized, &mut q);
                    }
                    for (n, q) in q.into_iter().enumerate() {
                        out[4 * n + i] = q;
                    }
                }
            }
            let sums = sums[block * LANES..].first_chunk_mut().expect("a sum for each channel");
            s.store_i32(sum, sums);
        }
    }
}
