//! The feed-forward block.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::Finish;

use super::{Norm, RowBuffers};

/// `x + second(gelu(first(norm(x))))` on `[tokens][width]`, which is taken over. The inner rows exist for a few tokens at a time only.
#[derive(Debug)]
pub struct FeedForward {
    /// Normalisation of the input.
    pub norm: Norm,
    /// Weights of the layer that widens.
    pub first: LinearSpan,
    /// Weights of the layer that narrows.
    pub second: LinearSpan,
    /// Tokens: rows of the input.
    pub tokens: usize,
    /// Values of a row of the input and the output.
    pub width: usize,
    /// Values of a row between the two layers.
    pub inner: usize,
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "FeedForward"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        let rows = self.tokens.min(ROWS);
        RowBuffers::need(Need::default(), rows, self.width.max(self.inner)).thread::<f32>(rows * self.inner)
    }

    fn work(&self) -> Work {
        let (width, inner) = (self.width, self.inner);
        let row = Units { normalize: width as f64, gelu: inner as f64, quantize: inner as f64, ..Units::default() };
        Work::product(self.tokens, width, inner).plus(Work::product(self.tokens, inner, width)).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (first, second) = (session.weights().linear(&self.first), session.weights().linear(&self.second));
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.width, |scratch, _, out| {
            let rows = out.len() / self.width;
            let mut buffers = RowBuffers::take(scratch, self.tokens, self.width.max(self.inner));
            let inner = scratch.take(self.tokens.min(ROWS) * self.inner);
            session.linear(&buffers.normalize(session, &self.norm, out, rows), &first, Finish::Gelu, inner);
            session.linear(&buffers.quantize(session, inner, rows, self.inner, self.inner), &second, Finish::Add, out);
        });
        Ok(())
    }
}
