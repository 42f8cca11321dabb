//! A linear layer added to the residual stream.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_engine::weights::LinearSpan;
use ossicle_kernels::linear::Finish;
use tract_core::internal::*;

use super::Context;

/// `residual + layer(x)`: inputs the residual stream `[tokens][width]`, which is taken over, and `x` of the same shape.
#[derive(Debug)]
pub(crate) struct LinearAdd {
    pub(crate) context: Arc<Context>,
    pub(crate) layer: LinearSpan,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl Layer for LinearAdd {
    fn name(&self) -> &'static str {
        "LinearAdd"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.width]))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let layer = self.context.folder.linear(&self.layer);
        let width = self.width;
        self.context.for_rows(io.output::<f32>(0)?, width, |workspace, start, out| {
            let x = &x[start * width..][..out.len()];
            let rows = workspace.rows.quantize(&self.context, x, out.len() / width, width, width);
            self.context.linear(&rows, &layer, Finish::Add, out);
        });
        Ok(())
    }
}
