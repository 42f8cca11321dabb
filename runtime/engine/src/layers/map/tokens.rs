//! What puts positions together and takes them apart.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::weights::{LinearSpan, Span};
use crate::{GraphError, Session};
use ossicle_kernels::elementwise::add;
use ossicle_kernels::simd::LANES;

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

/// The position that the second input, one i32, names.
#[derive(Debug)]
pub struct TakeOne {
    /// Shape of the output: one position.
    pub output: Shape,
}

impl Layer for TakeOne {
    fn name(&self) -> &'static str {
        "TakeOne"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = io.output::<f32>(0)?;
        let at = io.input::<i32>(1)?.first().and_then(|&at| usize::try_from(at).ok());
        let row = at.and_then(|at| io.input::<f32>(0).ok()?.chunks_exact(out.len()).nth(at));
        out.copy_from_slice(row.ok_or(GraphError::Layer("a position that is not there"))?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Tokens i32 `[positions]` to `[positions][channels]`: each token's embedding plus its position's.
#[derive(Debug)]
pub struct Embedding {
    /// A row of weights for each token, s8 with a scale each.
    pub tokens: LinearSpan,
    /// `[at least as many positions][channels]`
    pub positions: Span,
    /// Shape of the output; channels are whole vectors.
    pub output: Shape,
}

impl Layer for Embedding {
    fn name(&self) -> &'static str {
        "Embedding"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (table, positions) = (session.weights().linear(&self.tokens), session.weights().f32s(&self.positions));
        let width = self.output.channels;
        let rows = positions.chunks_exact(width).zip(io.output::<f32>(0)?.chunks_exact_mut(width));
        for (&id, (position, out)) in io.input::<i32>(0)?.iter().zip(rows) {
            let id = usize::try_from(id).unwrap_or(usize::MAX);
            let scale = *table.scales.get(id).ok_or(GraphError::Layer("a token beyond the vocabulary"))?;
            for (group, (out, position)) in out.chunks_exact_mut(4).zip(position.chunks_exact(4)).enumerate() {
                let values = table.weights.values(id / LANES, group, id % LANES);
                for ((out, q), position) in out.iter_mut().zip(values).zip(position) {
                    *out = f32::from(q) * scale + position;
                }
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// One position, divided by its length: what vectors are compared as. One of zeros stays as it is.
#[derive(Debug)]
pub struct UnitLength {
    /// Shape of the output: one position.
    pub output: Shape,
}

impl Layer for UnitLength {
    fn name(&self) -> &'static str {
        "UnitLength"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = io.output::<f32>(0)?;
        out.copy_from_slice(io.input::<f32>(0)?);
        unit_length(out);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Divides a vector by its length, whose square is summed in 16 lanes. One of zeros stays as it is.
pub fn unit_length(vector: &mut [f32]) {
    let mut lanes = [0.0f32; LANES];
    for chunk in vector.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    let length = lanes.iter().sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}
