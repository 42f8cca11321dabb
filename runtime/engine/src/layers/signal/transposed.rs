//! Transposed convolutions over time.

use crate::layer::{Fact, Io, Layer};
use crate::layers::RowBuffers;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::linear::Finish;

use super::{Edge, Padding, Track};

/// Rows of which each product reads two: their part of the output lies between them.
const PAIR: usize = 2;

/// A transposed convolution of `activation(x)` with a window of twice its stride, `left` rows of the output trimmed at the beginning and as many
/// at the end as make `stride` in all.
///
/// The layer takes two neighbouring rows, `[2][channels]`, and gives the `stride` rows of the output that both reach: `stride * channels`
/// outputs, so nothing is multiplied by the zeros that a transposed convolution is drawn with.
#[derive(Debug)]
pub struct TransposedConv {
    /// Weights of the linear layer.
    pub layer: LinearSpan,
    /// Rows of the output for each of the input.
    pub stride: usize,
    /// Rows trimmed at the beginning, at most `stride`.
    pub left: usize,
    /// What is applied before.
    pub activation: Activation,
    /// The input.
    pub input: Track,
    /// The output: `stride` rows for each of the input.
    pub output: Track,
}

impl TransposedConv {
    fn depth(&self) -> usize {
        PAIR * self.input.channels
    }

    /// Values of the output for each row of the input.
    fn wide(&self) -> usize {
        self.stride * self.output.channels
    }
}

impl Layer for TransposedConv {
    fn name(&self) -> &'static str {
        "TransposedConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![self.output.fact()]
    }

    fn scratch(&self) -> Need {
        let need = RowBuffers::need(Need::default(), ROWS, self.depth());
        need.thread::<f32>((ROWS + PAIR) * self.input.channels).thread::<f32>(ROWS * self.wide())
    }

    fn work(&self) -> Work {
        let row = Units { gelu: self.input.channels as f64, quantize: self.depth() as f64, ..Units::default() };
        Work::product(self.input.rows, self.depth(), self.wide()).and(self.input.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let layer = session.weights().linear(&self.layer);
        let (channels, wide, first) = (self.input.channels, self.wide(), self.input.first());
        // Rows beyond the ends are zeros, whatever the convolutions see there.
        let edge = Edge { padding: Padding::Zeros, left: 1, right: 1, stride: 1 };
        session.for_parts(&io.thread_scratch(), io.output::<f32>(0)?, wide, |scratch, start, out| {
            // One block fewer than there is room for: with a trimmed beginning each reaches into the next.
            for (block, out) in out.chunks_mut((ROWS - 1) * wide).enumerate() {
                let scratch = &mut scratch.again();
                let pairs = out.len() / wide + usize::from(self.left > 0);
                let mut buffers = RowBuffers::take(scratch, ROWS, self.depth());
                let rows = &mut scratch.take::<f32>((ROWS + PAIR) * channels)[..(pairs + 1) * channels];
                let results = &mut scratch.take::<f32>(ROWS * wide)[..pairs * wide];
                let from = first + (start + block * (ROWS - 1)).cast_signed();
                self.input.gather(x, &edge, from - 1, rows);
                activate(session.isa(), self.activation, rows);
                session.linear(&buffers.quantize(session, rows, pairs, self.depth(), channels), &layer, Finish::Store, results);
                out.copy_from_slice(&results[self.left * self.output.channels..][..out.len()]);
            }
        });
        Ok(())
    }
}
