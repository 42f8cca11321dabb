//! Convolutions over time.

use crate::layer::{Fact, Io, Layer};
use crate::layers::RowBuffers;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;

use super::{Edge, Track};

/// A convolution of `activation(x)`. The layer's rows are windows `[kernel][channels]`, each with a scale of its own. An output of one channel
/// is a map `[rows][1]`.
#[derive(Debug)]
pub struct SignalConv {
    /// Weights of the linear layer: `kernel * channels` inputs.
    pub layer: LinearSpan,
    /// Rows of a window.
    pub kernel: usize,
    /// What it sees at the ends, and its stride.
    pub edge: Edge,
    /// What is applied before.
    pub activation: Activation,
    /// The input.
    pub input: Track,
    /// The output; its `channels` are 1 or a multiple of 16.
    pub output: Track,
}

impl SignalConv {
    fn depth(&self) -> usize {
        self.kernel * self.input.channels
    }

    fn wide(&self) -> usize {
        self.output.channels.next_multiple_of(LANES)
    }

    /// Values of the rows under `outputs` windows.
    fn span(&self, outputs: usize) -> usize {
        ((outputs - 1) * self.edge.stride + self.kernel) * self.input.channels
    }
}

impl Layer for SignalConv {
    fn name(&self) -> &'static str {
        "SignalConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![self.output.fact()]
    }

    fn scratch(&self) -> Need {
        let need = RowBuffers::need(Need::default(), ROWS, self.depth()).thread::<f32>(self.span(ROWS));
        need.thread::<f32>(if self.wide() == self.output.channels { 0 } else { ROWS * self.wide() })
    }

    fn work(&self) -> Work {
        let row = Units { gelu: (self.edge.stride * self.input.channels) as f64, quantize: self.depth() as f64, ..Units::default() };
        Work::product(self.output.rows, self.depth(), self.wide()).and(self.output.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let layer = session.weights().linear(&self.layer);
        let (channels, wide, stride) = (self.output.channels, self.wide(), self.edge.stride);
        let first = self.output.first();
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, channels, |scratch, start, out| {
            let count = out.len() / channels;
            let mut buffers = RowBuffers::take(scratch, ROWS, self.depth());
            let rows = &mut scratch.take::<f32>(self.span(ROWS))[..self.span(count)];
            let from = (first + start.cast_signed()) * stride.cast_signed() - self.edge.left.cast_signed();
            self.input.gather(x, &self.edge, from, rows);
            activate(session.isa(), self.activation, rows);
            let rows = buffers.quantize(session, rows, count, self.depth(), stride * self.input.channels);
            if wide == channels {
                return session.linear(&rows, &layer, Finish::Store, out);
            }
            let results = &mut scratch.take::<f32>(ROWS * wide)[..count * wide];
            session.linear(&rows, &layer, Finish::Store, results);
            for (out, row) in out.chunks_exact_mut(channels).zip(results.chunks_exact(wide)) {
                out.copy_from_slice(&row[..channels]);
            }
        });
        Ok(())
    }
}
