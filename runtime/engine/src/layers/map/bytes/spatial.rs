//! What looks at a neighbourhood of each channel of a map of bytes.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::bytes::{ByteMap, Filters, ToBytes, columns_bytes, depthwise_bytes, max_pool_bytes};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::Window;

use super::super::{Packed, Shape};
use super::{Grid, byte_fact, record_bytes};

/// A convolution of each channel by itself, from bytes to bytes.
#[derive(Debug)]
pub struct ByteDepthwise {
    /// Weights: the taps of a channel, column after column, each with zeros up to a multiple of four rows.
    pub weights: Packed,
    /// What the output looks at.
    pub window: Window,
    /// Shape of the input.
    pub input: Shape,
    /// What its bytes stand for.
    pub from: Grid,
    /// Shape of the output.
    pub output: Shape,
    /// What its bytes are to stand for.
    pub to: (Grid, ToBytes),
}

impl Layer for ByteDepthwise {
    fn name(&self) -> &'static str {
        "ByteDepthwise"
    }

    fn outputs(&self) -> Vec<Fact> {
        byte_fact(self.output)
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<u8>(columns_bytes(&self.window, self.input.size))
    }

    fn work(&self) -> Work {
        let taps = self.weights.depth * self.output.channels;
        let work = Work::default().and(self.output.positions(), Units { mac: taps as f64, ..Units::default() });
        Work { bytes: taps as f64, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let map = ByteMap { values: io.input::<u8>(0)?, size: self.input.size, channels: self.input.padded() };
        let layer = session.weights().linear(&self.weights.layer);
        let filters = Filters { layer, sums: &self.weights.sums, window: &self.window };
        let (isa, threads) = (session.isa(), io.thread_scratch());
        let row = self.output.size.width * self.output.padded();
        session.pool().for_parts(io.output::<u8>(0)?, row, 1, |thread, first, out| {
            let mut memory = threads.of(thread);
            let columns = memory.take_all().take(columns_bytes(&self.window, self.input.size));
            depthwise_bytes(isa, map, self.from.zero, &filters, &self.to.1, first, columns, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_bytes(self.output, self.to.0, results, record)
    }
}

/// The largest byte of each window.
#[derive(Debug)]
pub struct BytePool {
    /// What the output looks at.
    pub window: Window,
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// What the bytes stand for.
    pub grid: Grid,
}

impl Layer for BytePool {
    fn name(&self) -> &'static str {
        "BytePool"
    }

    fn outputs(&self) -> Vec<Fact> {
        byte_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let map = ByteMap { values: io.input::<u8>(0)?, size: self.input.size, channels: self.input.padded() };
        let isa = session.isa();
        session.pool().for_parts(io.output::<u8>(0)?, self.output.padded(), LANES, |_, first, out| {
            max_pool_bytes(isa, map, &self.window, first, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_bytes(self.output, self.grid, results, record)
    }
}
