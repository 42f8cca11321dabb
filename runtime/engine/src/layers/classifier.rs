//! From rows to scores.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::rows::quantize_unsigned_rows;
use ossicle_kernels::simd::LANES;

use super::{UnsignedBuffers, UnsignedLinear};

/// Logits from the rows of patches or cells, `[patches][labels]`, labels rounded up to whole blocks.
#[derive(Debug)]
pub struct Classifier {
    /// Weights of the linear layer.
    pub linear: UnsignedLinear,
    /// Patches, or cells, that come at a time.
    pub patches: usize,
    /// Channels of a position.
    pub channels: usize,
    /// Classes.
    pub labels: usize,
}

impl Layer for Classifier {
    fn name(&self) -> &'static str {
        "Classifier"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.patches, self.labels.next_multiple_of(LANES)])]
    }

    fn scratch(&self) -> Need {
        UnsignedBuffers::need(Need::default(), self.patches, self.channels)
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.channels as f64, ..Units::default() };
        Work::product(self.patches, self.channels, self.labels).and(self.patches, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let layer = session.weights().linear(&self.linear.layer);
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut buffers = UnsignedBuffers::take(&mut memory.take_all(), self.patches, self.channels);
        let mut rows = buffers.rows(self.patches, self.channels);
        quantize_unsigned_rows(session.isa(), io.input::<f32>(0)?, &mut rows);
        linear_u8(session.isa(), rows.as_rows(&self.linear.sums), rows.scales, &layer, false, io.output::<f32>(0)?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let logits = results.output::<f32>(0)?;
        record.gather_f32("", &[self.patches, self.labels], |out| unpad(logits, self.labels, out));
        Ok(())
    }
}

/// Scores from logits: `[patches][labels]`.
#[derive(Debug)]
pub struct Sigmoid {
    /// Patches, or cells, that come at a time.
    pub patches: usize,
    /// Classes.
    pub labels: usize,
}

impl Layer for Sigmoid {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.patches, self.labels])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let scores = io.output::<f32>(0)?;
        unpad(io.input::<f32>(0)?, self.labels, scores);
        sigmoid_all(session.isa(), scores);
        Ok(())
    }
}

/// The first `labels` values of each row of whole blocks.
fn unpad(rows: &[f32], labels: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(labels.next_multiple_of(LANES)).zip(out.chunks_exact_mut(labels)) {
        out.copy_from_slice(&row[..labels]);
    }
}
