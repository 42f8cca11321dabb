//! YAMNet's operators. All maps are `[patches * positions][channels]`, f32.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_engine::weights::Span;
use ossicle_kernels::conv::{Filters, Size, convolve_plane, depthwise, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::UnsignedRows;
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::config::{Shape, YamnetConfig};
use crate::ops::ROWS;
use crate::scoring::{Context, UnsignedLinear, Workspace};

/// Where the filters of a 3 x 3 convolution are.
#[derive(Clone, Debug)]
pub(super) struct FilterSpans {
    pub(super) weights: Span,
    pub(super) bias: Span,
    pub(super) stride: usize,
}

impl FilterSpans {
    fn get<'a>(&self, context: &'a Context<YamnetConfig>) -> Filters<'a> {
        Filters { weights: context.folder.f32s(&self.weights), bias: context.folder.f32s(&self.bias), stride: self.stride }
    }
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
pub(super) struct ConvPlane {
    pub(super) context: Arc<Context<YamnetConfig>>,
    pub(super) filters: FilterSpans,
    pub(super) patch: Size,
    pub(super) patches: usize,
    pub(super) channels: usize,
}

impl Layer for ConvPlane {
    fn name(&self) -> &'static str {
        "ConvPlane"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches * self.patch.strided(self.filters.stride).positions(), self.channels]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let filters = self.filters.get(&self.context);
        let (isa, patch, channels) = (self.context.isa, self.patch, self.channels);
        let positions = patch.strided(filters.stride).positions();
        self.context.pool.for_parts(io.output::<f32>(0)?, channels, LANES, |_, start, mut out| {
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
pub(super) struct Separable {
    pub(super) context: Arc<Context<YamnetConfig>>,
    pub(super) filters: FilterSpans,
    pub(super) pointwise: UnsignedLinear,
    pub(super) shape: Shape,
    pub(super) patches: usize,
}

impl Layer for Separable {
    fn name(&self) -> &'static str {
        "Separable"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches * self.shape.output.positions(), self.shape.outputs]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let filters = self.filters.get(&self.context);
        let layer = self.context.folder.linear(&self.pointwise.layer);
        let Shape { input, output, inputs: depth, outputs: width } = self.shape;
        let (isa, map) = (self.context.isa, input.positions() * depth);
        self.context.pool.for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let mut workspace = self.context.workspace(thread);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let Workspace { row, values, scales } = &mut *workspace;
                let rows = out.len() / width;
                let mut done = 0;
                for (patch, first, count) in by_patch(start + block * ROWS, rows, output.positions()) {
                    let mut quantized = UnsignedRows::new(&mut values[done * depth..], &mut scales[done..], count, depth);
                    depthwise(isa, &x[patch * map..][..map], input, &filters, first, row, &mut quantized);
                    done += count;
                }
                let rows = workspace.rows(rows, depth);
                linear_u8(isa, rows.as_rows(&self.pointwise.sums), rows.scales, &layer, true, out);
            }
        });
        Ok(())
    }
}

/// The mean of each patch's positions.
#[derive(Debug)]
pub(super) struct MeanPool {
    pub(super) context: Arc<Context<YamnetConfig>>,
    pub(super) positions: usize,
    pub(super) patches: usize,
    pub(super) channels: usize,
}

impl Layer for MeanPool {
    fn name(&self) -> &'static str {
        "MeanPool"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.channels]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let maps = io.input::<f32>(0)?.chunks_exact(self.positions * self.channels);
        for (map, out) in maps.zip(io.output::<f32>(0)?.chunks_exact_mut(self.channels)) {
            mean_rows(self.context.isa, map, out);
        }
        Ok(())
    }
}
