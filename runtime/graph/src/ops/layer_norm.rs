//! The layer normalisation after the last encoder layer.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer};
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};
use tract_core::internal::*;

use super::{Context, Norm};

/// Normalises `[tokens][width]`.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) context: Arc<Context>,
    pub(crate) norm: Norm,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl Layer for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.width]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let (gamma, beta) = self.norm.get(&self.context);
        self.context.for_rows(io.output::<f32>(0)?, self.width, |_, start, out| {
            layer_norm_rows(self.context.isa, &x[start * self.width..][..out.len()], gamma, beta, EPSILON, out);
        });
        Ok(())
    }
}
