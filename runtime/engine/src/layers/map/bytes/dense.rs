//! Linear layers and convolutions from or to maps of bytes.

use std::sync::Arc;

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::{Need, ThreadScratch};
use crate::session::ROWS;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::bytes::{ByteMap, ToBytes, gather_bytes, linear_bytes, linear_row_bytes, linear_u8_row_bytes, quantize_channels};
use ossicle_kernels::dot::U8Rows;
use ossicle_kernels::linear::{Linear, linear_u8_columns};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::Window;

use super::super::dense::{Part, parts};
use super::super::{Block, Packed, Shape, finish, map_fact, record_map};
use super::{Grid, byte_fact, record_bytes};

/// A linear layer on each position, or on each window's values, of which the input, the output or both are bytes.
#[derive(Debug)]
pub struct ByteDense {
    /// Weights of the layer. Its scales and biases are those of the result: of steps where that is bytes without a curve.
    pub weights: Packed,
    /// What the output looks at; of bytes only.
    pub window: Option<(Window, Block)>,
    /// Shape of the input.
    pub input: Shape,
    /// What its bytes stand for, if it has bytes.
    pub from: Option<Grid>,
    /// Shape of the output.
    pub output: Shape,
    /// What its bytes are to stand for, if it gets bytes.
    pub to: Option<(Grid, ToBytes)>,
    /// Applied to the result, unless it becomes bytes.
    pub activation: Activation,
}

/// One thread's memory.
struct Buffers<'a> {
    values: &'a mut [u8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl ByteDense {
    fn rows(&self) -> usize {
        self.output.positions().min(ROWS)
    }

    fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        parts(&self.window, self.input, self.output)
    }

    /// Bytes that a block of rows takes before it is multiplied; none where the map is read in place.
    fn gathered(&self) -> usize {
        if self.from.is_some() && self.window.is_none() { 0 } else { self.rows() * self.weights.depth }
    }

    /// Calls `work` with one block of `out`'s rows after the other, each thread with its own memory.
    fn for_blocks<T: Send>(
        &self,
        session: &Session,
        threads: &ThreadScratch<'_>,
        out: &mut [T],
        work: impl Fn(usize, &mut Buffers<'_>, &mut [T]) + Sync,
    ) {
        let (width, most) = (self.output.padded(), self.rows());
        session.pool().for_parts(out, width, LANES, |thread, start, out| {
            let mut memory = threads.of(thread);
            let mut memory = memory.take_all();
            let mut memory = Buffers { values: memory.take(self.gathered()), scales: memory.take(most), sums: memory.take(most) };
            for (block, out) in out.chunks_mut(most * width).enumerate() {
                work(start + block * most, &mut memory, out);
            }
        });
    }

    /// Rows `first ..` of bytes, gathered if the layer has a window.
    fn byte_rows<'b>(&self, x: &'b [u8], first: usize, rows: usize, part: &Part, values: &'b mut [u8], sums: &'b [i32]) -> U8Rows<'b> {
        let depth = self.weights.depth;
        let sums = &sums[part.blocks.start * LANES..];
        match &self.window {
            None => U8Rows::new(&x[first * depth..], sums, rows, depth, depth),
            Some((window, block)) => {
                let map = ByteMap { values: x, size: self.input.size, channels: self.input.padded() };
                let zero = self.from.map_or(0, |grid| grid.zero);
                let values = &mut values[..rows * depth];
                gather_bytes(map, part.channels.clone(), block.inputs, window, first, depth, &[zero], values);
                U8Rows::new(values, sums, rows, depth, depth)
            }
        }
    }

    /// One block of rows to bytes.
    #[expect(clippy::too_many_arguments, reason = "what a block of rows needs")]
    fn to_bytes(
        &self,
        session: &Session,
        io: &Source<'_>,
        layer: &Linear<'_>,
        to: &ToBytes,
        first: usize,
        memory: &mut Buffers<'_>,
        out: &mut [u8],
    ) {
        let (isa, width, depth) = (session.isa(), self.output.padded(), self.weights.depth);
        let rows = out.len() / width;
        for part in self.parts() {
            let (layer, columns) = (layer.slice(part.blocks.clone()), part.blocks.start * LANES);
            match *io {
                Source::Bytes(x) => {
                    let rows = self.byte_rows(x, first, rows, &part, memory.values, &self.weights.sums);
                    linear_bytes(isa, rows, &layer, to, width, &mut out[columns..]);
                }
                Source::Floats(x) => {
                    let x = &x[first * depth..][..rows * depth];
                    if let Some(offset) = self.weights.offset {
                        let mut quantized = UnsignedRows::new(memory.values, memory.scales, rows, depth);
                        quantize_offset_rows(isa, x, depth, offset, &mut quantized);
                        let rows = quantized.as_rows(&self.weights.sums);
                        linear_u8_row_bytes(isa, rows, quantized.scales, &layer, to, width, &mut out[columns..]);
                    } else {
                        let values = bytemuck::cast_slice_mut(memory.values);
                        let mut quantized = QuantRows::new(values, memory.scales, memory.sums, rows, depth);
                        quantize_rows(isa, x, depth, depth, &mut quantized);
                        linear_row_bytes(isa, quantized.as_rows(), quantized.scales, &layer, to, width, &mut out[columns..]);
                    }
                }
            }
        }
    }

    /// One block of rows of bytes to f32.
    fn to_floats(&self, session: &Session, x: &[u8], layer: &Linear<'_>, first: usize, memory: &mut Buffers<'_>, out: &mut [f32]) {
        let (isa, width) = (session.isa(), self.output.padded());
        let (rows, relu) = (out.len() / width, self.activation == Activation::Relu);
        memory.scales.fill(1.0);
        for part in self.parts() {
            let (layer, columns) = (layer.slice(part.blocks.clone()), part.blocks.start * LANES);
            let quantized = self.byte_rows(x, first, rows, &part, memory.values, &self.weights.sums);
            linear_u8_columns(isa, quantized, &memory.scales[..rows], &layer, relu, width, &mut out[columns..]);
        }
        if !relu {
            finish(isa, self.activation, self.output, out);
        }
    }
}

/// What a layer reads.
#[derive(Clone, Copy)]
enum Source<'a> {
    Floats(&'a [f32]),
    Bytes(&'a [u8]),
}

impl Layer for ByteDense {
    fn name(&self) -> &'static str {
        "ByteDense"
    }

    fn outputs(&self) -> Vec<Fact> {
        if self.to.is_some() { byte_fact(self.output) } else { map_fact(self.output) }
    }

    fn scratch(&self) -> Need {
        let rows = self.rows();
        Need::default().thread::<u8>(self.gathered()).thread::<f32>(rows).thread::<i32>(rows)
    }

    fn work(&self) -> Work {
        let positions = self.output.positions();
        let quantize = if self.from.is_some() { 0.0 } else { self.weights.depth as f64 };
        let products = self.parts().map(|part| Work::product(positions, self.weights.depth, part.blocks.len() * LANES));
        products.fold(Work::default(), Work::plus).and(positions, Units { quantize, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let source = match self.from {
            Some(_) => Source::Bytes(io.input(0)?),
            None => Source::Floats(io.input(0)?),
        };
        let threads = io.thread_scratch();
        let layer = session.weights().linear(&self.weights.layer);
        match (self.to, source) {
            (Some((_, to)), _) => self.for_blocks(session, &threads, io.output::<u8>(0)?, |first, memory, out| {
                self.to_bytes(session, &source, &layer, &to, first, memory, out);
            }),
            (None, Source::Bytes(x)) => self.for_blocks(session, &threads, io.output::<f32>(0)?, |first, memory, out| {
                self.to_floats(session, x, &layer, first, memory, out);
            }),
            (None, Source::Floats(_)) => return Err(GraphError::Layer("no side of it is bytes")),
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        match self.to {
            Some((grid, _)) => record_bytes(self.output, grid, results, record),
            None => record_map(self.output, results, record),
        }
    }
}

/// How the network's input becomes bytes: `fma(x, steps, zero)` for each channel, rounded, within 0 to 255.
#[derive(Clone, Debug)]
pub struct Pixels {
    /// Of whole vectors of whole positions.
    steps: Arc<[f32]>,
    zeros: Arc<[f32]>,
    /// The byte of zero in each channel.
    outside: Arc<[u8]>,
}

impl Pixels {
    /// Steps and zeros of each channel.
    pub fn new(steps: &[f32], zeros: &[f32]) -> Self {
        let repeat = |of: &[f32]| (0..LANES).flat_map(|_| of.iter().copied()).collect();
        let outside = zeros.iter().map(|zero| zero.round_ties_even().clamp(0.0, 255.0) as u8).collect();
        Self { steps: repeat(steps), zeros: repeat(zeros), outside }
    }
}

/// A convolution of the network's input, which becomes bytes first.
#[derive(Debug)]
pub struct PixelConv {
    /// How it becomes bytes.
    pub pixels: Pixels,
    /// Weights of the layer, as those of [`ByteDense`].
    pub weights: Packed,
    /// What the output looks at.
    pub window: Window,
    /// Shape of the input, whose channels are not padded.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// What its bytes are to stand for.
    pub to: (Grid, ToBytes),
}

impl Layer for PixelConv {
    fn name(&self) -> &'static str {
        "PixelConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        byte_fact(self.output)
    }

    fn scratch(&self) -> Need {
        let bytes = Need::default().shared::<u8>(self.input.positions() * self.input.channels);
        bytes.thread::<u8>(self.output.positions().min(ROWS) * self.weights.depth)
    }

    fn work(&self) -> Work {
        let positions = self.output.positions();
        let values = self.input.positions() * self.input.channels;
        let row = Units { quantize: values as f64 / positions as f64, ..Units::default() };
        Work::product(positions, self.weights.depth, self.output.padded()).and(positions, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let Pixels { steps, zeros, outside } = &self.pixels;
        let isa = session.isa();
        let bytes = io.scratch::<u8>(x.len());
        session.pool().for_parts(bytes, steps.len(), 1, |_, start, out| {
            quantize_channels(isa, &x[start * steps.len()..][..out.len()], steps, zeros, out);
        });
        let map = ByteMap { values: bytes, size: self.input.size, channels: self.input.channels };
        let layer = session.weights().linear(&self.weights.layer);
        let (width, depth, threads) = (self.output.padded(), self.weights.depth, io.thread_scratch());
        session.pool().for_parts(io.output::<u8>(0)?, width, LANES, |thread, start, out| {
            let mut memory = threads.of(thread);
            let values = memory.take_all().take::<u8>(self.output.positions().min(ROWS) * depth);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let rows = out.len() / width;
                let values = &mut values[..rows * depth];
                let channels = self.input.channels;
                gather_bytes(map, 0..channels, channels, &self.window, start + block * ROWS, depth, outside, values);
                linear_bytes(isa, U8Rows::new(values, &self.weights.sums, rows, depth, depth), &layer, &self.to.1, width, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_bytes(self.output, self.to.0, results, record)
    }
}
