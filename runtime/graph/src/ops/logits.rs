//! Logits over the vocabulary.

use std::sync::Arc;

use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::{Context, Norm, Workspace, f32s, f32s_mut};
use crate::folder::LinearSpan;
use crate::plan::Kernel;

/// Rows of `[tokens][width]` to `[rows][vocabulary]`, the vocabulary rounded up to a multiple of 16 (the rest is zero).
#[derive(Debug)]
pub(crate) struct Logits {
    pub(crate) context: Arc<Context>,
    pub(crate) norm: Norm,
    pub(crate) layer: LinearSpan,
    pub(crate) tokens: usize,
    pub(crate) rows: LogitRows,
    pub(crate) width: usize,
    pub(crate) vocabulary: usize,
}

/// Which tokens' logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogitRows {
    Last,
    /// In one pass over the weights, which are most of a decoder step's memory traffic.
    FirstAndLast,
}

impl LogitRows {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Last => 1,
            Self::FirstAndLast => 2,
        }
    }
}

impl Kernel for Logits {
    fn name(&self) -> &'static str {
        "Logits"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.rows.count(), self.vocabulary]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let (first, last) = (&x[..self.width], &x[(self.tokens - 1) * self.width..]);
        let layer = self.context.folder.linear(&self.layer);
        let Workspace { rows, wide, .. } = &mut *self.context.workspace(0);
        let x = match self.rows {
            LogitRows::Last => last,
            LogitRows::FirstAndLast => {
                let (one, other) = wide[..2 * self.width].split_at_mut(self.width);
                one.copy_from_slice(first);
                other.copy_from_slice(last);
                &wide[..2 * self.width]
            }
        };
        let rows = rows.normalize(&self.context, &self.norm, x, self.rows.count());
        self.context.linear(&rows, &layer, Finish::Store, f32s_mut(outputs[0])?);
        Ok(())
    }
}
