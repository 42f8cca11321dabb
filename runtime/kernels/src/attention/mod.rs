//! Integer attention over heads of 64 values (numerics contract, rule 5).
//!
//! Queries and keys are quantised per token and head, values per channel over all tokens. Scores are kept for a few queries at a time
//! only: `QUERIES x tokens` f32, never `tokens x tokens`.

mod causal;
mod pack;
mod softmax;

pub use causal::{CausalCache, attend_causal};
pub use pack::{gather_key, pack_values, quantize_heads, scatter_keys, unpack_values};

use crate::dot::{Blocks, Epilogue, Products, S8Rows, U8Rows};
use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Values of one head, for every Whisper model.
pub const HEAD: usize = 64;

/// Queries whose scores are in memory at a time.
pub const QUERIES: usize = 12;

/// `HEAD^-1/2` of the scaled dot product, times log2(e), as softmax is computed in powers of two.
const SCORE_SCALE: f32 = 0.125 * core::f32::consts::LOG2_E;

/// Tokens rounded up to whole blocks.
pub const fn padded(tokens: usize) -> usize {
    tokens.next_multiple_of(LANES)
}

/// Quantised queries.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// `[rows][heads][64]`
    pub values: &'a [i8],
    /// `[rows][heads]`
    pub scales: &'a [f32],
    /// Heads of each row.
    pub heads: usize,
}

impl<'a> Queries<'a> {
    fn count(&self) -> usize {
        self.scales.len() / self.heads
    }

    /// What a row's scores are multiplied with to be in units of log2.
    #[inline(always)]
    fn score_scale(&self, row: usize, head: usize) -> f32 {
        self.scales[row * self.heads + head] * SCORE_SCALE
    }

    /// One head of rows `start..`, as many as `sums` holds; fills in the sums.
    #[inline(always)]
    fn rows<'b>(&self, start: usize, head: usize, sums: &'b mut [i32]) -> S8Rows<'b>
    where
        'a: 'b,
    {
        let width = self.heads.saturating_mul(HEAD);
        let values = &self.values[start * width + head * HEAD..];
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum = values[row * width..][..HEAD].iter().map(|&q| i32::from(q)).sum();
        }
        S8Rows::new(values, sums, HEAD, width)
    }
}

/// Quantised keys.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// `[padded / 16][heads][16][16][4]`: tokens are outputs. Tokens beyond `tokens` are zero.
    pub values: &'a [i8],
    /// `[padded / 16][heads][16]`
    pub scales: &'a [f32],
    /// Number of tokens.
    pub tokens: usize,
    /// Heads of each token.
    pub heads: usize,
}

impl<'a> Keys<'a> {
    #[inline(always)]
    fn head(&self, head: usize) -> (Blocks<'a>, &'a [[f32; LANES]]) {
        let count = padded(self.tokens) / LANES;
        let blocks = Blocks::strided(&self.values[head * LANES * HEAD..], HEAD, self.heads.saturating_mul(HEAD), count);
        (blocks, &self.scales.as_chunks().0[head..])
    }
}

/// Quantised values.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `[heads][4][padded / 4][16][4]`: channels are outputs. Tokens beyond the last are zero.
    pub values: &'a [i8],
    /// `[heads][64]`
    pub scales: &'a [f32],
    /// `[heads][64]`: sum of each channel's values over all tokens.
    pub sums: &'a [i32],
}

/// Memory for [`attend`] and [`probabilities`].
#[derive(Debug)]
pub struct Scratch<'a> {
    /// `QUERIES * padded`
    pub scores: &'a mut [f32],
    /// `QUERIES * padded`
    pub probs: &'a mut [u8],
}

/// Attention of all queries over one head: `out[row][head]` of `[rows][heads][64]`.
///
/// The result is `sum_t p_t v_t` with `p` the softmax of the scaled scores, in units of 1/255 of the largest. The powers are rounded to 8
/// bits before the product and divided by their sum before rounding; what rounding took away in all, the many small powers above all, is
/// given back evenly over the tokens. (Without that the encoder's output lies measurably further from the float model's.)
///
/// # Panics
/// If a slice is too short for the shapes above.
pub fn attend(isa: Isa, queries: Queries<'_>, keys: Keys<'_>, values: Values<'_>, head: usize, scratch: &mut Scratch<'_>, out: &mut [f32]) {
    isa.dispatch(Attend { queries, keys, values, head, scratch, out: &mut *out });
    fault::f32s("attend", isa.name(), out);
}

struct Attend<'a, 'b> {
    queries: Queries<'a>,
    keys: Keys<'a>,
    values: Values<'a>,
    head: usize,
    scratch: &'a mut Scratch<'b>,
    out: &'a mut [f32],
}

impl SimdOp for Attend<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        let Self { queries, keys, values, head, scratch, out } = self;
        let tokens = keys.tokens;
        let width = padded(tokens);
        let (key_blocks, key_scales) = keys.head(head);
        let packed = &values.values[head * width * HEAD..][..width * HEAD];
        let value_blocks = Blocks::new(packed, width).truncated(tokens.next_multiple_of(4));
        let value_scales = values.scales[head * HEAD..][..HEAD].as_chunks().0;
        let value_sums = &values.sums[head * HEAD..][..HEAD];
        let total = queries.count();
        let row_width = queries.heads * HEAD;
        for start in (0..total).step_by(QUERIES) {
            let rows = QUERIES.min(total - start);
            let mut query_sums = [0; QUERIES];
            let mut epilogue = Scale::new(key_scales, queries.heads, scratch.scores, width);
            s.products(queries.rows(start, head, &mut query_sums[..rows]), key_blocks, &mut epilogue);
            let (mut inverse_sums, mut residuals) = ([0.0; QUERIES], [0.0; QUERIES]);
            for row in 0..rows {
                let scores = &scratch.scores[row * width..][..width];
                let probs = &mut scratch.probs[row * width..][..width];
                let (sum, rounded) = softmax::softmax_u8(s, scores, queries.score_scale(start + row, head), tokens, probs);
                fault::u8s("softmax", S::NAME, probs);
                inverse_sums[row] = 1.0 / sum;
                residuals[row] = (sum - rounded as f32) / tokens as f32;
            }
            let probs = U8Rows::new(scratch.probs, value_sums, rows, value_blocks.depth(), width);
            let out = &mut out[start * row_width + head * HEAD..];
            let value_sums = value_sums.as_chunks().0;
            let mut epilogue =
                Weigh { inverse_sums: &inverse_sums, residuals: &residuals, value_scales, value_sums, out, stride: row_width };
            s.products(probs, value_blocks, &mut epilogue);
        }
    }
}

/// Softmax probabilities of one head in f32, `[rows][tokens]`: what word timestamps are aligned with.
///
/// # Panics
/// If a slice is too short for the shapes above.
pub fn probabilities(isa: Isa, queries: Queries<'_>, keys: Keys<'_>, head: usize, scores: &mut [f32], out: &mut [f32]) {
    isa.dispatch(Probabilities { queries, keys, head, scores, out: &mut *out });
    fault::f32s("probabilities", isa.name(), out);
}

struct Probabilities<'a> {
    queries: Queries<'a>,
    keys: Keys<'a>,
    head: usize,
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl SimdOp for Probabilities<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        let Self { queries, keys, head, scores, out } = self;
        let width = padded(keys.tokens);
        let (key_blocks, key_scales) = keys.head(head);
        for row in 0..queries.count() {
            let mut epilogue = Scale::new(key_scales, queries.heads, scores, width);
            s.products(queries.rows(row, head, &mut [0]), key_blocks, &mut epilogue);
            let powers = &mut scores[..width];
            let inverse = 1.0 / softmax::powers(s, powers, queries.score_scale(row, head), keys.tokens);
            for (out, power) in out[row * keys.tokens..][..keys.tokens].iter_mut().zip(powers) {
                *out = *power * inverse;
            }
        }
    }
}

/// Scores in f32, the query's scale apart: that is the same for a whole row, and softmax has it.
struct Scale<'a> {
    /// Every `heads`-th.
    key_scales: &'a [[f32; LANES]],
    heads: usize,
    scores: &'a mut [[f32; LANES]],
    /// Blocks of a row of scores.
    blocks: usize,
}

impl<'a> Scale<'a> {
    #[inline(always)]
    fn new(key_scales: &'a [[f32; LANES]], heads: usize, scores: &'a mut [f32], width: usize) -> Self {
        Self { key_scales, heads, scores: scores.as_chunks_mut().0, blocks: width / LANES }
    }
}

impl<S: Simd> Epilogue<S> for Scale<'_> {
    type Row = ();
    type Block = S::F32;

    #[inline(always)]
    fn row(&self, _: S, _: usize) {}

    #[inline(always)]
    fn block(&self, s: S, block: usize) -> S::F32 {
        s.load(&self.key_scales[block * self.heads])
    }

    #[inline(always)]
    fn put(&mut self, s: S, (row, block): (usize, usize), (): (), key_scale: S::F32, sums: S::I32) {
        s.store(s.mul(s.from_i32(sums), key_scale), &mut self.scores[row * self.blocks + block]);
    }
}

/// Weighted values in f32.
struct Weigh<'a> {
    inverse_sums: &'a [f32; QUERIES],
    /// What rounding took from each token's power, on average.
    residuals: &'a [f32; QUERIES],
    value_scales: &'a [[f32; LANES]],
    value_sums: &'a [[i32; LANES]],
    out: &'a mut [f32],
    stride: usize,
}

impl<S: Simd> Epilogue<S> for Weigh<'_> {
    type Row = (S::F32, S::F32);
    type Block = (S::F32, S::F32);

    #[inline(always)]
    fn row(&self, s: S, row: usize) -> (S::F32, S::F32) {
        (s.splat(self.inverse_sums[row]), s.splat(self.residuals[row]))
    }

    #[inline(always)]
    fn block(&self, s: S, block: usize) -> (S::F32, S::F32) {
        (s.load(&self.value_scales[block]), s.from_i32(s.load_i32(&self.value_sums[block])))
    }

    #[inline(always)]
    fn put(
        &mut self,
        s: S,
        (row, block): (usize, usize),
        (inverse_sum, residual): (S::F32, S::F32),
        (value_scale, value_sum): (S::F32, S::F32),
        sums: S::I32,
    ) {
        let out = self.out[row * self.stride + block * LANES..].first_chunk_mut().expect("a head holds whole blocks");
        let sums = s.fma(residual, value_sum, s.from_i32(sums));
        s.store(s.mul(sums, s.mul(inverse_sum, value_scale)), out);
    }
}
