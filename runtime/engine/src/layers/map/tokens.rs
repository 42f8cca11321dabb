//! What puts positions together and takes them apart.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::weights::Span;
use crate::{GraphError, Session};
use ossicle_kernels::elementwise::add;

use super::{Shape, map_fact, record_map};

/// The input, its channels padded to whole vectors.
#[derive(Debug)]
pub struct Pad {
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let channels = self.output.channels;
        let out = io.output::<f32>(0)?.chunks_exact_mut(self.output.padded());
        for (x, out) in io.input::<f32>(0)?.chunks_exact(channels).zip(out) {
            out[..channels].copy_from_slice(x);
            out[channels..].fill(0.0);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Constant positions in front of the input's.
#[derive(Debug)]
pub struct Prepend {
    /// The positions, `[count][channels]`.
    pub tokens: Span,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Prepend {
    fn name(&self) -> &'static str {
        "Prepend"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let tokens = session.weights().f32s(&self.tokens);
        let (constant, rest) = io.output::<f32>(0)?.split_at_mut(tokens.len());
        constant.copy_from_slice(tokens);
        rest.copy_from_slice(io.input::<f32>(0)?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// A constant for each value.
#[derive(Debug)]
pub struct AddConstant {
    /// The constant, of the shape of the output.
    pub constant: Span,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for AddConstant {
    fn name(&self) -> &'static str {
        "AddConstant"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        add(session.isa(), io.input::<f32>(0)?, session.weights().f32s(&self.constant), io.output::<f32>(0)?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Some positions in a row.
#[derive(Debug)]
pub struct Take {
    /// The first position taken.
    pub first: usize,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Take {
    fn name(&self) -> &'static str {
        "Take"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = io.output::<f32>(0)?;
        out.copy_from_slice(&io.input::<f32>(0)?[self.first * self.output.padded()..][..out.len()]);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
