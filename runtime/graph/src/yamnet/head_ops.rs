//! The head's operators, of one patch at a time.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_kernels::conv::{Size, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::quantize_unsigned_rows;
use tract_core::internal::*;

use super::config::{BANDS, PARTS, YamnetConfig};
use crate::scoring::{Context, UnsignedLinear, add, relu};

/// The middle third of a map's rows, their bands joined into four: `[height / 3][4 * channels]`.
#[derive(Debug)]
pub(super) struct BandMeans {
    pub(super) context: Arc<Context<YamnetConfig>>,
    pub(super) size: Size,
    pub(super) channels: usize,
}

impl Layer for BandMeans {
    fn name(&self) -> &'static str {
        "BandMeans"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.size.height / PARTS, BANDS * self.channels]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let rows = self.size.height / PARTS;
        let band = self.size.width / BANDS * self.channels;
        let bands = io.input::<f32>(0)?.chunks_exact(band).skip(rows * BANDS);
        for (band, out) in bands.zip(io.output::<f32>(0)?.chunks_exact_mut(self.channels)) {
            mean_rows(self.context.isa, band, out);
        }
        Ok(())
    }
}

/// The sum of all inputs' projections to one width, and ReLU: `[cells][width]`. A row of an input stands for as many cells as it takes.
#[derive(Debug)]
pub(super) struct HeadJoin {
    pub(super) context: Arc<Context<YamnetConfig>>,
    pub(super) inputs: Vec<UnsignedLinear>,
    pub(super) cells: usize,
    pub(super) width: usize,
}

impl Layer for HeadJoin {
    fn name(&self) -> &'static str {
        "HeadJoin"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.cells, self.width]))
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(f32::fact([self.cells, self.width]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let projected = io.scratch::<f32>()?;
        let out = io.output::<f32>(0)?;
        let mut workspace = self.context.workspace(0);
        out.fill(0.0);
        for (input, linear) in self.inputs.iter().enumerate() {
            let x = io.input::<f32>(input)?;
            let rows = io.input_shape(input)?[0];
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
