//! From rows to one vector.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::map::unit_length;
use ossicle_engine::{GraphError, Session};

use super::Text;

/// The mean of all rows, divided by its length.
#[derive(Debug)]
pub(super) struct MeanPooling {
    text: Arc<Text>,
}

impl MeanPooling {
    pub(super) fn new(text: &Arc<Text>) -> Self {
        Self { text: Arc::clone(text) }
    }
}

impl Layer for MeanPooling {
    fn name(&self) -> &'static str {
        "MeanPooling"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.text.config.hidden_size])]
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = io.output::<f32>(0)?;
        let (tokens, width) = (self.text.tokens(), out.len());
        out.fill(0.0);
        for x in io.input::<f32>(0)?.chunks_exact(width).take(tokens) {
            for (sum, x) in out.iter_mut().zip(x) {
                *sum += x;
            }
        }
        let count = tokens as f32;
        out.iter_mut().for_each(|sum| *sum /= count);
        unit_length(out);
        Ok(())
    }
}
