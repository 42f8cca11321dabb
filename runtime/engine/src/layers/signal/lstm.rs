//! Recurrent layers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::layer::{Fact, Io, Layer};
use crate::layers::{RowBuffers, add};
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::elementwise::multiply;
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::Isa;

use super::Track;

/// Input, forget, cell and output.
pub(super) const GATES: usize = 4;

/// Where the weights of one recurrent layer are. Gates are in PyTorch's order: input, forget, cell, output.
#[derive(Clone, Debug)]
pub struct LstmLayer {
    /// Of the input, with the sum of both biases.
    pub input: LinearSpan,
    /// Of the state, without a bias.
    pub recurrent: LinearSpan,
}

/// What recurrent layers remember of a recording.
#[derive(Debug)]
pub struct LstmState(Mutex<Vec<f32>>);

impl LstmState {
    /// The beginning of a recording, for so many layers.
    pub fn new(layers: usize, channels: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(vec![0.0; 2 * layers * channels])))
    }

    /// Forgets the recording.
    pub fn reset(&self) {
        self.lock().fill(0.0);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Long short-term memory (Hochreiter and Schmidhuber 1997), layer upon layer, and the input added to the last one's output. Chunks come in
/// order and do not overlap; rows after the recording's last are left out.
#[derive(Debug)]
pub struct Lstm {
    /// The layers.
    pub layers: Vec<LstmLayer>,
    /// What they remember.
    pub state: Arc<LstmState>,
    /// The input and the output.
    pub track: Track,
}

/// One step: `gates` are the sums of each gate, `[4][channels]`.
pub(super) fn step(isa: Isa, gates: &mut [f32], cell: &mut [f32], hidden: &mut [f32]) {
    let channels = cell.len();
    let (input_forget, rest) = gates.split_at_mut(2 * channels);
    activate(isa, Activation::Sigmoid, input_forget);
    let (candidate, output) = rest.split_at_mut(channels);
    activate(isa, Activation::Tanh, candidate);
    activate(isa, Activation::Sigmoid, output);
    let (input, forget) = input_forget.split_at_mut(channels);
    // cell = forget * cell + input * candidate; hidden = output * tanh(cell)
    multiply(isa, input, candidate, hidden);
    multiply(isa, forget, cell, input);
    cell.copy_from_slice(input);
    add(cell, hidden);
    candidate.copy_from_slice(cell);
    activate(isa, Activation::Tanh, candidate);
    multiply(isa, output, candidate, hidden);
}

impl Layer for Lstm {
    fn name(&self) -> &'static str {
        "Lstm"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![self.track.fact()]
    }

    fn scratch(&self) -> Need {
        let Track { rows, channels, .. } = self.track;
        let need = Need::default().shared::<f32>(rows * GATES * channels).shared::<f32>(rows * channels);
        RowBuffers::need(need, ROWS, channels)
    }

    fn work(&self) -> Work {
        let Track { rows, channels, .. } = self.track;
        let own = Units { quantize: channels as f64, gelu: 5.0 * channels as f64, ..Units::default() };
        let (mut steps, mut all) = (Work::product(1, channels, GATES * channels), Work::default());
        steps.shared = steps.shared.times(rows as f64);
        steps.alone = own.times(rows as f64);
        for _ in &self.layers {
            all = all.plus(steps).plus(Work::product(rows, channels, GATES * channels));
        }
        all
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let Track { rows, channels, .. } = self.track;
        let (isa, wide) = (session.isa(), GATES * channels);
        let gates = io.scratch::<f32>(rows * wide);
        let between = io.scratch::<f32>(rows * channels);
        let (x, out) = (io.input::<f32>(0)?, io.output::<f32>(0)?);
        let threads = io.thread_scratch();
        let mut state = self.state.lock();
        let left = self.track.total().saturating_sub(self.track.first().max(0).cast_unsigned());
        for (index, (layer, state)) in self.layers.iter().zip(state.chunks_exact_mut(2 * channels)).enumerate() {
            let (cell, hidden) = state.split_at_mut(channels);
            let from = if index == 0 { x } else { &*between };
            let (input, recurrent) = (session.weights().linear(&layer.input), session.weights().linear(&layer.recurrent));
            session.for_rows(&threads, gates, wide, |scratch, start, out| {
                let count = out.len() / wide;
                let mut buffers = RowBuffers::take(scratch, ROWS, channels);
                let rows = buffers.quantize(session, &from[start * channels..], count, channels, channels);
                session.linear(&rows, &input, Finish::Store, out);
            });
            let mut memory = threads.of(0);
            let mut buffers = RowBuffers::take(&mut memory.take_all(), ROWS, channels);
            for (gates, out) in gates.chunks_exact_mut(wide).zip(out.chunks_exact_mut(channels)).take(left) {
                session.linear(&buffers.quantize(session, hidden, 1, channels, channels), &recurrent, Finish::Add, gates);
                step(isa, gates, cell, hidden);
                out.copy_from_slice(hidden);
            }
            out.chunks_exact_mut(channels).skip(left).for_each(|row| row.fill(0.0));
            between.copy_from_slice(out);
        }
        add(out, x);
        Ok(())
    }
}
