//! Convolutions over rows of a sequence in 8 bits, tap by tap.
//!
//! Each row is quantised once, with a scale of its own, and multiplied with the weights of each tap; results are added up in the order of taps.
//! So no window is gathered, however far its taps lie apart, and a quiet row next to a loud one keeps its precision.

use std::ops::Range;

use crate::Session;
use crate::scratch::{Need, Scratch};
use crate::session::ROWS;
use crate::weights::{FolderError, LinearSpan, Weights};
use crate::work::{Units, Work};
use ossicle_kernels::dot::S8Rows;
use ossicle_kernels::linear::{Finish, Linear, linear_columns};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::LANES;

use super::leaky_relu;

/// Rows of results that are computed at a time, on each thread.
pub const BLOCK: usize = 2 * ROWS;

/// Sizes of [`Taps`].
#[derive(Clone, Copy, Debug)]
pub struct TapsShape {
    /// Values of a row that goes in, a multiple of 16.
    pub inputs: usize,
    /// Values of a row that comes out, a multiple of 16.
    pub outputs: usize,
    /// Taps, an odd number.
    pub taps: usize,
    /// Rows from one tap to the next.
    pub dilation: usize,
}

/// Weights of a convolution: a linear layer of `taps * outputs` outputs, the bias with the first tap's.
#[derive(Clone, Debug)]
pub struct Taps {
    layer: LinearSpan,
    shape: TapsShape,
}

impl Taps {
    /// Tensors `NAME.weight`, `NAME.weight_scale` and `NAME.bias`.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing, misshapen or not finite.
    pub fn new(weights: &Weights, name: &str, shape: TapsShape) -> Result<Self, FolderError> {
        Ok(Self { layer: weights.linear_span(name, shape.taps * shape.outputs, shape.inputs, true)?, shape })
    }

    /// Its sizes.
    pub fn shape(&self) -> TapsShape {
        self.shape
    }

    /// Rows that it looks back and ahead.
    pub fn reach(&self) -> usize {
        self.shape.taps / 2 * self.shape.dilation
    }

    /// How much it computes for so many rows.
    pub fn work(&self, rows: usize) -> Work {
        let TapsShape { inputs, outputs, taps, .. } = self.shape;
        Work::product(rows, taps * inputs, outputs).and(rows, Units { quantize: inputs as f64, ..Units::default() })
    }

    /// Results of rows `first ..` of what `rows` holds, as many as `out` has; added to what is there if `add`.
    pub fn run(&self, session: &Session, rows: &TapBuffers<'_>, first: usize, add: bool, out: &mut [f32]) {
        let TapsShape { outputs, taps, dilation, .. } = self.shape;
        let layer = session.weights().linear(&self.layer);
        for tap in 0..taps {
            let blocks = tap * outputs / LANES..(tap + 1) * outputs / LANES;
            let finish = if tap == 0 && !add { Finish::Store } else { Finish::Add };
            rows.multiply(session, first + tap * dilation, &layer.slice(blocks), finish, outputs, out);
        }
    }
}

/// Rows in 8 bits.
#[derive(Debug)]
pub struct TapBuffers<'a> {
    values: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    active: &'a mut [f32],
    inputs: usize,
}

impl<'a> TapBuffers<'a> {
    /// What `rows` rows of `inputs` values need of each thread.
    pub fn need(need: Need, rows: usize, inputs: usize) -> Need {
        need.thread::<i8>(rows * inputs).thread::<f32>(rows).thread::<i32>(rows).thread::<f32>(ROWS * inputs)
    }

    /// Takes what [`need`](Self::need) asked for.
    pub fn take(scratch: &mut Scratch<'a>, rows: usize, inputs: usize) -> Self {
        let values = scratch.take(rows * inputs);
        Self { values, scales: scratch.take(rows), sums: scratch.take(rows), active: scratch.take(ROWS * inputs), inputs }
    }

    /// Quantises values `from ..` of each row of `x`, `width` values wide, below zero times `slope`.
    pub fn fill(&mut self, session: &Session, x: &[f32], width: usize, from: usize, slope: f32) {
        let inputs = self.inputs;
        for (block, x) in x.chunks(ROWS * width).enumerate() {
            let (first, count) = (block * ROWS, x.len() / width);
            let active = &mut self.active[..count * inputs];
            for (active, x) in active.chunks_exact_mut(inputs).zip(x.chunks_exact(width)) {
                active.copy_from_slice(&x[from..from + inputs]);
            }
            if slope != 1.0 {
                leaky_relu(active, slope);
            }
            let (values, scales, sums) = (&mut self.values[first * inputs..], &mut self.scales[first..], &mut self.sums[first..]);
            quantize_rows(session.isa(), active, inputs, inputs, &mut QuantRows::new(values, scales, sums, count, inputs));
        }
    }

    /// Quantises rows `at ..`, `count` of them, as `make` writes them: it gets the first of a few, counted from `at`, and `[rows][inputs]`.
    pub fn put(&mut self, session: &Session, at: usize, count: usize, mut make: impl FnMut(usize, &mut [f32])) {
        let inputs = self.inputs;
        for first in (0..count).step_by(ROWS) {
            let (rows, to) = (ROWS.min(count - first), at + first);
            let active = &mut self.active[..rows * inputs];
            make(first, active);
            let (values, scales, sums) = (&mut self.values[to * inputs..], &mut self.scales[to..], &mut self.sums[to..]);
            quantize_rows(session.isa(), active, inputs, inputs, &mut QuantRows::new(values, scales, sums, rows, inputs));
        }
    }

    /// Rows of zeros.
    pub fn clear(&mut self, rows: Range<usize>) {
        self.values[rows.start * self.inputs..rows.end * self.inputs].fill(0);
        self.scales[rows.clone()].fill(0.0);
        self.sums[rows].fill(0);
    }

    /// Multiplies rows from `first` on into rows of `out`, which are `stride` values apart; the last may be shorter.
    pub fn multiply(&self, session: &Session, first: usize, layer: &Linear<'_>, finish: Finish, stride: usize, out: &mut [f32]) {
        let count = out.len().div_ceil(stride);
        let values = &self.values[first * self.inputs..(first + count) * self.inputs];
        let rows = S8Rows::new(values, &self.sums[first..first + count], self.inputs, self.inputs);
        linear_columns(session.isa(), rows, &self.scales[first..first + count], layer, finish, stride, out);
    }
}
