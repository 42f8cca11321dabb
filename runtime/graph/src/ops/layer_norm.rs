//! The layer normalisation after the last encoder layer.

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};

use super::Norm;

/// Normalises `[tokens][width]`.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) norm: Norm,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl Layer for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (gamma, beta) = self.norm.get(session);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.width, |_, start, out| {
            layer_norm_rows(session.isa(), &x[start * self.width..][..out.len()], gamma, beta, EPSILON, out);
        });
        Ok(())
    }
}
