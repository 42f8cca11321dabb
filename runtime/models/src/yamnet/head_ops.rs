//! The head's operators, of one patch at a time.

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::scratch::Need;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::conv::{Size, mean_rows};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::quantize_unsigned_rows;

use super::config::{BANDS, PARTS};
use ossicle_engine::layers::{UnsignedBuffers, UnsignedLinear, add, relu};

/// The middle third of a map's rows, their bands joined into four: `[height / 3][4 * channels]`.
#[derive(Debug)]
pub(super) struct BandMeans {
    pub(super) size: Size,
    pub(super) channels: usize,
}

impl Layer for BandMeans {
    fn name(&self) -> &'static str {
        "BandMeans"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.size.height / PARTS, BANDS * self.channels])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let rows = self.size.height / PARTS;
        let band = self.size.width / BANDS * self.channels;
        let bands = io.input::<f32>(0)?.chunks_exact(band).skip(rows * BANDS);
        for (band, out) in bands.zip(io.output::<f32>(0)?.chunks_exact_mut(self.channels)) {
            mean_rows(session.isa(), band, out);
        }
        Ok(())
    }
}

/// The sum of all inputs' projections to one width, and ReLU: `[cells][width]`. A row of an input stands for as many cells as it takes.
#[derive(Debug)]
pub(super) struct HeadJoin {
    pub(super) inputs: Vec<UnsignedLinear>,
    /// Rows of each input.
    pub(super) rows: Vec<usize>,
    pub(super) cells: usize,
    pub(super) width: usize,
}

impl HeadJoin {
    /// Longest row that is quantised.
    fn depth(&self) -> usize {
        self.inputs.iter().map(|input| input.layer.depth()).max().unwrap_or_default()
    }
}

impl Layer for HeadJoin {
    fn name(&self) -> &'static str {
        "HeadJoin"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.cells, self.width])]
    }

    fn scratch(&self) -> Need {
        UnsignedBuffers::need(Need::default().shared::<f32>(self.cells * self.width), self.cells, self.depth())
    }

    fn work(&self) -> Work {
        self.inputs.iter().zip(&self.rows).fold(Work::default(), |sum, (input, &rows)| {
            let depth = input.layer.depth();
            sum.plus(Work::product(rows, depth, self.width)).and(rows, Units { quantize: depth as f64, ..Units::default() })
        })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let projected = io.scratch::<f32>(self.cells * self.width);
        let out = io.output::<f32>(0)?;
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut buffers = UnsignedBuffers::take(&mut memory.take_all(), self.cells, self.depth());
        out.fill(0.0);
        for (input, linear) in self.inputs.iter().enumerate() {
            let x = io.input::<f32>(input)?;
            let rows = io.input_shape(input)?[0];
            let mut quantized = buffers.rows(rows, x.len() / rows);
            quantize_unsigned_rows(session.isa(), x, &mut quantized);
            let layer = session.weights().linear(&linear.layer);
            let projected = &mut projected[..rows * self.width];
            linear_u8(session.isa(), quantized.as_rows(&linear.sums), quantized.scales, &layer, false, projected);
            let stands_for = self.cells / rows * self.width;
            for (out, row) in out.chunks_exact_mut(stands_for).zip(projected.chunks_exact(self.width)) {
                for cell in out.chunks_exact_mut(self.width) {
                    add(cell, row);
                }
            }
        }
        relu(out);
        Ok(())
    }
}
