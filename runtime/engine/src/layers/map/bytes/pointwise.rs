//! What works on each byte, or on each channel's bytes.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::{GraphError, Session};
use ossicle_kernels::bytes::{ToBytes, add_bytes, floats_of_bytes, mean_bytes};
use ossicle_kernels::simd::LANES;

use super::super::{Shape, map_fact, record_map};
use super::{Grid, byte_fact, record_bytes};

/// The sum of two maps of bytes, as bytes.
#[derive(Debug)]
pub struct ByteAdd {
    /// What the inputs' bytes stand for.
    pub from: [Grid; 2],
    /// Shape of the output.
    pub output: Shape,
    /// What its bytes are to stand for.
    pub to: (Grid, ToBytes),
}

impl ByteAdd {
    /// Steps of the output for each byte of the inputs, and what is added to them.
    fn figures(&self) -> ([f32; 2], f32) {
        let scales = self.from.map(|grid| grid.scale / self.to.0.scale);
        let zeros = [0, 1].map(|i| f64::from(self.from[i].zero) * f64::from(scales[i]));
        (scales, (f64::from(self.to.0.zero) - zeros[0] - zeros[1]) as f32)
    }
}

impl Layer for ByteAdd {
    fn name(&self) -> &'static str {
        "ByteAdd"
    }

    fn outputs(&self) -> Vec<Fact> {
        byte_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (a, b) = (io.input::<u8>(0)?, io.input::<u8>(1)?);
        let (isa, channels) = (session.isa(), self.output.padded());
        let (scales, plus) = self.figures();
        session.pool().for_parts(io.output::<u8>(0)?, channels, LANES, |_, first, out| {
            let own = first * channels..first * channels + out.len();
            add_bytes(isa, &a[own.clone()], &b[own], scales, plus, &self.to.1, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_bytes(self.output, self.to.0, results, record)
    }
}

/// The mean of all positions of a map of bytes, as f32.
#[derive(Debug)]
pub struct ByteMean {
    /// Positions of the input.
    pub positions: usize,
    /// What its bytes stand for.
    pub from: Grid,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for ByteMean {
    fn name(&self) -> &'static str {
        "ByteMean"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = io.output::<f32>(0)?;
        let scale = self.from.scale / self.positions as f32;
        mean_bytes(session.isa(), io.input::<u8>(0)?, scale, -(f32::from(self.from.zero) * self.from.scale), out);
        out[self.output.channels..].fill(0.0);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

/// A map of bytes as f32.
#[derive(Debug)]
pub struct ToFloats {
    /// What its bytes stand for.
    pub from: Grid,
    /// Shape of the map.
    pub output: Shape,
}

impl Layer for ToFloats {
    fn name(&self) -> &'static str {
        "ToFloats"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<u8>(0)?;
        let width = self.output.padded();
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |_, first, out| {
            floats_of_bytes(session.isa(), &x[first * width..][..out.len()], self.from.zero, self.from.scale, out);
            if self.output.channels < width {
                out.chunks_exact_mut(width).for_each(|position| position[self.output.channels..].fill(0.0));
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
