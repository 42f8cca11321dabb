//! What looks at a neighbourhood of each channel, or at all of it.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::weights::Span;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::conv::mean_rows;
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Map, Pool, Window, depthwise_map, pool_map};

use super::{Shape, finish, map_fact, record_map};

/// A convolution of each channel by itself, f32.
#[derive(Debug)]
pub struct Depthwise {
    /// Weights, `[taps][channels]`.
    pub weights: Span,
    /// Biases, one for each channel.
    pub bias: Span,
    /// What the output looks at.
    pub window: Window,
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Applied to the result.
    pub activation: Activation,
}

impl Layer for Depthwise {
    fn name(&self) -> &'static str {
        "Depthwise"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn work(&self) -> Work {
        let taps = self.window.taps() * self.output.channels;
        let work = Work::default().and(self.output.positions(), Units { filter_mac: taps as f64, ..Units::default() });
        Work { bytes: 4.0 * taps as f64, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let map = Map { values: io.input::<f32>(0)?, size: self.input.size, channels: self.input.padded() };
        let (weights, bias) = (session.weights().f32s(&self.weights), session.weights().f32s(&self.bias));
        let isa = session.isa();
        session.pool().for_parts(io.output::<f32>(0)?, self.output.padded(), LANES, |_, first, out| {
            depthwise_map(isa, map, &self.window, weights, bias, first, out);
            finish(isa, self.activation, self.output, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// The largest value or the mean of each window.
#[derive(Debug)]
pub struct PoolWindows {
    /// What the output looks at.
    pub window: Window,
    /// The largest value or the mean.
    pub pool: Pool,
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for PoolWindows {
    fn name(&self) -> &'static str {
        "PoolWindows"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let map = Map { values: io.input::<f32>(0)?, size: self.input.size, channels: self.input.padded() };
        let (isa, channels) = (session.isa(), self.output.padded());
        session.pool().for_parts(io.output::<f32>(0)?, channels, LANES, |_, first, out| {
            pool_map(isa, map, &self.window, self.pool, first, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// The mean of all positions.
#[derive(Debug)]
pub struct Mean {
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Mean {
    fn name(&self) -> &'static str {
        "Mean"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        mean_rows(session.isa(), io.input::<f32>(0)?, io.output::<f32>(0)?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
