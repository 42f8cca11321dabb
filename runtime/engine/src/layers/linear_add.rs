//! A linear layer added to the residual stream.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::Finish;

use super::RowBuffers;

/// `residual + layer(x)`: inputs the residual stream `[tokens][width]`, which is taken over, and `x` of the same shape.
#[derive(Debug)]
pub struct LinearAdd {
    /// Weights of the linear layer.
    pub layer: LinearSpan,
    /// Tokens: rows of the input.
    pub tokens: usize,
    /// Values of a row.
    pub width: usize,
}

impl Layer for LinearAdd {
    fn name(&self) -> &'static str {
        "LinearAdd"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.tokens, self.width)
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.width as f64, ..Units::default() };
        Work::product(self.tokens, self.width, self.width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let layer = session.weights().linear(&self.layer);
        let width = self.width;
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, width, |scratch, start, out| {
            let x = &x[start * width..][..out.len()];
            let mut buffers = RowBuffers::take(scratch, self.tokens, width);
            let rows = buffers.quantize(session, x, out.len() / width, width, width);
            session.linear(&rows, &layer, Finish::Add, out);
        });
        Ok(())
    }
}
