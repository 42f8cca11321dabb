//! Linear layers on quantised rows, with the epilogue of the numerics contract (rule 2) fused in.

use crate::dot::{Blocks, Epilogue, S8Rows};
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
    isa.dispatch(LinearOp { rows, scales, layer, finish, out: &mut *out });
    fault::f32s("linear", isa.name(), out);
}

struct LinearOp<'a> {
    rows: S8Rows<'a>,
    scales: &'a [f32],
    layer: &'a Linear<'a>,
    finish: Finish,
    out: &'a mut [f32],
}

impl SimdOp for LinearOp<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.finish {
            Finish::Store => self.with::<S, false, false>(s),
            Finish::Gelu => self.with::<S, true, false>(s),
            Finish::Add => self.with::<S, false, true>(s),
            Finish::AddGelu => self.with::<S, true, true>(s),
        }
    }
}

impl LinearOp<'_> {
    #[inline(always)]
    fn with<S: Simd, const GELU: bool, const ADD: bool>(self, s: S) {
        let (scales, _) = self.layer.scales.as_chunks();
        let (bias, _) = self.layer.bias.as_chunks();
        let count = self.layer.weights.count();
        assert!(scales.len() >= count && (bias.is_empty() || bias.len() >= count), "a scale and a bias for each of {count} blocks");
        let out = self.out.as_chunks_mut().0;
        let mut epilogue = Dequantize::<GELU, ADD> { row_scales: self.scales, scales, bias, out, blocks: count };
        s.products(self.rows, self.layer.weights, &mut epilogue);
    }
}

struct Dequantize<'a, const GELU: bool, const ADD: bool> {
    row_scales: &'a [f32],
    scales: &'a [[f32; LANES]],
    bias: &'a [[f32; LANES]],
    out: &'a mut [[f32; LANES]],
    blocks: usize,
}

impl<S: Simd, const GELU: bool, const ADD: bool> Epilogue<S> for Dequantize<'_, GELU, ADD> {
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
        if GELU {
            y = math::gelu(s, y);
        }
        let out = &mut self.out[row * self.blocks + block];
        if ADD {
            y = s.add(s.load(out), y);
        }
        s.store(y, out);
    }
}
