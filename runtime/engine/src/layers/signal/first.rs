//! The convolution that reads samples.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::Span;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::multiply::multiply_rows;

use super::{Edge, Track};

/// A convolution of one channel in f32, `[rows][1]` to `[rows][channels]`: windows that short would lose too much in 8 bits.
#[derive(Debug)]
pub struct FirstConv {
    /// `[kernel][channels]`
    pub weights: Span,
    /// `[channels]`
    pub bias: Span,
    /// Samples of a window.
    pub kernel: usize,
    /// What it sees at the ends; its stride is 1.
    pub edge: Edge,
    /// The samples.
    pub input: Track,
    /// The output.
    pub output: Track,
}

impl Layer for FirstConv {
    fn name(&self) -> &'static str {
        "FirstConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![self.output.fact()]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(ROWS + self.kernel).thread::<f32>(ROWS * self.kernel)
    }

    fn work(&self) -> Work {
        let row = Units { float_mac: (self.kernel * self.output.channels) as f64, ..Units::default() };
        let mut work = Work::default().and(self.output.rows, row);
        work.bytes = 4.0 * ((self.kernel + 1) * self.output.channels) as f64;
        work
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (weights, bias) = (session.weights().f32s(&self.weights), session.weights().f32s(&self.bias));
        let (channels, kernel, first) = (self.output.channels, self.kernel, self.output.first());
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, channels, |scratch, start, out| {
            let count = out.len() / channels;
            let samples = &mut scratch.take::<f32>(ROWS + kernel)[..count + kernel - 1];
            let windows = &mut scratch.take::<f32>(ROWS * kernel)[..count * kernel];
            self.input.gather(x, &self.edge, first + start.cast_signed() - self.edge.left.cast_signed(), samples);
            for (window, samples) in windows.chunks_exact_mut(kernel).zip(samples.windows(kernel)) {
                window.copy_from_slice(samples);
            }
            multiply_rows(session.isa(), windows, weights, bias, out);
        });
        Ok(())
    }
}
