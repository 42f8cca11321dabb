//! Temporal convolutions over cells of a recording that come a few at a time: of three taps with dilation, each around a residual (van den Oord
//! et al. 2016, "WaveNet"; Bai et al. 2018, "TCN"). A convolution sees as far ahead as back, so what it gives comes late.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::graph::{GraphBuilder, Outlet};
use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::weights::{FolderError, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::rows::quantize_unsigned_rows;

use super::{UnsignedBuffers, UnsignedLinear, add, relu};

/// Taps of a temporal convolution.
pub const TAPS: usize = 3;

/// What is wrong with the cells between the taps of each convolution, if anything.
pub fn dilations_problem(dilations: &[usize]) -> Option<String> {
    let wrong = dilations.len() > 16 || dilations.iter().any(|dilation| !(1..=64).contains(dilation));
    wrong.then(|| format!("dilations are {dilations:?}, not at most 16 within 1..=64"))
}

/// Temporal convolutions one after another: where their weights are, and what they remember.
#[derive(Debug)]
pub struct Temporals {
    blocks: Vec<Block>,
    width: usize,
    /// That come at a time.
    cells: usize,
}

#[derive(Clone, Debug)]
struct Block {
    linear: UnsignedLinear,
    memory: Arc<Memory>,
    dilation: usize,
}

impl Temporals {
    /// Layers `NAME.0`, `NAME.1` and so on of the weights.
    pub fn new(weights: &Weights, name: &str, dilations: &[usize], width: usize, cells: usize) -> Result<Self, FolderError> {
        let blocks = dilations.iter().enumerate().map(|(i, &dilation)| {
            let linear = UnsignedLinear::new(weights, &format!("{name}.{i}"), width, TAPS * width, true)?;
            Ok(Block { linear, memory: Arc::new(Memory::new((2 * dilation + cells) * width)), dilation })
        });
        Ok(Self { blocks: blocks.collect::<Result<_, FolderError>>()?, width, cells })
    }

    /// Values of what is remembered from cells to cells.
    pub fn state_values(dilations: &[usize], width: usize, cells: usize) -> usize {
        dilations.iter().map(|dilation| (2 * dilation + cells) * width).sum()
    }

    /// Forgets the recording so far.
    pub fn reset(&self) {
        for block in &self.blocks {
            block.memory.reset();
        }
    }

    /// Adds them to a graph, from cells to cells that come later by the sum of the dilations.
    pub fn wire(&self, graph: &mut GraphBuilder, name: &str, mut x: Outlet) -> Result<Outlet, GraphError> {
        let mut lag = 0;
        for (i, block) in self.blocks.iter().enumerate() {
            lag += block.dilation;
            let block = Temporal { block: block.clone(), lag, cells: self.cells, width: self.width };
            x = graph.add(format!("{name}.{i}"), block, &[x])?[0];
        }
        Ok(x)
    }
}

/// What a temporal convolution remembers of the cells so far.
#[derive(Debug)]
struct Memory(Mutex<Cells>);

/// The last cells that a temporal convolution reads, oldest first.
#[derive(Debug)]
struct Cells {
    /// `[2 * dilation + cells of a patch][width]`
    values: Vec<f32>,
    /// Cells taken since the recording began.
    taken: usize,
}

impl Memory {
    fn new(values: usize) -> Self {
        Self(Mutex::new(Cells { values: vec![0.0; values], taken: 0 }))
    }

    fn reset(&self) {
        let mut cells = self.cells();
        cells.values.fill(0.0);
        cells.taken = 0;
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `relu(x(t) + W [x(t - d), x(t), x(t + d)] + b)`: `[cells][width]`, `d` cells later than what comes in. What lies before the recording's
/// first cell is zero, here and in the output.
#[derive(Debug)]
struct Temporal {
    block: Block,
    /// Cells by which the output is late in all.
    lag: usize,
    cells: usize,
    width: usize,
}

impl Layer for Temporal {
    fn name(&self) -> &'static str {
        "Temporal"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.cells, self.width])]
    }

    fn scratch(&self) -> Need {
        let depth = TAPS * self.width;
        UnsignedBuffers::need(Need::default().shared::<f32>(self.cells * depth), self.cells, depth)
    }

    fn work(&self) -> Work {
        let row = Units { quantize: (TAPS * self.width) as f64, ..Units::default() };
        Work::product(self.cells, TAPS * self.width, self.width).and(self.cells, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let Block { linear, memory, dilation } = &self.block;
        let (width, dilation) = (self.width, dilation * self.width);
        let gathered = io.scratch::<f32>(self.cells * TAPS * width);
        let out = io.output::<f32>(0)?;
        let mut memory = memory.cells();
        memory.values.copy_within(self.cells * width.., 0);
        memory.values[2 * dilation..].copy_from_slice(io.input::<f32>(0)?);
        for (cell, taps) in gathered.chunks_exact_mut(TAPS * width).enumerate() {
            for (tap, values) in taps.chunks_exact_mut(width).enumerate() {
                values.copy_from_slice(&memory.values[cell * width + tap * dilation..][..width]);
            }
        }
        let threads = io.thread_scratch();
        let mut scratch = threads.of(0);
        let mut buffers = UnsignedBuffers::take(&mut scratch.take_all(), self.cells, TAPS * width);
        let mut rows = buffers.rows(self.cells, TAPS * width);
        quantize_unsigned_rows(session.isa(), gathered, &mut rows);
        let layer = session.weights().linear(&linear.layer);
        linear_u8(session.isa(), rows.as_rows(&linear.sums), rows.scales, &layer, false, out);
        add(out, &memory.values[dilation..][..self.cells * width]);
        relu(out);
        let before = self.lag.saturating_sub(memory.taken).min(self.cells);
        out[..before * width].fill(0.0);
        memory.taken = memory.taken.saturating_add(self.cells);
        Ok(())
    }
}
