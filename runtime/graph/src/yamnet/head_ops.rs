//! The head's operators, of one patch at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_kernels::conv::{Size, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::quantize_unsigned_rows;
use tract_core::internal::*;

use super::config::{BANDS, PARTS, TAPS};
use super::context::Context;
use super::ops::UnsignedLinear;
use crate::ops::{f32s, f32s_mut};
use crate::plan::Kernel;

/// The middle third of a map's rows, their bands joined into four: `[height / 3][4 * channels]`.
#[derive(Debug)]
pub(super) struct BandMeans {
    pub(super) context: Arc<Context>,
    pub(super) size: Size,
    pub(super) channels: usize,
}

impl Kernel for BandMeans {
    fn name(&self) -> &'static str {
        "BandMeans"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.size.height / PARTS, BANDS * self.channels]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let rows = self.size.height / PARTS;
        let band = self.size.width / BANDS * self.channels;
        let bands = f32s(&inputs[0])?.chunks_exact(band).skip(rows * BANDS);
        for (band, out) in bands.zip(f32s_mut(outputs[0])?.chunks_exact_mut(self.channels)) {
            mean_rows(self.context.isa, band, out);
        }
        Ok(())
    }
}

/// The sum of all inputs' projections to one width, and ReLU: `[cells][width]`. A row of an input stands for as many cells as it takes.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) context: Arc<Context>,
    pub(super) inputs: Vec<UnsignedLinear>,
    pub(super) cells: usize,
    pub(super) width: usize,
}

impl Kernel for Join {
    fn name(&self) -> &'static str {
        "Join"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.cells, self.width]))
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(f32::fact([self.cells, self.width]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], scratch: Option<&mut Tensor>) -> TractResult<()> {
        let projected = f32s_mut(scratch.context("no scratch")?)?;
        let out = f32s_mut(outputs[0])?;
        let mut workspace = self.context.workspace(0);
        out.fill(0.0);
        for (input, linear) in inputs.iter().zip(&self.inputs) {
            let x = f32s(input)?;
            let rows = input.shape()[0];
            let mut quantized = workspace.rows(rows, x.len() / rows);
            quantize_unsigned_rows(self.context.isa, x, &mut quantized);
            let layer = self.context.folder.linear(&linear.layer);
            let projected = &mut projected[..rows * self.width];
            linear_u8(self.context.isa, quantized.as_rows(&linear.sums), quantized.scales, &layer, false, projected);
            let stands_for = self.cells / rows * self.width;
            for (out, row) in out.chunks_exact_mut(stands_for).zip(projected.chunks_exact(self.width)) {
                for cell in out.chunks_exact_mut(self.width) {
                    add(cell, row);
                }
            }
        }
        relu(out);
        Ok(())
    }
}

/// What a temporal convolution remembers of the cells so far.
#[derive(Debug)]
pub(super) struct Memory(Mutex<Cells>);

/// The last cells that a temporal convolution reads, oldest first.
#[derive(Debug)]
struct Cells {
    /// `[2 * dilation + cells of a patch][width]`
    values: Vec<f32>,
    /// Cells taken since the recording began.
    taken: usize,
}

impl Memory {
    pub(super) fn new(values: usize) -> Self {
        Self(Mutex::new(Cells { values: vec![0.0; values], taken: 0 }))
    }

    /// Forgets the recording so far.
    pub(super) fn reset(&self) {
        let mut cells = self.cells();
        cells.values.fill(0.0);
        cells.taken = 0;
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `relu(x(t) + W [x(t - d), x(t), x(t + d)] + b)`: `[cells][width]`, `d` cells later than what comes in. What lies before the recording's
/// first cell is zero, here and in the output.
#[derive(Debug)]
pub(super) struct Temporal {
    pub(super) context: Arc<Context>,
    pub(super) linear: UnsignedLinear,
    pub(super) memory: Arc<Memory>,
    pub(super) dilation: usize,
    /// Cells by which the output is late in all.
    pub(super) lag: usize,
    pub(super) cells: usize,
    pub(super) width: usize,
}

impl Kernel for Temporal {
    fn name(&self) -> &'static str {
        "Temporal"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.cells, self.width]))
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(f32::fact([self.cells, TAPS * self.width]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], scratch: Option<&mut Tensor>) -> TractResult<()> {
        let (width, dilation) = (self.width, self.dilation * self.width);
        let gathered = f32s_mut(scratch.context("no scratch")?)?;
        let out = f32s_mut(outputs[0])?;
        let mut memory = self.memory.cells();
        memory.values.copy_within(self.cells * width.., 0);
        memory.values[2 * dilation..].copy_from_slice(f32s(&inputs[0])?);
        for (cell, taps) in gathered.chunks_exact_mut(TAPS * width).enumerate() {
            for (tap, values) in taps.chunks_exact_mut(width).enumerate() {
                values.copy_from_slice(&memory.values[cell * width + tap * dilation..][..width]);
            }
        }
        let mut workspace = self.context.workspace(0);
        let mut rows = workspace.rows(self.cells, TAPS * width);
        quantize_unsigned_rows(self.context.isa, gathered, &mut rows);
        let layer = self.context.folder.linear(&self.linear.layer);
        linear_u8(self.context.isa, rows.as_rows(&self.linear.sums), rows.scales, &layer, false, out);
        add(out, &memory.values[dilation..][..self.cells * width]);
        relu(out);
        let before = self.lag.saturating_sub(memory.taken).min(self.cells);
        out[..before * width].fill(0.0);
        memory.taken = memory.taken.saturating_add(self.cells);
        Ok(())
    }
}

fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// Whatever is not above zero is +0.
fn relu(x: &mut [f32]) {
    for x in x {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}
