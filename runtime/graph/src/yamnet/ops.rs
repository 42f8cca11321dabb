//! YAMNet's operators. All maps are `[patches * positions][channels]`, f32.

use std::sync::Arc;

use ossicle_kernels::conv::{Filters, Size, convolve_plane, depthwise, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::rows::{UnsignedRows, quantize_unsigned_rows};
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::config::{Shape, YamnetConfig};
use super::context::{Context, Workspace};
use crate::folder::{FolderError, LinearSpan, ModelFolder, Span};
use crate::ops::{ROWS, f32s, f32s_mut};
use crate::plan::Kernel;
use crate::taps::Record;

/// Where the filters of a 3 x 3 convolution are.
#[derive(Clone, Debug)]
pub(super) struct FilterSpans {
    pub(super) weights: Span,
    pub(super) bias: Span,
    pub(super) stride: usize,
}

impl FilterSpans {
    fn get<'a>(&self, context: &'a Context) -> Filters<'a> {
        Filters { weights: context.folder.f32s(&self.weights), bias: context.folder.f32s(&self.bias), stride: self.stride }
    }
}

/// Where a layer's weights are that multiplies rows of u8, and the sums of its weights.
#[derive(Clone, Debug)]
pub(super) struct UnsignedLinear {
    pub(super) layer: LinearSpan,
    pub(super) sums: Arc<[i32]>,
}

impl UnsignedLinear {
    /// A layer of the folder, as [`ModelFolder::linear_span`] finds it.
    pub(super) fn new(
        folder: &ModelFolder<YamnetConfig>,
        name: &str,
        outputs: usize,
        depth: usize,
        biased: bool,
    ) -> Result<Self, FolderError> {
        let layer = folder.linear_span(name, outputs, depth, biased)?;
        let mut sums = vec![0; outputs.next_multiple_of(LANES)];
        folder.linear(&layer).weights.sums(&mut sums);
        Ok(Self { layer, sums: sums.into() })
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
    pub(super) context: Arc<Context>,
    pub(super) filters: FilterSpans,
    pub(super) patch: Size,
    pub(super) patches: usize,
    pub(super) channels: usize,
}

impl Kernel for ConvPlane {
    fn name(&self) -> &'static str {
        "ConvPlane"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches * self.patch.strided(self.filters.stride).positions(), self.channels]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let filters = self.filters.get(&self.context);
        let (isa, patch, channels) = (self.context.isa, self.patch, self.channels);
        let positions = patch.strided(filters.stride).positions();
        self.context.pool.for_parts(f32s_mut(outputs[0])?, channels, LANES, |_, start, mut out| {
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
    pub(super) context: Arc<Context>,
    pub(super) filters: FilterSpans,
    pub(super) pointwise: UnsignedLinear,
    pub(super) shape: Shape,
    pub(super) patches: usize,
}

impl Kernel for Separable {
    fn name(&self) -> &'static str {
        "Separable"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches * self.shape.output.positions(), self.shape.outputs]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let filters = self.filters.get(&self.context);
        let layer = self.context.folder.linear(&self.pointwise.layer);
        let Shape { input, output, inputs: depth, outputs: width } = self.shape;
        let (isa, map) = (self.context.isa, input.positions() * depth);
        self.context.pool.for_parts(f32s_mut(outputs[0])?, width, LANES, |thread, start, out| {
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
    pub(super) context: Arc<Context>,
    pub(super) positions: usize,
    pub(super) patches: usize,
    pub(super) channels: usize,
}

impl Kernel for MeanPool {
    fn name(&self) -> &'static str {
        "MeanPool"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.channels]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let maps = f32s(&inputs[0])?.chunks_exact(self.positions * self.channels);
        for (map, out) in maps.zip(f32s_mut(outputs[0])?.chunks_exact_mut(self.channels)) {
            mean_rows(self.context.isa, map, out);
        }
        Ok(())
    }
}

/// Logits from the means, `[patches][labels]`, labels rounded up to whole blocks.
#[derive(Debug)]
pub(super) struct Classifier {
    pub(super) context: Arc<Context>,
    pub(super) linear: UnsignedLinear,
    pub(super) patches: usize,
    pub(super) channels: usize,
    pub(super) labels: usize,
}

impl Kernel for Classifier {
    fn name(&self) -> &'static str {
        "Classifier"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.labels.next_multiple_of(LANES)]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let layer = self.context.folder.linear(&self.linear.layer);
        let mut workspace = self.context.workspace(0);
        let mut rows = workspace.rows(self.patches, self.channels);
        quantize_unsigned_rows(self.context.isa, f32s(&inputs[0])?, &mut rows);
        linear_u8(self.context.isa, rows.as_rows(&self.linear.sums), rows.scales, &layer, false, f32s_mut(outputs[0])?);
        Ok(())
    }

    fn record(&self, outputs: &[Arc<Tensor>], record: &mut Record<'_>) -> TractResult<()> {
        let logits = f32s(&outputs[0])?;
        record.gather_f32("", &[self.patches, self.labels], |out| unpad(logits, self.labels, out));
        Ok(())
    }
}

/// Scores from logits: `[patches][labels]`.
#[derive(Debug)]
pub(super) struct Sigmoid {
    pub(super) context: Arc<Context>,
    pub(super) patches: usize,
    pub(super) labels: usize,
}

impl Kernel for Sigmoid {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.labels]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let scores = f32s_mut(outputs[0])?;
        unpad(f32s(&inputs[0])?, self.labels, scores);
        sigmoid_all(self.context.isa, scores);
        Ok(())
    }
}

/// The first `labels` values of each row of whole blocks.
fn unpad(rows: &[f32], labels: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(labels.next_multiple_of(LANES)).zip(out.chunks_exact_mut(labels)) {
        out.copy_from_slice(&row[..labels]);
    }
}
