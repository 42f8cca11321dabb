//! Residual blocks of convolutions.

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

/// `shortcut(x) + second(activation(first(activation(x))))`: the first a convolution, the second and the shortcut linear layers of a row. What
/// lies between exists for a few rows at a time only.
#[derive(Debug)]
pub struct SignalResidual {
    /// Weights of the convolution: `kernel * channels` inputs.
    pub first: LinearSpan,
    /// Weights of the linear layer after it.
    pub second: LinearSpan,
    /// Weights of the layer that takes the place of `x` itself, if there is one.
    pub shortcut: Option<LinearSpan>,
    /// Values of a row in between, a multiple of 16.
    pub inner: usize,
    /// Rows of the convolution's window.
    pub kernel: usize,
    /// What it sees at the ends; its stride is 1.
    pub edge: Edge,
    /// What is applied before each of the two.
    pub activation: Activation,
    /// The input and the output.
    pub track: Track,
}

impl SignalResidual {
    fn depth(&self) -> usize {
        self.kernel * self.track.channels
    }
}

impl Layer for SignalResidual {
    fn name(&self) -> &'static str {
        "SignalResidual"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![self.track.fact()]
    }

    fn scratch(&self) -> Need {
        let need = RowBuffers::need(Need::default(), ROWS, self.depth().max(self.inner));
        need.thread::<f32>((ROWS + self.kernel) * self.track.channels).thread::<f32>(ROWS * self.inner)
    }

    fn work(&self) -> Work {
        let (rows, channels) = (self.track.rows, self.track.channels);
        let shortcut = if self.shortcut.is_some() { Work::product(rows, channels, channels) } else { Work::default() };
        let row = Units { gelu: (channels + self.inner) as f64, quantize: (self.depth() + self.inner) as f64, ..Units::default() };
        let products = Work::product(rows, self.depth(), self.inner).plus(Work::product(rows, self.inner, channels));
        products.plus(shortcut).and(rows.max(LANES + 1), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (isa, weights) = (session.isa(), session.weights());
        let (first, second) = (weights.linear(&self.first), weights.linear(&self.second));
        let (channels, kernel, origin) = (self.track.channels, self.kernel, self.track.first());
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, channels, |scratch, start, out| {
            let count = out.len() / channels;
            let own = &x[start * channels..][..out.len()];
            let mut buffers = RowBuffers::take(scratch, ROWS, self.depth().max(self.inner));
            let rows = &mut scratch.take::<f32>((ROWS + kernel) * channels)[..(count + kernel - 1) * channels];
            let inner = &mut scratch.take::<f32>(ROWS * self.inner)[..count * self.inner];
            match &self.shortcut {
                None => out.copy_from_slice(own),
                Some(shortcut) => {
                    let rows = buffers.quantize(session, own, count, channels, channels);
                    session.linear(&rows, &weights.linear(shortcut), Finish::Store, out);
                }
            }
            self.track.gather(x, &self.edge, origin + start.cast_signed() - self.edge.left.cast_signed(), rows);
            activate(isa, self.activation, rows);
            session.linear(&buffers.quantize(session, rows, count, self.depth(), channels), &first, Finish::Store, inner);
            activate(isa, self.activation, inner);
            session.linear(&buffers.quantize(session, inner, count, self.inner, self.inner), &second, Finish::Add, out);
        });
        Ok(())
    }
}
