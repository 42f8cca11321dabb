//! Logits over the vocabulary.

use std::sync::Arc;

use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::{Context, Norm, f32s, f32s_mut};
use crate::folder::LinearSpan;
use crate::plan::Kernel;

/// The last `rows` of `[tokens][width]` to `[rows][vocabulary]`, the vocabulary rounded up to a multiple of 16 (the rest is zero).
#[derive(Debug)]
pub(crate) struct Logits {
    pub(crate) context: Arc<Context>,
    pub(crate) norm: Norm,
    pub(crate) layer: LinearSpan,
    pub(crate) tokens: usize,
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) vocabulary: usize,
}

impl Kernel for Logits {
    fn name(&self) -> &'static str {
        "Logits"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.rows, self.vocabulary]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = &f32s(&inputs[0])?[(self.tokens - self.rows) * self.width..];
        let layer = self.context.folder.linear(&self.layer);
        let workspace = &mut *self.context.workspace(0);
        let rows = workspace.rows.normalize(&self.context, &self.norm, x, self.rows);
        self.context.linear(&rows, &layer, Finish::Store, f32s_mut(outputs[0])?);
        Ok(())
    }
}
