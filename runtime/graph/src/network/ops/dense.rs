//! Linear layers on positions, and convolutions as linear layers on windows.

use std::sync::Arc;

use ossicle_kernels::activation::Activation;
use ossicle_kernels::linear::{Finish, linear, linear_u8};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Map, Window, gather, multiply_rows};
use tract_core::internal::*;

use super::{finish, map_fact, record_map};
use crate::folder::{LinearSpan, Span};
use crate::network::config::{Offset, Shape};
use crate::network::context::{Context, Workspace};
use crate::ops::{ROWS, f32s, f32s_mut};
use crate::plan::Kernel;
use crate::taps::Record;

/// Where a layer's weights are, how rows are quantised for them, and the sums that rows of u8 need.
#[derive(Clone, Debug)]
pub(in crate::network) struct Packed {
    pub(in crate::network) layer: LinearSpan,
    pub(in crate::network) offset: Offset,
    pub(in crate::network) sums: Arc<[i32]>,
    /// Values of a row.
    pub(in crate::network) depth: usize,
}

/// `activation(layer(x))` for each position, or for each window's values.
#[derive(Debug)]
pub(in crate::network) struct Dense {
    pub(in crate::network) context: Arc<Context>,
    pub(in crate::network) weights: Packed,
    pub(in crate::network) window: Option<Window>,
    pub(in crate::network) input: Shape,
    /// Values of each position of the input.
    pub(in crate::network) stride: usize,
    pub(in crate::network) output: Shape,
    pub(in crate::network) activation: Activation,
}

impl Kernel for Dense {
    fn name(&self) -> &'static str {
        "Dense"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map_fact(self.output)
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let Packed { layer, offset, sums, depth } = &self.weights;
        let layer = self.context.folder.linear(layer);
        let (isa, width, depth) = (self.context.isa, self.output.padded(), *depth);
        self.context.pool.for_parts(f32s_mut(outputs[0])?, width, LANES, |thread, start, out| {
            let Workspace { gathered, values, scales, sums: row_sums, .. } = &mut *self.context.workspace(thread);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let (first, rows) = (start + block * ROWS, out.len() / width);
                let x = match &self.window {
                    Some(window) => {
                        let gathered = &mut gathered[..rows * depth];
                        let map = Map { values: x, size: self.input.size, channels: self.stride };
                        gather(map, self.input.channels, window, first, depth, gathered);
                        &*gathered
                    }
                    None => &x[first * depth..][..rows * depth],
                };
                match *offset {
                    Some(offset) => {
                        let mut quantized = UnsignedRows::new(values, scales, rows, depth);
                        quantize_offset_rows(isa, x, depth, offset, &mut quantized);
                        linear_u8(isa, quantized.as_rows(sums), quantized.scales, &layer, false, out);
                    }
                    None => {
                        let mut quantized = QuantRows::new(bytemuck::cast_slice_mut(values), scales, row_sums, rows, depth);
                        quantize_rows(isa, x, depth, depth, &mut quantized);
                        linear(isa, quantized.as_rows(), quantized.scales, &layer, Finish::Store, out);
                    }
                }
                finish(isa, self.activation, self.output, out);
            }
        });
        Ok(())
    }

    fn record(&self, outputs: &[Arc<Tensor>], record: &mut Record<'_>) -> TractResult<()> {
        record_map(self.output, outputs, record)
    }
}

/// As [`Dense`] on windows, in f32.
#[derive(Debug)]
pub(in crate::network) struct DenseF32 {
    pub(in crate::network) context: Arc<Context>,
    pub(in crate::network) weights: Span,
    pub(in crate::network) bias: Span,
    pub(in crate::network) window: Window,
    pub(in crate::network) input: Shape,
    /// Values of each position of the input.
    pub(in crate::network) stride: usize,
    pub(in crate::network) output: Shape,
    pub(in crate::network) activation: Activation,
}

impl Kernel for DenseF32 {
    fn name(&self) -> &'static str {
        "DenseF32"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map_fact(self.output)
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let map = Map { values: f32s(&inputs[0])?, size: self.input.size, channels: self.stride };
        let (weights, bias) = (self.context.folder.f32s(&self.weights), self.context.folder.f32s(&self.bias));
        let (isa, width, depth) = (self.context.isa, self.output.padded(), self.window.taps() * self.input.channels);
        self.context.pool.for_parts(f32s_mut(outputs[0])?, width, LANES, |thread, start, out| {
            let Workspace { gathered, .. } = &mut *self.context.workspace(thread);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let gathered = &mut gathered[..out.len() / width * depth];
                gather(map, self.input.channels, &self.window, start + block * ROWS, depth, gathered);
                multiply_rows(isa, gathered, weights, bias, out);
                finish(isa, self.activation, self.output, out);
            }
        });
        Ok(())
    }

    fn record(&self, outputs: &[Arc<Tensor>], record: &mut Record<'_>) -> TractResult<()> {
        record_map(self.output, outputs, record)
    }
}
