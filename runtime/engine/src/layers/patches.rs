//! Layers on several patches of a recording at a time. All maps are `[patches * positions][channels]`, f32.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{Span, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::conv::{Filters, Size, convolve_plane, depthwise, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::UnsignedRows;
use ossicle_kernels::simd::LANES;

use super::UnsignedLinear;

/// Where the filters of a 3 x 3 convolution are.
#[derive(Clone, Debug)]
pub struct FilterSpans {
    /// Weights, `[9][channels]`.
    pub weights: Span,
    /// Biases, one for each channel.
    pub bias: Span,
    /// Positions from one window to the next.
    pub stride: usize,
}

impl FilterSpans {
    fn get<'a>(&self, weights: &'a Weights) -> Filters<'a> {
        Filters { weights: weights.f32s(&self.weights), bias: weights.f32s(&self.bias), stride: self.stride }
    }
}

/// Maps before and after a [`Separable`].
#[derive(Clone, Copy, Debug)]
pub struct SeparableShape {
    /// Positions of the input.
    pub input: Size,
    /// Positions of the output.
    pub output: Size,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
}

/// Positions `first ..` of all patches, cut where a patch ends: patch, first position in it, and number.
fn by_patch(first: usize, count: usize, positions: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut at = first;
    std::iter::from_fn(move || {
        let (patch, position) = (at / positions, at % positions);
        let taken = (first + count - at).min(positions - position);
        at += taken;
        (taken > 0).then_some((patch, position, taken))
    })
}

/// The first convolution, of patches `[patches * frames][bands]`, and ReLU.
#[derive(Debug)]
pub struct ConvPlane {
    /// Weights of the 3 x 3 convolution.
    pub filters: FilterSpans,
    /// Frames and bands of a patch.
    pub patch: Size,
    /// Patches, or cells, that come at a time.
    pub patches: usize,
    /// Channels of a position.
    pub channels: usize,
}

impl Layer for ConvPlane {
    fn name(&self) -> &'static str {
        "ConvPlane"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.patches * self.patch.strided(self.filters.stride).positions(), self.channels])]
    }

    fn work(&self) -> Work {
        let positions = self.patches * self.patch.strided(self.filters.stride).positions();
        let mut work = Work::default().and(positions, Units { filter_mac: 9.0 * self.channels as f64, ..Units::default() });
        work.bytes = 4.0 * 10.0 * self.channels as f64;
        work
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let filters = self.filters.get(session.weights());
        let (isa, patch, channels) = (session.isa(), self.patch, self.channels);
        let positions = patch.strided(filters.stride).positions();
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, start, mut out| {
            for (index, first, count) in by_patch(start, out.len() / channels, positions) {
                let own = out.split_off_mut(..count * channels).unwrap_or_default();
                convolve_plane(isa, &x[index * patch.positions()..][..patch.positions()], patch, &filters, first, own);
            }
        });
        Ok(())
    }
}

/// A depthwise convolution, ReLU, a 1 x 1 convolution, ReLU.
#[derive(Debug)]
pub struct Separable {
    /// Weights of the 3 x 3 convolution.
    pub filters: FilterSpans,
    /// Weights of the 1 x 1 convolution.
    pub pointwise: UnsignedLinear,
    /// Maps before and after it.
    pub shape: SeparableShape,
    /// Patches, or cells, that come at a time.
    pub patches: usize,
}

impl Separable {
    /// Positions that are quantised at a time.
    fn rows(&self) -> usize {
        (self.patches * self.shape.output.positions()).min(ROWS)
    }
}

impl Layer for Separable {
    fn name(&self) -> &'static str {
        "Separable"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.patches * self.shape.output.positions(), self.shape.outputs])]
    }

    fn scratch(&self) -> Need {
        let (rows, depth) = (self.rows(), self.shape.inputs);
        Need::default().thread::<f32>(depth).thread::<u8>(rows * depth).thread::<f32>(rows)
    }

    fn work(&self) -> Work {
        let (positions, inputs) = (self.patches * self.shape.output.positions(), self.shape.inputs);
        let row = Units { filter_mac: 9.0 * inputs as f64, quantize: inputs as f64, ..Units::default() };
        Work::product(positions, inputs, self.shape.outputs).and(positions, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let threads = io.thread_scratch();
        let filters = self.filters.get(session.weights());
        let layer = session.weights().linear(&self.pointwise.layer);
        let SeparableShape { input, output, inputs: depth, outputs: width } = self.shape;
        let (isa, map) = (session.isa(), input.positions() * depth);
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let (mut memory, most) = (threads.of(thread), self.rows());
            let mut scratch = memory.take_all();
            let (row, values, scales) = (scratch.take(depth), scratch.take(most * depth), scratch.take(most));
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let rows = out.len() / width;
                let mut done = 0;
                for (patch, first, count) in by_patch(start + block * ROWS, rows, output.positions()) {
                    let mut quantized = UnsignedRows::new(&mut values[done * depth..], &mut scales[done..], count, depth);
                    depthwise(isa, &x[patch * map..][..map], input, &filters, first, row, &mut quantized);
                    done += count;
                }
                let rows = UnsignedRows::new(values, scales, rows, depth);
                linear_u8(isa, rows.as_rows(&self.pointwise.sums), rows.scales, &layer, true, out);
            }
        });
        Ok(())
    }
}

/// The mean of each patch's positions.
#[derive(Debug)]
pub struct MeanPool {
    /// Positions of a patch.
    pub positions: usize,
    /// Patches, or cells, that come at a time.
    pub patches: usize,
    /// Channels of a position.
    pub channels: usize,
}

impl Layer for MeanPool {
    fn name(&self) -> &'static str {
        "MeanPool"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.patches, self.channels])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let maps = io.input::<f32>(0)?.chunks_exact(self.positions * self.channels);
        for (map, out) in maps.zip(io.output::<f32>(0)?.chunks_exact_mut(self.channels)) {
            mean_rows(session.isa(), map, out);
        }
        Ok(())
    }
}
