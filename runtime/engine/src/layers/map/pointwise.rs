//! What works on each position or value by itself.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::weights::Span;
use crate::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::elementwise::{add, affine_channels, multiply, scale_channels};
use ossicle_kernels::rows::layer_norm_rows;
use ossicle_kernels::simd::LANES;

use super::{Scores, Shape, finish, map_fact, record_map};

/// How two maps become one.
#[derive(Clone, Copy, Debug)]
pub enum Joined {
    /// Their sum, and a function of it.
    Sum(Activation),
    /// Their product.
    Product,
    /// Each channel of the first by the second's one position.
    Scaled,
}

/// Two maps value by value.
#[derive(Debug)]
pub struct Join {
    /// How the two become one.
    pub how: Joined,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Join {
    fn name(&self) -> &'static str {
        "Join"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (a, b) = (io.input::<f32>(0)?, io.input::<f32>(1)?);
        let (isa, channels) = (session.isa(), self.output.padded());
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, first, out| {
            let own = first * channels..first * channels + out.len();
            match self.how {
                Joined::Sum(activation) => {
                    add(isa, &a[own.clone()], &b[own], out);
                    finish(isa, activation, self.output, out);
                }
                Joined::Product => multiply(isa, &a[own.clone()], &b[own], out),
                Joined::Scaled => scale_channels(isa, &a[own], b, out),
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Each channel by a factor, plus a shift.
#[derive(Debug)]
pub struct Affine {
    /// Factors, one for each channel.
    pub weight: Span,
    /// Biases, one for each channel.
    pub bias: Span,
    /// Shape of the output.
    pub output: Shape,
    /// Applied to the result.
    pub activation: Activation,
}

impl Layer for Affine {
    fn name(&self) -> &'static str {
        "Affine"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (weight, bias) = (session.weights().f32s(&self.weight), session.weights().f32s(&self.bias));
        let (isa, channels) = (session.isa(), self.output.padded());
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, first, out| {
            affine_channels(isa, &x[first * channels..][..out.len()], weight, bias, out);
            finish(isa, self.activation, self.output, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// A function of each value.
#[derive(Debug)]
pub struct Unary {
    /// Applied to the result.
    pub activation: Activation,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Unary {
    fn name(&self) -> &'static str {
        "Unary"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let channels = self.output.padded();
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, first, out| {
            out.copy_from_slice(&x[first * channels..][..out.len()]);
            finish(session.isa(), self.activation, self.output, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Layer normalisation of each position.
#[derive(Debug)]
pub struct Norm {
    /// Factors, one for each channel.
    pub weight: Span,
    /// Biases, one for each channel.
    pub bias: Span,
    /// Added to the variance.
    pub epsilon: f32,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Norm {
    fn name(&self) -> &'static str {
        "Norm"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (weight, bias) = (session.weights().f32s(&self.weight), session.weights().f32s(&self.bias));
        let channels = self.output.padded();
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, first, out| {
            layer_norm_rows(session.isa(), &x[first * channels..][..out.len()], weight, bias, self.epsilon, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// Scores from the last layer's one position: `[labels]`.
#[derive(Debug)]
pub struct ToScores {
    /// What becomes of the logits.
    pub scores: Scores,
    /// Classes.
    pub labels: usize,
}

impl Layer for ToScores {
    fn name(&self) -> &'static str {
        "Scores"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.labels])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let scores = io.output::<f32>(0)?;
        scores.copy_from_slice(&io.input::<f32>(0)?[..self.labels]);
        match self.scores {
            Scores::Plain => {}
            Scores::Softmax => softmax(session.isa(), scores),
            Scores::Sigmoid => activate(session.isa(), Activation::Sigmoid, scores),
        }
        Ok(())
    }
}
