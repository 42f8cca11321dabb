//! The two convolutions in front of the encoder, with GELU after each and the positions added.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::{Context, ROWS, Workspace};

/// `[2 * positions + 2][mels]` (a frame of zeros at either end) to `[positions][width]`.
///
/// Both convolutions have three taps, the second steps by two frames. As rows follow each other in memory, a window is a row of three times
/// the width; it is quantised as one row.
#[derive(Debug)]
pub(crate) struct ConvStem {
    pub(crate) context: Arc<Context>,
    pub(crate) first: LinearSpan,
    pub(crate) second: LinearSpan,
    pub(crate) embedding: Span,
    pub(crate) positions: usize,
    pub(crate) mels: usize,
    pub(crate) width: usize,
}

impl Layer for ConvStem {
    fn name(&self) -> &'static str {
        "ConvStem"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.positions, self.width]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let mel = io.input::<f32>(0)?;
        let embedding = self.context.folder.f32s(&self.embedding);
        let (first, second) = (self.context.folder.linear(&self.first), self.context.folder.linear(&self.second));
        let (width, mels) = (self.width, self.mels);
        self.context.for_rows(io.output::<f32>(0)?, width, |workspace, start, out| {
            let Workspace { rows: buffers, wide, .. } = workspace;
            let rows = out.len() / width;
            // Frames 2 * start - 1 ..= 2 * (start + rows) - 1 of the first convolution; frame -1 is zero.
            let between = &mut wide[..(2 * rows + 1) * width];
            let skip = usize::from(start == 0);
            between[..skip * width].fill(0.0);
            for (i, out) in between[skip * width..].chunks_mut(ROWS * width).enumerate() {
                let frame = 2 * start + skip - 1 + i * ROWS;
                let windows = buffers.quantize(&self.context, &mel[frame * mels..], out.len() / width, 3 * mels, mels);
                self.context.linear(&windows, &first, Finish::Gelu, out);
            }
            out.copy_from_slice(&embedding[start * width..][..out.len()]);
            let windows = buffers.quantize(&self.context, wide, rows, 3 * width, 2 * width);
            self.context.linear(&windows, &second, Finish::AddGelu, out);
        });
        Ok(())
    }
}
