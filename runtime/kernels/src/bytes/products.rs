//! Products whose results are bytes.

use super::{Bytes, Curve, HARD_SWISH, LINE, SILU, ToBytes};
use crate::dot::{Activations, Epilogue, Products, S8Rows, U8Rows};
use crate::fault;
use crate::linear::Linear;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Multiplies positions of a map of bytes with the layer: `y = fma(sum, scale, bias)`, rounded as `to` says. Each row of `out` starts `stride` bytes
/// after the one before.
///
/// # Panics
/// If the depths differ, `stride` is not a multiple of 16 or less than the layer's outputs, or a slice is too short.
pub fn linear_bytes(isa: Isa, rows: U8Rows<'_>, layer: &Linear<'_>, to: &ToBytes, stride: usize, out: &mut [u8]) {
    isa.dispatch(Product { rows: Rows::Map(rows), layer, to, stride, out: &mut *out });
    fault::u8s("linear_bytes", isa.name(), out);
}

/// As [`linear_bytes`], of rows of s8 with a scale each: `y = fma(sum, row scale * scale, bias)`.
///
/// # Panics
/// As [`linear_bytes`].
pub fn linear_row_bytes(isa: Isa, rows: S8Rows<'_>, scales: &[f32], layer: &Linear<'_>, to: &ToBytes, stride: usize, out: &mut [u8]) {
    isa.dispatch(Product { rows: Rows::Signed(rows, scales), layer, to, stride, out: &mut *out });
    fault::u8s("linear_bytes", isa.name(), out);
}

/// As [`linear_row_bytes`], of rows of u8.
///
/// # Panics
/// As [`linear_bytes`].
pub fn linear_u8_row_bytes(isa: Isa, rows: U8Rows<'_>, scales: &[f32], layer: &Linear<'_>, to: &ToBytes, stride: usize, out: &mut [u8]) {
    isa.dispatch(Product { rows: Rows::Unsigned(rows, scales), layer, to, stride, out: &mut *out });
    fault::u8s("linear_bytes", isa.name(), out);
}

enum Rows<'a> {
    Map(U8Rows<'a>),
    Signed(S8Rows<'a>, &'a [f32]),
    Unsigned(U8Rows<'a>, &'a [f32]),
}

struct Product<'a> {
    rows: Rows<'a>,
    layer: &'a Linear<'a>,
    to: &'a ToBytes,
    stride: usize,
    out: &'a mut [u8],
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        match self.rows {
            Rows::Map(rows) => self.any::<S, U8Rows<'_>, false>(s, rows, &[]),
            Rows::Signed(rows, scales) => self.any::<S, S8Rows<'_>, true>(s, rows, scales),
            Rows::Unsigned(rows, scales) => self.any::<S, U8Rows<'_>, true>(s, rows, scales),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn any<S: Products, A: Activations<S>, const SCALED: bool>(self, s: S, rows: A, scales: &[f32]) {
        match self.to.curve {
            Curve::Line => self.with::<S, A, SCALED, LINE>(s, rows, scales),
            Curve::HardSwish => self.with::<S, A, SCALED, HARD_SWISH>(s, rows, scales),
            Curve::Silu => self.with::<S, A, SCALED, SILU>(s, rows, scales),
        }
    }

    #[inline(always)]
    fn with<S: Products, A: Activations<S>, const SCALED: bool, const CURVE: u8>(self, s: S, rows: A, scales: &[f32]) {
        let Self { layer, to, stride, out, .. } = self;
        let ((factors, _), (bias, _)) = (layer.scales.as_chunks(), layer.bias.as_chunks());
        let blocks = layer.weights.count();
        assert!(factors.len() >= blocks && bias.len() >= blocks, "a scale and a bias for each of {blocks} blocks");
        assert!(stride.is_multiple_of(LANES) && stride >= layer.outputs(), "rows of {stride} for {blocks} blocks");
        let out = out.as_chunks_mut().0;
        // A second row that far away is out of bounds already; a product with a row's number would wrap around into them again.
        let stride = (stride / LANES).min(out.len().max(blocks));
        let mut epilogue = Requantize::<S, SCALED, CURVE> { to: Bytes::new(s, to), scales, factors, bias, out, stride };
        s.products(rows, layer.weights, &mut epilogue);
    }
}

struct Requantize<'a, S: Simd, const SCALED: bool, const CURVE: u8> {
    to: Bytes<S>,
    scales: &'a [f32],
    factors: &'a [[f32; LANES]],
    bias: &'a [[f32; LANES]],
    out: &'a mut [[u8; LANES]],
    /// Vectors from one row to the next.
    stride: usize,
}

impl<S: Simd, const SCALED: bool, const CURVE: u8> Epilogue<S> for Requantize<'_, S, SCALED, CURVE> {
    type Row = S::F32;
    type Block = (S::F32, S::F32);

    #[inline(always)]
    fn row(&self, s: S, row: usize) -> S::F32 {
        s.splat(if SCALED { self.scales[row] } else { 1.0 })
    }

    #[inline(always)]
    fn block(&self, s: S, block: usize) -> (S::F32, S::F32) {
        (s.load(&self.factors[block]), s.load(&self.bias[block]))
    }

    #[inline(always)]
    fn put(&mut self, s: S, (row, block): (usize, usize), row_scale: S::F32, (factor, bias): (S::F32, S::F32), sums: S::I32) {
        let factor = if SCALED { s.mul(row_scale, factor) } else { factor };
        let y = s.fma(s.from_i32(sums), factor, bias);
        s.store_u8(self.to.of::<CURVE>(s, y), &mut self.out[row * self.stride + block]);
    }
}
