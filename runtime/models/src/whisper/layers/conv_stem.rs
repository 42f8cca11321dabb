//! The two convolutions in front of the encoder, with GELU after each and the positions added.

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::RowBuffers;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::Finish;

/// `[2 * positions + 2][mels]` (a frame of zeros at either end) to `[positions][width]`.
///
/// Both convolutions have three taps, the second steps by two frames. As rows follow each other in memory, a window is a row of three times
/// the width; it is quantised as one row.
#[derive(Debug)]
pub(crate) struct ConvStem {
    pub(crate) first: LinearSpan,
    pub(crate) second: LinearSpan,
    pub(crate) embedding: Span,
    pub(crate) positions: usize,
    pub(crate) mels: usize,
    pub(crate) width: usize,
}

impl ConvStem {
    /// Longest row that is quantised.
    fn depth(&self) -> usize {
        3 * self.width.max(self.mels)
    }

    /// Values between the convolutions.
    fn between(&self) -> usize {
        (2 * self.positions.min(ROWS) + 1) * self.width
    }
}

impl Layer for ConvStem {
    fn name(&self) -> &'static str {
        "ConvStem"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.positions, self.width])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), ROWS, self.depth()).thread::<f32>(self.between())
    }

    fn work(&self) -> Work {
        let (frames, positions, width) = (2 * self.positions, self.positions, self.width);
        let rows = |depth: usize| Units { gelu: width as f64, quantize: depth as f64, ..Units::default() };
        let first = Work::product(frames, 3 * self.mels, width).and(frames, rows(3 * self.mels));
        first.plus(Work::product(positions, 3 * width, width).and(positions, rows(3 * width)))
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let mel = io.input::<f32>(0)?;
        let embedding = session.weights().f32s(&self.embedding);
        let (first, second) = (session.weights().linear(&self.first), session.weights().linear(&self.second));
        let (width, mels) = (self.width, self.mels);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, width, |scratch, start, out| {
            let mut buffers = RowBuffers::take(scratch, ROWS, self.depth());
            let wide = scratch.take::<f32>(self.between());
            let rows = out.len() / width;
            // Frames 2 * start - 1 ..= 2 * (start + rows) - 1 of the first convolution; frame -1 is zero.
            let between = &mut wide[..(2 * rows + 1) * width];
            let skip = usize::from(start == 0);
            between[..skip * width].fill(0.0);
            for (i, out) in between[skip * width..].chunks_mut(ROWS * width).enumerate() {
                let frame = 2 * start + skip - 1 + i * ROWS;
                let windows = buffers.quantize(session, &mel[frame * mels..], out.len() / width, 3 * mels, mels);
                session.linear(&windows, &first, Finish::Gelu, out);
            }
            out.copy_from_slice(&embedding[start * width..][..out.len()]);
            let windows = buffers.quantize(session, wide, rows, 3 * width, 2 * width);
            session.linear(&windows, &second, Finish::AddGelu, out);
        });
        Ok(())
    }
}
