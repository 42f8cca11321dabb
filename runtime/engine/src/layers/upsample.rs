//! Transposed convolutions over rows of a sequence, and the last convolution, which gives samples.

use std::sync::Arc;

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{FolderError, LinearSpan, Span, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::conv_next::record_inside;
use super::leaky_relu;
use super::row_conv::take_mean;
use super::sequence::{Chunks, Flow, Past};
use super::taps::{BLOCK, TapBuffers};

/// A transposed convolution of `leaky(x)`, `x` the mean of the inputs: a window of twice the stride, of whose results half a stride is trimmed at
/// each end. `[chunk][inputs]` to `[chunk * stride][outputs]`.
///
/// The layer's outputs are those of a row's own `stride` results, then what it adds to the first half of the results of the row after it, then to
/// the second half of those of the row before it.
#[derive(Debug)]
pub struct Upsample {
    past: Arc<Past>,
    layer: LinearSpan,
    inputs: usize,
    width: usize,
    wide: usize,
    stride: usize,
    slope: f32,
}

impl Upsample {
    /// Tensors `NAME.weight`, `NAME.weight_scale` and `NAME.bias`, over the mean of `inputs` inputs of `width` values a row that come in `flow`, to
    /// rows of `wide`; `stride` is an even number.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing, misshapen or not finite.
    pub fn new(
        weights: &Weights,
        name: &str,
        flow: &Flow,
        (inputs, width, wide): (usize, usize, usize),
        stride: usize,
        slope: f32,
    ) -> Result<Self, FolderError> {
        let past = Arc::new(Past::new(flow.clone(), width, 1, Chunks::Many { extra: 0 }));
        let layer = weights.linear_span(name, 2 * stride * wide, width, true)?;
        Ok(Self { past, layer, inputs, width, wide, stride, slope })
    }

    /// What it remembers.
    pub fn past(&self) -> &Arc<Past> {
        &self.past
    }

    /// Where its results are.
    pub fn output(&self) -> Flow {
        self.past.output().repeated(self.stride)
    }
}

impl Layer for Upsample {
    fn name(&self) -> &'static str {
        "Upsample"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.output().chunk(), self.wide])]
    }

    fn scratch(&self) -> Need {
        TapBuffers::need(Need::default(), BLOCK + 2, self.width)
    }

    fn work(&self) -> Work {
        let rows = self.past.output().rows();
        let row = Units { quantize: self.width as f64, ..Units::default() };
        Work::product(rows, self.width, 2 * self.stride * self.wide).and(rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let rows = take_mean(&self.past, self.inputs, io)?;
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (rows, width, all) = (&rows[..], self.width, self.stride * self.wide);
        let layer = session.weights().linear(&self.layer);
        let half = all / 2;
        let [own, before, after] =
            [0..all, all..all + half, all + half..2 * all].map(|range| layer.slice(range.start / LANES..range.end / LANES));
        let out = &mut io.output::<f32>(0)?[inside.start * all..inside.end * all];
        session.for_parts(&io.thread_scratch(), out, all, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * all).enumerate() {
                let (first, count) = (inside.start + start + block * BLOCK, out.len() / all);
                let mut buffers = TapBuffers::take(&mut scratch.again(), BLOCK + 2, width);
                buffers.fill(session, &rows[first * width..][..(count + 2) * width], width, 0, self.slope);
                buffers.multiply(session, 1, &own, Finish::Store, all, out);
                buffers.multiply(session, 0, &before, Finish::Add, all, out);
                buffers.multiply(session, 2, &after, Finish::Add, all, &mut out[half..]);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.output(), results, 0, record)
    }
}

/// `tanh(convolution(leaky(x)))`, `x` the mean of the inputs, to one value a row: samples `[chunk]`, in f32.
#[derive(Debug)]
pub struct ToSamples {
    past: Arc<Past>,
    /// `[width][taps]`, taps rounded up to whole vectors.
    weights: Span,
    bias: Span,
    inputs: usize,
    width: usize,
    taps: usize,
    slope: f32,
}

impl ToSamples {
    /// Tensors `NAME.weight`, `[width][taps]`, and `NAME.bias`, one value in a whole vector, over the mean of `inputs` inputs that come in `flow`.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing, misshapen or not finite.
    pub fn new(
        weights: &Weights,
        name: &str,
        flow: &Flow,
        (inputs, width, taps): (usize, usize, usize),
        slope: f32,
    ) -> Result<Self, FolderError> {
        let past = Arc::new(Past::new(flow.clone(), width, taps / 2, Chunks::Many { extra: 0 }));
        let span = weights.f32_span(&format!("{name}.weight"), &[width, taps.next_multiple_of(LANES)])?;
        Ok(Self { past, weights: span, bias: weights.f32_span(&format!("{name}.bias"), &[LANES])?, inputs, width, taps, slope })
    }

    /// What it remembers.
    pub fn past(&self) -> &Arc<Past> {
        &self.past
    }

    fn padded(&self) -> usize {
        self.taps.next_multiple_of(LANES)
    }
}

impl Layer for ToSamples {
    fn name(&self) -> &'static str {
        "ToSamples"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.past.output().chunk()])]
    }

    fn scratch(&self) -> Need {
        let rows = ROWS + self.taps;
        Need::default().shared::<f32>(self.padded()).thread::<f32>(rows * self.width).thread::<f32>(rows * self.padded())
    }

    fn work(&self) -> Work {
        let row = Units { float_mac: (self.width * self.padded()) as f64, gelu: 1.0, ..Units::default() };
        Work::default().and(self.past.output().rows(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let rows = take_mean(&self.past, self.inputs, io)?;
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (rows, width, taps, padded, isa) = (&rows[..], self.width, self.taps, self.padded(), session.isa());
        let (weights, bias) = (session.weights().f32s(&self.weights), session.weights().f32s(&self.bias)[0]);
        let zeros = io.scratch::<f32>(padded);
        zeros.fill(0.0);
        let (zeros, out) = (&*zeros, &mut io.output::<f32>(0)?[inside.clone()]);
        session.for_rows(&io.thread_scratch(), out, 1, |scratch, start, out| {
            let (first, count) = (inside.start + start, out.len() + taps - 1);
            let active = &mut scratch.take::<f32>((ROWS + taps) * width)[..count * width];
            let products = &mut scratch.take::<f32>((ROWS + taps) * padded)[..count * padded];
            active.copy_from_slice(&rows[first * width..][..count * width]);
            leaky_relu(active, self.slope);
            // What each row is worth at each tap; a sample adds up one value of each of its rows.
            multiply_rows(isa, active, weights, zeros, products);
            for (i, out) in out.iter_mut().enumerate() {
                *out = (0..taps).fold(bias, |sum, tap| sum + products[(i + tap) * padded + tap]);
            }
            activate(isa, Activation::Tanh, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let inside = self.past.output().inside();
        record.tensor("", &[inside.len()], Values::F32(&results.output::<f32>(0)?[inside]));
        Ok(())
    }
}
