//! The layer normalisation after the last encoder layer.

use crate::layer::{Fact, Io, Layer};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};

use super::Norm;

/// Normalises `[tokens][width]`.
#[derive(Debug)]
pub struct LayerNorm {
    /// Factors and shifts.
    pub norm: Norm,
    /// Tokens: rows of the input.
    pub tokens: usize,
    /// Values of a row of the output.
    pub width: usize,
}

impl Layer for LayerNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn work(&self) -> Work {
        Work::default().and(self.tokens, Units { normalize: self.width as f64, ..Units::default() })
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
