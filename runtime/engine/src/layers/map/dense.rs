//! Linear layers on positions, and convolutions as linear layers on windows.

use std::ops::Range;
use std::sync::Arc;

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{LinearSpan, Span};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::linear::{Finish, linear_columns, linear_u8_columns};
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::patches::{Patches, quantize_offset_patches, quantize_patches};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Map, Window, gather};

use super::{Block, Offset, Shape, finish, map_fact, record_map};

/// Where a layer's weights are, how rows are quantised for them, and the sums that rows of u8 need.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Weights of the linear layer.
    pub layer: LinearSpan,
    /// How rows are quantised.
    pub offset: Offset,
    /// Sums of the weights of each output, which rows of u8 need.
    pub sums: Arc<[i32]>,
    /// Values of a row.
    pub depth: usize,
}

/// `activation(layer(x))` for each position, or for each window's values.
#[derive(Debug)]
pub struct Dense {
    /// Weights of the layer.
    pub weights: Packed,
    /// What the output looks at.
    pub window: Option<(Window, Block)>,
    /// Shape of the input.
    pub input: Shape,
    /// Values of each position of the input.
    pub stride: usize,
    /// Shape of the output.
    pub output: Shape,
    /// Applied to the result.
    pub activation: Activation,
}

/// What is multiplied at once.
pub(super) struct Part {
    /// Channels of the input.
    pub(super) channels: Range<usize>,
    /// Vectors of outputs.
    pub(super) blocks: Range<usize>,
}

/// Weights of more bytes than this do not stay in a core's second cache while rows go by.
const HEAVY_BYTES: usize = 512 * 1024;

/// Rows of the tallest tile.
const TALLEST: usize = 12;

/// Quantised rows that do.
const RESIDENT_BYTES: usize = 256 * 1024;

/// All channels of an input, or those of one block of groups after the other.
pub(super) fn parts(window: &Option<(Window, Block)>, input: Shape, output: Shape) -> impl Iterator<Item = Part> + use<> {
    let vectors = output.padded() / LANES;
    let (inputs, outputs) = match window {
        Some((_, block)) if block.outputs < output.channels => (block.inputs, block.outputs / LANES),
        _ => (input.channels, vectors),
    };
    (0..vectors.div_ceil(outputs)).map(move |part| {
        let end = |width: usize, most: usize| ((part + 1) * width).min(most);
        Part { channels: part * inputs..end(inputs, input.channels), blocks: part * outputs..end(outputs, vectors) }
    })
}

impl Dense {
    /// Rows that are quantised and multiplied at a time: heavy weights come from memory once for each block of rows, so those are few and alike.
    fn rows(&self) -> usize {
        let (positions, depth) = (self.output.positions(), self.weights.depth);
        if depth * self.output.padded() < HEAVY_BYTES {
            return positions.min(ROWS);
        }
        let most = (RESIDENT_BYTES / depth).max(ROWS);
        positions.div_ceil(positions.div_ceil(most)).next_multiple_of(TALLEST).min(positions)
    }
}

impl Layer for Dense {
    fn name(&self) -> &'static str {
        "Dense"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn scratch(&self) -> Need {
        let rows = self.rows();
        Need::default().thread::<u8>(rows * self.weights.depth).thread::<f32>(rows).thread::<i32>(rows)
    }

    fn work(&self) -> Work {
        let positions = self.output.positions();
        let row = Units { quantize: self.weights.depth as f64, ..Units::default() };
        let products = parts(&self.window, self.input, self.output)
            .map(|part| Work::product(positions, self.weights.depth, part.blocks.len() * LANES));
        products.fold(Work::default(), Work::plus).and(positions, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let threads = io.thread_scratch();
        let Packed { layer, offset, sums, depth } = &self.weights;
        let layer = session.weights().linear(layer);
        let (isa, width, depth) = (session.isa(), self.output.padded(), *depth);
        // Rows of u8 have it in their epilogue.
        let relu = offset.is_some() && self.activation == Activation::Relu;
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let (mut memory, most) = (threads.of(thread), self.rows());
            let mut scratch = memory.take_all();
            let (values, scales, row_sums) = (scratch.take::<u8>(most * depth), scratch.take(most), scratch.take(most));
            for (block, out) in out.chunks_mut(most * width).enumerate() {
                let (first, rows) = (start + block * most, out.len() / width);
                for part in parts(&self.window, self.input, self.output) {
                    let (layer, columns) = (layer.slice(part.blocks.clone()), part.blocks.start * LANES);
                    let patches = self.window.as_ref().map(|(window, block)| Patches {
                        map: Map { values: x, size: self.input.size, channels: self.stride },
                        channels: part.channels.clone(),
                        width: block.inputs,
                        window,
                        first,
                    });
                    match *offset {
                        Some(offset) => {
                            let mut quantized = UnsignedRows::new(values, scales, rows, depth);
                            match &patches {
                                Some(patches) => quantize_offset_patches(isa, patches, offset, &mut quantized),
                                None => quantize_offset_rows(isa, &x[first * depth..][..rows * depth], depth, offset, &mut quantized),
                            }
                            let quantized_rows = quantized.as_rows(&sums[columns..]);
                            linear_u8_columns(isa, quantized_rows, quantized.scales, &layer, relu, width, &mut out[columns..]);
                        }
                        None => {
                            let mut quantized = QuantRows::new(bytemuck::cast_slice_mut(values), scales, row_sums, rows, depth);
                            match &patches {
                                Some(patches) => quantize_patches(isa, patches, &mut quantized),
                                None => quantize_rows(isa, &x[first * depth..][..rows * depth], depth, depth, &mut quantized),
                            }
                            let finish = Finish::Store;
                            linear_columns(isa, quantized.as_rows(), quantized.scales, &layer, finish, width, &mut out[columns..]);
                        }
                    }
                }
                if !relu {
                    finish(isa, self.activation, self.output, out);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// As [`Dense`] on windows, in f32.
#[derive(Debug)]
pub struct DenseF32 {
    /// Weights of the layer.
    pub weights: Span,
    /// Biases, one for each channel.
    pub bias: Span,
    /// What the output looks at.
    pub window: Window,
    /// Shape of the input.
    pub input: Shape,
    /// Values of each position of the input.
    pub stride: usize,
    /// Shape of the output.
    pub output: Shape,
    /// Applied to the result.
    pub activation: Activation,
}

impl Layer for DenseF32 {
    fn name(&self) -> &'static str {
        "DenseF32"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn scratch(&self) -> Need {
        let depth = self.window.taps() * self.input.channels;
        Need::default().thread::<f32>(self.output.positions().min(ROWS) * depth)
    }

    fn work(&self) -> Work {
        let depth = self.window.taps() * self.input.channels;
        let row = Units { float_mac: (depth * self.output.channels) as f64, ..Units::default() };
        let work = Work::default().and(self.output.positions(), row);
        Work { bytes: 4.0 * (depth * self.output.channels) as f64, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let threads = io.thread_scratch();
        let map = Map { values: io.input::<f32>(0)?, size: self.input.size, channels: self.stride };
        let (weights, bias) = (session.weights().f32s(&self.weights), session.weights().f32s(&self.bias));
        let (isa, width, depth) = (session.isa(), self.output.padded(), self.window.taps() * self.input.channels);
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let mut memory = threads.of(thread);
            let gathered = memory.take_all().take::<f32>(self.output.positions().min(ROWS) * depth);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let gathered = &mut gathered[..out.len() / width * depth];
                gather(map, self.input.channels, &self.window, start + block * ROWS, depth, gathered);
                multiply_rows(isa, gathered, weights, bias, out);
                finish(isa, self.activation, self.output, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
