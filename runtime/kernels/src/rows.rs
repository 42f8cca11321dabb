//! Symmetric 8-bit quantisation of activation rows (numerics contract, rule 1), with layer normalisation in front of it.

use crate::dot::{S8Rows, U8Rows};
use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// What layer normalisation adds to the variance in Whisper, and PyTorch by default.
pub const EPSILON: f32 = 1e-5;

/// Where quantised rows go: for each row `depth` values in [-127, 127], their scale and their sum.
#[derive(Debug)]
pub struct QuantRows<'a> {
    /// `[rows][depth]`
    pub values: &'a mut [i8],
    /// `[rows]`: the row is `values * scale`.
    pub scales: &'a mut [f32],
    /// `[rows]`: sum of `values`.
    pub sums: &'a mut [i32],
}

impl<'a> QuantRows<'a> {
    /// Splits caller-owned memory into `rows` rows of `depth` values.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn new(values: &'a mut [i8], scales: &'a mut [f32], sums: &'a mut [i32], rows: usize, depth: usize) -> Self {
        Self { values: &mut values[..rows.saturating_mul(depth)], scales: &mut scales[..rows], sums: &mut sums[..rows] }
    }

    /// The rows as the left side of a product.
    pub fn as_rows(&self) -> S8Rows<'_> {
        let depth = if self.sums.is_empty() { 0 } else { self.values.len() / self.sums.len() };
        S8Rows::new(self.values, self.sums, depth, depth)
    }
}

/// Quantises rows of `depth` values that start `stride` apart (overlapping rows are the windows of a convolution).
///
/// The scale is `m / 127` with `m` the row's largest magnitude, each value `round_ties_even(x * (127 / m))`; a row of zeros has scale 0.
///
/// # Panics
/// If `depth` is not a multiple of 16, or `x` or `out` does not hold the rows.
pub fn quantize_rows(isa: Isa, x: &[f32], depth: usize, stride: usize, out: &mut QuantRows<'_>) {
    isa.dispatch(QuantizeRows { x, depth, stride, out: &mut *out });
    fault::i8s("quantize_rows", isa.name(), out.values);
}

struct QuantizeRows<'a, 'b> {
    x: &'a [f32],
    depth: usize,
    stride: usize,
    out: &'a mut QuantRows<'b>,
}

impl SimdOp for QuantizeRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, depth, stride, out } = self;
        for (row, values) in out.values.chunks_exact_mut(depth).enumerate() {
            (out.scales[row], out.sums[row]) = quantize_row(s, &x[row.saturating_mul(stride)..][..depth], values);
        }
    }
}

/// Layer normalisation (Ba, Kiros and Hinton 2016; epsilon 1e-5) of each row, then quantisation as in [`quantize_rows`].
///
/// # Panics
/// If `depth = gamma.len()` is not a multiple of 16, or a slice does not fit: `row` holds one row in between.
pub fn layer_norm_quantize_rows(isa: Isa, x: &[f32], gamma: &[f32], beta: &[f32], row: &mut [f32], out: &mut QuantRows<'_>) {
    isa.dispatch(LayerNormQuantizeRows { x, gamma, beta, row, out: &mut *out });
    fault::i8s("layer_norm_quantize_rows", isa.name(), out.values);
}

struct LayerNormQuantizeRows<'a, 'b> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    row: &'a mut [f32],
    out: &'a mut QuantRows<'b>,
}

impl SimdOp for LayerNormQuantizeRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let depth = self.gamma.len();
        let (gamma, beta, normed) = (chunks(self.gamma), chunks(self.beta), &mut self.row[..depth]);
        for (block, x) in self.x[..self.out.values.len()].chunks(TOGETHER * depth).enumerate() {
            let moments = block_moments(s, x, depth, EPSILON);
            for (i, x) in x.chunks_exact(depth).enumerate() {
                let row = block * TOGETHER + i;
                let largest = normalize_row(s, chunks(x), gamma, beta, moments[i], normed.as_chunks_mut::<LANES>().0);
                let values = &mut self.out.values[row * depth..][..depth];
                (self.out.scales[row], self.out.sums[row]) = quantize_by(s, chunks(normed), s.reduce_max(largest), values);
            }
        }
    }
}

/// Layer normalisation of each row; `epsilon` is [`EPSILON`] for Whisper.
///
/// # Panics
/// If `depth = gamma.len()` is not a multiple of 16, or `x` and `out` differ in length.
pub fn layer_norm_rows(isa: Isa, x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]) {
    isa.dispatch(LayerNormRows { x, gamma, beta, epsilon, out: &mut *out });
    fault::f32s("layer_norm_rows", isa.name(), out);
}

struct LayerNormRows<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl SimdOp for LayerNormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let depth = self.gamma.len();
        assert_eq!(self.x.len(), self.out.len(), "input and output rows differ");
        let (gamma, beta) = (chunks(self.gamma), chunks(self.beta));
        let whole = self.x.len() / depth * depth;
        for (x, out) in self.x[..whole].chunks(TOGETHER * depth).zip(self.out.chunks_mut(TOGETHER * depth)) {
            let moments = block_moments(s, x, depth, self.epsilon);
            for ((x, out), moments) in x.chunks_exact(depth).zip(out.chunks_exact_mut(depth)).zip(moments) {
                normalize_row(s, chunks(x), gamma, beta, moments, out.as_chunks_mut::<LANES>().0);
            }
        }
    }
}

#[inline(always)]
fn chunks(x: &[f32]) -> &[[f32; LANES]] {
    let (chunks, rest) = x.as_chunks();
    assert!(rest.is_empty(), "a row of {} is not a multiple of {LANES}", x.len());
    chunks
}

/// Rows whose means and variances are summed at once: each addition waits for the one before.
const TOGETHER: usize = 4;

/// A row's mean, and what its deviations are multiplied by, in all lanes.
type Moments<S> = (<S as Simd>::F32, <S as Simd>::F32);

/// Moments of up to [`TOGETHER`] rows.
#[inline(always)]
fn block_moments<S: Simd>(s: S, x: &[f32], depth: usize, epsilon: f32) -> [Moments<S>; TOGETHER] {
    let rows = x.len() / depth;
    if rows == TOGETHER {
        let mut rows = [chunks(&x[..depth]); TOGETHER];
        for (row, x) in rows.iter_mut().zip(x.chunks_exact(depth)) {
            *row = chunks(x);
        }
        return moments(s, rows, epsilon);
    }
    let mut out = [(s.splat(0.0), s.splat(0.0)); TOGETHER];
    for (out, x) in out.iter_mut().zip(x.chunks_exact(depth)) {
        [*out] = moments(s, [chunks(x)], epsilon);
    }
    out
}

#[inline(always)]
fn moments<S: Simd, const R: usize>(s: S, rows: [&[[f32; LANES]]; R], epsilon: f32) -> [Moments<S>; R] {
    // Loops in place of closures: those of arrays are not compiled for the instruction set.
    let vectors = rows[0].len();
    let count = (vectors * LANES) as f32;
    let (mut sums, mut squares, mut out) = ([s.splat(0.0); R], [s.splat(0.0); R], [(s.splat(0.0), s.splat(0.0)); R]);
    for i in 0..vectors {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum = s.add(*sum, s.load(&row[i]));
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        out.0 = s.splat(s.reduce_add(sum) / count);
    }
    for i in 0..vectors {
        for ((square, row), (mean, _)) in squares.iter_mut().zip(&rows).zip(&out) {
            let d = s.sub(s.load(&row[i]), *mean);
            *square = s.fma(d, d, *square);
        }
    }
    for (out, square) in out.iter_mut().zip(squares) {
        let variance = s.reduce_add(square) / count;
        out.1 = s.div(s.splat(1.0), s.sqrt(s.splat(variance + epsilon)));
    }
    out
}

/// Writes a normalised row, and returns the largest magnitude of each lane.
#[inline(always)]
fn normalize_row<S: Simd>(
    s: S,
    x: &[[f32; LANES]],
    gamma: &[[f32; LANES]],
    beta: &[[f32; LANES]],
    (mean, inverse): Moments<S>,
    out: &mut [[f32; LANES]],
) -> S::F32 {
    assert!(x.len() == gamma.len() && x.len() == beta.len() && x.len() == out.len(), "layer norm sizes differ");
    // Two at once: the order is free.
    let mut largest = [s.splat(0.0); 2];
    for (i, (x, out)) in x.iter().zip(out).enumerate() {
        let y = s.fma(s.mul(s.sub(s.load(x), mean), inverse), s.load(&gamma[i]), s.load(&beta[i]));
        largest[i % 2] = s.max(largest[i % 2], s.abs(y));
        s.store(y, out);
    }
    s.max(largest[0], largest[1])
}

/// Quantises one row; returns its scale and the sum of its values.
#[inline(always)]
pub(crate) fn quantize_row<S: Simd>(s: S, x: &[f32], out: &mut [i8]) -> (f32, i32) {
    let x = chunks(x);
    quantize_by(s, x, s.reduce_max(s.max_of(x, s.splat(0.0), |x| s.abs(x))), out)
}

/// As [`quantize_row`], the largest magnitude being known.
#[inline(always)]
fn quantize_by<S: Simd>(s: S, x: &[[f32; LANES]], largest: f32, out: &mut [i8]) -> (f32, i32) {
    let (out, _) = out.as_chunks_mut::<LANES>();
    assert_eq!(x.len(), out.len(), "a row of {} values into {}", x.len() * LANES, out.len() * LANES);
    let (scale, inverse) = scale_of(largest);
    let inverse = s.splat(inverse);
    let mut sums = s.splat_i32(0);
    let ((fours, rest), (out, last)) = (x.as_chunks::<4>(), out.as_flattened_mut().as_chunks_mut::<{ 4 * LANES }>());
    for (x, out) in fours.iter().zip(out) {
        let mut q = [sums; 4];
        for (q, x) in q.iter_mut().zip(x) {
            *q = s.to_i32(s.mul(s.load(x), inverse));
        }
        sums = s.add_i32(sums, s.add_i32(s.add_i32(q[0], q[1]), s.add_i32(q[2], q[3])));
        s.store_s8x4(q, out);
    }
    for (x, out) in rest.iter().zip(last.as_chunks_mut().0) {
        let q = s.to_i32(s.mul(s.load(x), inverse));
        sums = s.add_i32(sums, q);
        s.store_s8(q, out);
    }
    let mut lanes = [0; LANES];
    s.store_i32(sums, &mut lanes);
    (scale, lanes.iter().sum())
}

/// Where quantised rows without negative values go: for each row `depth` values in [0, 255] and their scale.
#[derive(Debug)]
pub struct UnsignedRows<'a> {
    /// `[rows][depth]`
    pub values: &'a mut [u8],
    /// `[rows]`: the row is `values * scale`.
    pub scales: &'a mut [f32],
    depth: usize,
}

impl<'a> UnsignedRows<'a> {
    /// Splits caller-owned memory into `rows` rows of `depth` values.
    ///
    /// # Panics
    /// If a slice is too short, or `depth` is not a multiple of 16 above zero.
    pub fn new(values: &'a mut [u8], scales: &'a mut [f32], rows: usize, depth: usize) -> Self {
        assert!(depth > 0 && depth.is_multiple_of(LANES), "rows of {depth} values");
        Self { values: &mut values[..rows.saturating_mul(depth)], scales: &mut scales[..rows], depth }
    }

    /// Values of each row.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The rows as the left side of a product with weights that have these sums, one for each output.
    pub fn as_rows<'b>(&'b self, weight_sums: &'b [i32]) -> U8Rows<'b> {
        U8Rows::new(self.values, weight_sums, self.scales.len(), self.depth, self.depth)
    }
}

/// Quantises rows without negative values.
///
/// The scale is `m / 255` with `m` the row's largest value, each value `round_ties_even(x * (255 / m))`; a row of zeros has scale 0.
///
/// # Panics
/// If `x` does not hold the rows.
pub fn quantize_unsigned_rows(isa: Isa, x: &[f32], out: &mut UnsignedRows<'_>) {
    isa.dispatch(QuantizeUnsignedRows { x, out: &mut *out });
    fault::u8s("quantize_unsigned_rows", isa.name(), out.values);
}

struct QuantizeUnsignedRows<'a, 'b> {
    x: &'a [f32],
    out: &'a mut UnsignedRows<'b>,
}

impl SimdOp for QuantizeUnsignedRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, out } = self;
        let depth = out.depth;
        for (row, values) in out.values.chunks_exact_mut(depth).enumerate() {
            let x = chunks(&x[row * depth..][..depth]);
            let mut largest = s.splat(0.0);
            for x in x {
                largest = s.max(largest, s.load(x));
            }
            out.scales[row] = quantize_unsigned_row(s, x, s.reduce_max(largest), values);
        }
    }
}

/// Quantises rows whose values are at least `-offset`, as those behind an activation are.
///
/// The scale is `m / 255` with `m` the row's largest value plus `offset`, each value `round_ties_even(max(x + offset, 0) * (255 / m))`: the
/// row is `values * scale - offset`. Rows start `stride` apart.
///
/// # Panics
/// If `x` does not hold the rows.
pub fn quantize_offset_rows(isa: Isa, x: &[f32], stride: usize, offset: f32, out: &mut UnsignedRows<'_>) {
    isa.dispatch(QuantizeOffsetRows { x, stride, offset, out: &mut *out });
    fault::u8s("quantize_offset_rows", isa.name(), out.values);
}

struct QuantizeOffsetRows<'a, 'b> {
    x: &'a [f32],
    stride: usize,
    offset: f32,
    out: &'a mut UnsignedRows<'b>,
}

impl SimdOp for QuantizeOffsetRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, stride, offset, out } = self;
        let depth = out.depth;
        let (zero, offset) = (s.splat(0.0), s.splat(offset));
        for (row, values) in out.values.chunks_exact_mut(depth).enumerate() {
            let x = chunks(&x[row.saturating_mul(stride)..][..depth]);
            let mut largest = zero;
            for x in x {
                largest = s.max(largest, s.add(s.load(x), offset));
            }
            let largest = s.reduce_max(largest);
            let (scale, inverse) = unsigned_scale_of(largest);
            out.scales[row] = scale;
            let inverse = s.splat(inverse);
            for (x, out) in x.iter().zip(values.as_chunks_mut::<LANES>().0) {
                let x = s.max(s.add(s.load(x), offset), zero);
                s.store_u8(s.to_i32(s.mul(x, inverse)), out);
            }
        }
    }
}

/// Scale and its inverse for a largest value of rows of u8.
#[inline(always)]
pub(crate) fn unsigned_scale_of(largest: f32) -> (f32, f32) {
    const LEVELS: f32 = 255.0;
    if largest < SMALLEST_MAGNITUDE { (0.0, 0.0) } else { (largest / LEVELS, LEVELS / largest) }
}

/// Quantises one row without negative values, given the largest; returns its scale.
#[inline(always)]
pub(crate) fn quantize_unsigned_row<S: Simd>(s: S, x: &[[f32; LANES]], largest: f32, out: &mut [u8]) -> f32 {
    let (out, _) = out.as_chunks_mut::<LANES>();
    assert_eq!(x.len(), out.len(), "a row of {} values into {}", x.len() * LANES, out.len() * LANES);
    let (scale, inverse) = unsigned_scale_of(largest);
    let inverse = s.splat(inverse);
    for (x, out) in x.iter().zip(out) {
        s.store_u8(s.to_i32(s.mul(s.load(x), inverse)), out);
    }
    scale
}

/// Rows whose largest magnitude is below this count as zero: it could not be inverted.
pub const SMALLEST_MAGNITUDE: f32 = 1e-30;

/// Scale and its inverse for a largest magnitude.
#[inline(always)]
pub(crate) fn scale_of(largest: f32) -> (f32, f32) {
    if largest < SMALLEST_MAGNITUDE { (0.0, 0.0) } else { (largest / 127.0, 127.0 / largest) }
}
