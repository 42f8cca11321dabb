//! Recurrent layers that read a sequence from both ends.

use crate::layer::{Fact, Io, Layer, Results};
use crate::layers::sequence::Flow;
use crate::layers::{RowBuffers, leaky_relu, record_inside};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{FolderError, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::Finish;

use super::LstmLayer;
use super::lstm::{GATES, step};

/// Long short-term memory in both directions over a sequence that is there as a whole: `[rows][width]` to `[rows][2][hidden]`, what was read
/// forwards first.
#[derive(Debug)]
pub struct LstmPair {
    flow: Flow,
    shape: LstmPairShape,
    /// Forwards and backwards.
    ways: [LstmLayer; 2],
}

/// Sizes of an [`LstmPair`].
#[derive(Clone, Copy, Debug)]
pub struct LstmPairShape {
    /// Values of a row, a multiple of 16.
    pub width: usize,
    /// Values of a state, a multiple of 16.
    pub hidden: usize,
    /// What a row's values are multiplied by where they are below zero.
    pub slope: f32,
}

impl LstmPair {
    /// Tensors `NAME.forward.input` and `NAME.forward.recurrent`, each a linear layer of four gates, the first with a bias; likewise `backward`.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing, misshapen or not finite.
    pub fn new(weights: &Weights, name: &str, shape: LstmPairShape, flow: &Flow) -> Result<Self, FolderError> {
        let way = |way: &str| -> Result<LstmLayer, FolderError> {
            let gates = GATES * shape.hidden;
            Ok(LstmLayer {
                input: weights.linear_span(&format!("{name}.{way}.input"), gates, shape.width, true)?,
                recurrent: weights.linear_span(&format!("{name}.{way}.recurrent"), gates, shape.hidden, false)?,
            })
        };
        Ok(Self { flow: flow.clone(), shape, ways: [way("forward")?, way("backward")?] })
    }
}

impl Layer for LstmPair {
    fn name(&self) -> &'static str {
        "LstmPair"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), 2 * self.shape.hidden])]
    }

    fn scratch(&self) -> Need {
        let LstmPairShape { width, hidden, .. } = self.shape;
        let need = Need::default().shared::<f32>(self.flow.chunk() * GATES * hidden).shared::<f32>(2 * hidden);
        RowBuffers::need(need, ROWS, width.max(hidden)).thread::<f32>(ROWS * width)
    }

    fn work(&self) -> Work {
        let (rows, LstmPairShape { width, hidden, .. }) = (self.flow.rows(), self.shape);
        let own = Units { quantize: hidden as f64, gelu: 5.0 * hidden as f64, ..Units::default() };
        let mut steps = Work::product(1, hidden, GATES * hidden);
        steps.shared = steps.shared.times(2.0 * rows as f64);
        steps.alone = own.times(2.0 * rows as f64);
        steps.plus(Work::product(rows, width, 2 * GATES * hidden))
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let LstmPairShape { width, hidden, slope } = self.shape;
        let (count, wide) = (self.flow.inside().end, GATES * hidden);
        let gates = &mut io.scratch::<f32>(self.flow.chunk() * wide)[..count * wide];
        let (cell, state) = io.scratch::<f32>(2 * hidden).split_at_mut(hidden);
        let (x, out) = (io.input::<f32>(0)?, io.output::<f32>(0)?);
        let threads = io.thread_scratch();
        for (backwards, layer) in self.ways.iter().enumerate() {
            let (input, recurrent) = (session.weights().linear(&layer.input), session.weights().linear(&layer.recurrent));
            session.for_rows(&threads, gates, wide, |scratch, start, out| {
                let rows = out.len() / wide;
                let mut buffers = RowBuffers::take(scratch, ROWS, width.max(hidden));
                let active = &mut scratch.take::<f32>(ROWS * width)[..rows * width];
                active.copy_from_slice(&x[start * width..][..rows * width]);
                if slope != 1.0 {
                    leaky_relu(active, slope);
                }
                session.linear(&buffers.quantize(session, active, rows, width, width), &input, Finish::Store, out);
            });
            let mut memory = threads.of(0);
            let mut buffers = RowBuffers::take(&mut memory.take_all(), ROWS, width.max(hidden));
            cell.fill(0.0);
            state.fill(0.0);
            for i in 0..count {
                let row = if backwards == 1 { count - 1 - i } else { i };
                let gates = &mut gates[row * wide..][..wide];
                session.linear(&buffers.quantize(session, state, 1, hidden, hidden), &recurrent, Finish::Add, gates);
                step(session.isa(), gates, cell, state);
                out[(2 * row + backwards) * hidden..][..hidden].copy_from_slice(state);
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}
