//! The feed-forward block.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_engine::weights::LinearSpan;
use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::{Context, Norm, Workspace};

/// `x + second(gelu(first(norm(x))))` on `[tokens][width]`, which is taken over. The inner rows exist for a few tokens at a time only.
#[derive(Debug)]
pub(crate) struct FeedForward {
    pub(crate) context: Arc<Context>,
    pub(crate) norm: Norm,
    pub(crate) first: LinearSpan,
    pub(crate) second: LinearSpan,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    pub(crate) inner: usize,
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "FeedForward"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.width]))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (first, second) = (self.context.folder.linear(&self.first), self.context.folder.linear(&self.second));
        self.context.for_rows(io.output::<f32>(0)?, self.width, |workspace, _, out| {
            let Workspace { rows: buffers, wide, .. } = workspace;
            let rows = out.len() / self.width;
            self.context.linear(&buffers.normalize(&self.context, &self.norm, out, rows), &first, Finish::Gelu, wide);
            self.context.linear(&buffers.quantize(&self.context, wide, rows, self.inner, self.inner), &second, Finish::Add, out);
        });
        Ok(())
    }
}
