//! The two convolutions in front of the encoder, with GELU after each and the positions added.

use std::sync::Arc;

use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::{Context, f32s, f32s_mut};
use crate::folder::{LinearSpan, Span};
use crate::plan::Kernel;

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

impl Kernel for ConvStem {
    fn name(&self) -> &'static str {
        "ConvStem"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.positions, self.width]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let mel = f32s(&inputs[0])?;
        let embedding = self.context.folder.f32s(&self.embedding);
        let (first, second) = (self.context.folder.linear(&self.first), self.context.folder.linear(&self.second));
        let (width, mels, frames) = (self.width, self.mels, 2 * self.positions);
        self.context.for_rows(f32s_mut(outputs[0])?, width, |workspace, start, out| {
            let rows = out.len() / width;
            // Frames 2 * start - 1 ..= 2 * (start + rows) - 1 of the first convolution; frame -1 is zero.
            let mut wide = std::mem::take(&mut workspace.wide);
            let count = 2 * rows + 1;
            for (i, rows) in wide[..count * width].chunks_mut(super::ROWS * width).enumerate() {
                let begin = i * super::ROWS;
                let skip = usize::from(start == 0 && i == 0);
                rows[..skip * width].fill(0.0);
                let rows = &mut rows[skip * width..];
                let frame = 2 * start + begin + skip - 1;
                debug_assert!(frame + rows.len() / width <= frames);
                workspace.linear(&self.context, &mel[frame * mels..], rows.len() / width, 3 * mels, mels, &first, Finish::Gelu, rows);
            }
            workspace.wide = wide;
            out.copy_from_slice(&embedding[start * width..][..out.len()]);
            workspace.wide_linear(&self.context, rows, 3 * width, 2 * width, &second, Finish::AddGelu, out);
        });
        Ok(())
    }
}
