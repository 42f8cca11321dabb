//! The description's projection.

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::RowBuffers;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::LinearSpan;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::Finish;

/// A linear layer of rows, `[rows][inputs]` to `[rows][outputs]`.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) layer: LinearSpan,
    pub(super) rows: usize,
    pub(super) outputs: usize,
}

impl Layer for Project {
    fn name(&self) -> &'static str {
        "Project"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows, self.outputs])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.rows, self.layer.depth())
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.layer.depth() as f64, ..Units::default() };
        Work::product(self.rows, self.layer.depth(), self.outputs).and(self.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, depth) = (io.input::<f32>(0)?, self.layer.depth());
        let layer = session.weights().linear(&self.layer);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.outputs, |scratch, start, out| {
            let mut buffers = RowBuffers::take(scratch, self.rows, depth);
            let rows = buffers.quantize(session, &x[start * depth..], out.len() / self.outputs, depth, depth);
            session.linear(&rows, &layer, Finish::Store, out);
        });
        Ok(())
    }
}
