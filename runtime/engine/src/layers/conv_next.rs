//! The block of ConvNeXt (Liu et al. 2022) over rows of a sequence, as Vocos and networks like it have it.

use std::sync::Arc;

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{FolderError, LinearSpan, Span, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::conv::Size;
use ossicle_kernels::linear::Finish;
use ossicle_kernels::window::{Map, Window, depthwise_map};
use ossicle_trace::Values;

use super::sequence::{Chunks, Flow, Past};
use super::{Norm, RowBuffers};

/// `x + down(gelu(up(norm(depthwise(x)))))` on rows `[chunk][width]`. The factors that the block's result has in the original are in the
/// weights and the bias of `down`.
#[derive(Debug)]
pub struct ConvNext {
    filters: Span,
    filter_bias: Span,
    norm: Norm,
    up: LinearSpan,
    down: LinearSpan,
    past: Arc<Past>,
    window: Window,
    width: usize,
    inner: usize,
}

/// Sizes of a [`ConvNext`].
#[derive(Clone, Copy, Debug)]
pub struct ConvNextShape {
    /// Values of a row.
    pub width: usize,
    /// Values of a row between the two products.
    pub inner: usize,
    /// Taps of the convolution, an odd number.
    pub taps: usize,
    /// Rows from one tap to the next.
    pub dilation: usize,
}

impl ConvNext {
    /// Tensors `NAME.depthwise`, `NAME.norm`, `NAME.up` and `NAME.down` of the weights, over rows that come in `flow`.
    ///
    /// # Errors
    /// [`FolderError`] if a tensor is missing, misshapen or not finite.
    pub fn new(weights: &Weights, name: &str, shape: ConvNextShape, flow: &Flow, chunks: Chunks) -> Result<Self, FolderError> {
        let ConvNextShape { width, inner, taps, dilation } = shape;
        let span = |part: &str, shape: &[usize]| weights.f32_span(&format!("{name}.{part}"), shape);
        Ok(Self {
            filters: span("depthwise.weight", &[taps, width])?,
            filter_bias: span("depthwise.bias", &[width])?,
            norm: Norm { gamma: span("norm.weight", &[width])?, beta: span("norm.bias", &[width])? },
            up: weights.linear_span(&format!("{name}.up"), inner, width, true)?,
            down: weights.linear_span(&format!("{name}.down"), width, inner, true)?,
            past: Arc::new(Past::new(flow.clone(), width, taps / 2 * dilation, chunks)),
            window: Window { kernel: [1, taps], stride: [1, 1], dilation: [1, dilation], before: [0, 0], after: [0, 0] },
            width,
            inner,
        })
    }

    /// What it remembers.
    pub fn past(&self) -> &Arc<Past> {
        &self.past
    }
}

impl Layer for ConvNext {
    fn name(&self) -> &'static str {
        "ConvNext"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.past.output().chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        let need = Need::default().thread::<f32>(ROWS * self.width).thread::<f32>(ROWS * self.inner);
        RowBuffers::need(need, ROWS, self.width.max(self.inner))
    }

    fn work(&self) -> Work {
        let (rows, width, inner) = (self.past.output().rows(), self.width, self.inner);
        let row = Units {
            filter_mac: (self.window.taps() * width) as f64,
            normalize: width as f64,
            gelu: inner as f64,
            quantize: inner as f64,
            ..Units::default()
        };
        Work::product(rows, width, inner).plus(Work::product(rows, inner, width)).and(rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width) = (io.input::<f32>(0)?, self.width);
        let rows = self.past.take(|i, row| row.copy_from_slice(&x[i * width..][..width]));
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (isa, weights) = (session.isa(), session.weights());
        let (up, down) = (weights.linear(&self.up), weights.linear(&self.down));
        let (filters, bias) = (weights.f32s(&self.filters), weights.f32s(&self.filter_bias));
        let map = Map { values: &rows, size: Size { height: 1, width: rows.len() / width }, channels: width };
        let middle = self.window.kernel[1] / 2 * self.window.dilation[1];
        let out = &mut io.output::<f32>(0)?[inside.start * width..inside.end * width];
        session.for_rows(&io.thread_scratch(), out, width, |scratch, start, out| {
            let (first, count) = (inside.start + start, out.len() / width);
            let filtered = &mut scratch.take::<f32>(ROWS * width)[..out.len()];
            let hidden = scratch.take::<f32>(ROWS * self.inner);
            let mut buffers = RowBuffers::take(scratch, ROWS, width.max(self.inner));
            depthwise_map(isa, map, &self.window, filters, bias, first, filtered);
            session.linear(&buffers.normalize(session, &self.norm, filtered, count), &up, Finish::Gelu, hidden);
            let x = &map.values[(first + middle) * width..][..out.len()];
            session.linear_onto(&buffers.quantize(session, hidden, count, self.inner, self.inner), &down, x, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.past.output(), results, 0, record)
    }
}

/// Traces the rows of a chunk that lie within the sequence.
///
/// # Errors
/// The output is not there, or of another type than f32.
pub fn record_inside(flow: &Flow, results: &Results<'_>, output: usize, record: &mut Record<'_>) -> Result<(), GraphError> {
    let (inside, width) = (flow.inside(), results.shape(output)?[1]);
    let rows = &results.output::<f32>(output)?[inside.start * width..inside.end * width];
    record.tensor("", &[inside.len(), width], Values::F32(rows));
    Ok(())
}
