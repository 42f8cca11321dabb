//! Linear layers on quantised rows, with the epilogue of the numerics contract (rule 2) fused in.

use core::ops::Range;

use crate::dot::{Blocks, Epilogue, Products, S8Rows, U8Rows};
use crate::simd::{Isa, LANES, Simd, SimdOp};
use crate::{fault, math};

/// A linear layer: packed weights, one scale and one bias per output.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// `[outputs / 16][depth / 4][16][4]`
    pub weights: Blocks<'a>,
    /// `[outputs]`
    pub scales: &'a [f32],
    /// `[outputs]`, or empty for none.
    pub bias: &'a [f32],
}

impl<'a> Linear<'a> {
    /// Outputs, in whole vectors.
    pub fn outputs(&self) -> usize {
        self.weights.count() * LANES
    }

    /// Vectors `blocks` of its outputs.
    ///
    /// # Panics
    /// If it has no such outputs.
    pub fn slice(&self, blocks: Range<usize>) -> Linear<'a> {
        let values = blocks.start * LANES..blocks.end * LANES;
        let bias = if self.bias.is_empty() { &[] } else { &self.bias[values.clone()] };
        Linear { weights: self.weights.slice(blocks), scales: &self.scales[values], bias }
    }
}

/// What happens to each output `y = fma(sum, row scale * column scale, bias)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// `out = y`
    Store,
    /// `out = gelu(y)`
    Gelu,
    /// `out = out + y`
    Add,
    /// `out = out + gelu(y)`
    AddGelu,
}

/// Multiplies quantised rows with the layer: `out[row][n]`, each row all of the layer's outputs.
///
/// # Panics
/// If the depths differ or a slice is too short.
pub fn linear(isa: Isa, rows: S8Rows<'_>, scales: &[f32], layer: &Linear<'_>, finish: Finish, out: &mut [f32]) {
    linear_columns(isa, rows, scales, layer, finish, layer.outputs(), out);
}

/// As [`linear`], each row of `out` starting `stride` values behind the one before: the layer is a part of a wider one.
///
/// # Panics
/// As [`linear`], or if `stride` is no multiple of 16 or less than the layer's outputs.
pub fn linear_columns(isa: Isa, rows: S8Rows<'_>, scales: &[f32], layer: &Linear<'_>, finish: Finish, stride: usize, out: &mut [f32]) {
    isa.dispatch(LinearOp { rows, scales, layer, finish, stride, onto: &[], out: &mut *out });
    fault::f32s("linear", isa.name(), out);
}

/// As [`linear`], `out = onto + y`.
///
/// # Panics
/// As [`linear`], or if `onto` is shorter than `out`.
pub fn linear_onto(isa: Isa, rows: S8Rows<'_>, scales: &[f32], layer: &Linear<'_>, onto: &[f32], out: &mut [f32]) {
    let onto = &onto[..out.len()];
    isa.dispatch(LinearOp { rows, scales, layer, finish: Finish::Add, stride: layer.outputs(), onto, out: &mut *out });
    fault::f32s("linear", isa.name(), out);
}

struct LinearOp<'a> {
    rows: S8Rows<'a>,
    scales: &'a [f32],
    layer: &'a Linear<'a>,
    finish: Finish,
    stride: usize,
    /// What is added to in place of `out`, if anything.
    onto: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for LinearOp<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        match self.finish {
            Finish::Store => self.with::<S, { activation::NONE }, { onto::NOTHING }>(s),
            Finish::Gelu => self.with::<S, { activation::GELU }, { onto::NOTHING }>(s),
            Finish::Add if self.onto.is_empty() => self.with::<S, { activation::NONE }, { onto::ITSELF }>(s),
            Finish::Add => self.with::<S, { activation::NONE }, { onto::ANOTHER }>(s),
            Finish::AddGelu => self.with::<S, { activation::GELU }, { onto::ITSELF }>(s),
        }
    }
}

impl LinearOp<'_> {
    #[inline(always)]
    fn with<S: Products, const ACTIVATION: u8, const ONTO: u8>(self, s: S) {
        let mut epilogue = Dequantize::<ACTIVATION, ONTO>::new(self.scales, self.layer, self.stride, self.onto, self.out);
        s.products(self.rows, self.layer.weights, &mut epilogue);
    }
}

/// Multiplies quantised rows of u8 with the layer, as [`linear`] does; with `relu`, `out = max(y, 0)`.
///
/// # Panics
/// If the depths differ or a slice is too short.
pub fn linear_u8(isa: Isa, rows: U8Rows<'_>, scales: &[f32], layer: &Linear<'_>, relu: bool, out: &mut [f32]) {
    linear_u8_columns(isa, rows, scales, layer, relu, layer.outputs(), out);
}

/// As [`linear_u8`], into rows `stride` apart as [`linear_columns`] does.
///
/// # Panics
/// As [`linear_columns`].
pub fn linear_u8_columns(isa: Isa, rows: U8Rows<'_>, scales: &[f32], layer: &Linear<'_>, relu: bool, stride: usize, out: &mut [f32]) {
    isa.dispatch(LinearU8Op { rows, scales, layer, relu, stride, out: &mut *out });
    fault::f32s("linear_u8", isa.name(), out);
}

struct LinearU8Op<'a> {
    rows: U8Rows<'a>,
    scales: &'a [f32],
    layer: &'a Linear<'a>,
    relu: bool,
    stride: usize,
    out: &'a mut [f32],
}

impl SimdOp for LinearU8Op<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Products>(self, s: S) {
        if self.relu {
            let mut epilogue =
                Dequantize::<{ activation::RELU }, { onto::NOTHING }>::new(self.scales, self.layer, self.stride, &[], self.out);
            s.products(self.rows, self.layer.weights, &mut epilogue);
        } else {
            let mut epilogue =
                Dequantize::<{ activation::NONE }, { onto::NOTHING }>::new(self.scales, self.layer, self.stride, &[], self.out);
            s.products(self.rows, self.layer.weights, &mut epilogue);
        }
    }
}

/// What is applied to each output.
mod activation {
    pub(super) const NONE: u8 = 0;
    pub(super) const GELU: u8 = 1;
    pub(super) const RELU: u8 = 2;
}

/// What each output is added to.
mod onto {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const ITSELF: u8 = 1;
    pub(super) const ANOTHER: u8 = 2;
}

struct Dequantize<'a, const ACTIVATION: u8, const ONTO: u8> {
    row_scales: &'a [f32],
    scales: &'a [[f32; LANES]],
    bias: &'a [[f32; LANES]],
    onto: &'a [[f32; LANES]],
    out: &'a mut [[f32; LANES]],
    /// Vectors from one row to the next.
    stride: usize,
}

impl<'a, const ACTIVATION: u8, const ONTO: u8> Dequantize<'a, ACTIVATION, ONTO> {
    #[inline(always)]
    fn new(row_scales: &'a [f32], layer: &Linear<'a>, stride: usize, onto: &'a [f32], out: &'a mut [f32]) -> Self {
        let ((scales, _), (bias, _)) = (layer.scales.as_chunks(), layer.bias.as_chunks());
        let blocks = layer.weights.count();
        assert!(scales.len() >= blocks && (bias.is_empty() || bias.len() >= blocks), "a scale and a bias for each of {blocks} blocks");
        assert!(stride.is_multiple_of(LANES) && stride >= layer.outputs(), "rows of {stride} for {blocks} blocks");
        let out = out.as_chunks_mut().0;
        // A second row that far away is out of bounds already; a product with a row's number would wrap around into them again.
        let stride = (stride / LANES).min(out.len().max(blocks));
        Self { row_scales, scales, bias, onto: onto.as_chunks().0, out, stride }
    }
}

impl<S: Simd, const ACTIVATION: u8, const ONTO: u8> Epilogue<S> for Dequantize<'_, ACTIVATION, ONTO> {
    type Row = S::F32;
    type Block = (S::F32, S::F32);

    #[inline(always)]
    fn row(&self, s: S, row: usize) -> S::F32 {
        s.splat(self.row_scales[row])
    }

    #[inline(always)]
    fn block(&self, s: S, block: usize) -> (S::F32, S::F32) {
        (s.load(&self.scales[block]), self.bias.get(block).map_or(s.splat(0.0), |bias| s.load(bias)))
    }

    #[inline(always)]
    fn put(&mut self, s: S, (row, block): (usize, usize), row_scale: S::F32, (scale, bias): (S::F32, S::F32), sums: S::I32) {
        let mut y = s.fma(s.from_i32(sums), s.mul(row_scale, scale), bias);
        match ACTIVATION {
            activation::GELU => y = math::gelu(s, y),
            activation::RELU => y = s.max(y, s.splat(0.0)),
            _ => {}
        }
        let at = row * self.stride + block;
        let out = &mut self.out[at];
        match ONTO {
            onto::ITSELF => y = s.add(s.load(out), y),
            onto::ANOTHER => y = s.add(s.load(&self.onto[at]), y),
            _ => {}
        }
        s.store(y, out);
    }
}
