//! Coupling layers: one half of a frame's values says what is taken off the other.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past};
use ossicle_engine::layers::{BLOCK, TapBuffers, Taps, TapsShape, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};

/// Half of a frame to the rows that WaveNet layers go on with, `[chunk][state, sum of skips]`; the sum is 0.
#[derive(Debug)]
pub(super) struct Enter {
    flow: Flow,
    taps: Taps,
    width: usize,
    /// The first of the values that are read.
    from: usize,
}

impl Enter {
    /// Frames of `width` values that come in `flow`, of which half is read from value `from` on.
    pub(super) fn new(weights: &Weights, name: &str, width: usize, from: usize, flow: &Flow) -> Result<Self, FolderError> {
        let taps = Taps::new(weights, name, TapsShape { inputs: width / 2, outputs: width, taps: 1, dilation: 1 })?;
        Ok(Self { flow: flow.clone(), taps, width, from })
    }
}

impl Layer for Enter {
    fn name(&self) -> &'static str {
        "Enter"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), 2 * self.width])]
    }

    fn scratch(&self) -> Need {
        TapBuffers::need(Need::default(), BLOCK, self.width / 2).thread::<f32>(BLOCK * self.width)
    }

    fn work(&self) -> Work {
        self.taps.work(self.flow.rows())
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width, inside) = (io.input::<f32>(0)?, self.width, self.flow.inside());
        let out = &mut io.output::<f32>(0)?[2 * width * inside.start..2 * width * inside.end];
        session.for_parts(&io.thread_scratch(), out, 2 * width, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * 2 * width).enumerate() {
                let scratch = &mut scratch.again();
                let (first, count) = (inside.start + start + block * BLOCK, out.len() / (2 * width));
                let mut buffers = TapBuffers::take(scratch, BLOCK, width / 2);
                let results = &mut scratch.take::<f32>(BLOCK * width)[..count * width];
                buffers.fill(session, &x[first * width..][..count * width], width, self.from, 1.0);
                self.taps.run(session, &buffers, 0, false, results);
                for (out, result) in out.chunks_exact_mut(2 * width).zip(results.chunks_exact(width)) {
                    out[..width].copy_from_slice(result);
                    out[width..].fill(0.0);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// A WaveNet layer (van den Oord et al. 2016) on rows `[state, sum of skips]`: `tanh(a) * sigmoid(b)` of a convolution of the state, and what a
/// linear layer makes of it added to both; to the sum only in the last.
#[derive(Debug)]
pub(super) struct WaveNet {
    past: Arc<Past>,
    taps: Taps,
    out: Taps,
    width: usize,
}

impl WaveNet {
    /// Tensors `NAME.in` and `NAME.out`, states of `width` values.
    pub(super) fn new(
        weights: &Weights,
        name: &str,
        width: usize,
        (taps, dilation): (usize, usize),
        last: bool,
        flow: &Flow,
    ) -> Result<Self, FolderError> {
        let taps = Taps::new(weights, &format!("{name}.in"), TapsShape { inputs: width, outputs: 2 * width, taps, dilation })?;
        let outputs = if last { width } else { 2 * width };
        let out = Taps::new(weights, &format!("{name}.out"), TapsShape { inputs: width, outputs, taps: 1, dilation: 1 })?;
        Ok(Self { past: Arc::new(Past::new(flow.clone(), 2 * width, taps.reach(), Chunks::Many { extra: 0 })), taps, out, width })
    }

    pub(super) fn past(&self) -> &Arc<Past> {
        &self.past
    }
}

impl Layer for WaveNet {
    fn name(&self) -> &'static str {
        "WaveNet"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.past.output().chunk(), 2 * self.width])]
    }

    fn scratch(&self) -> Need {
        let need = TapBuffers::need(Need::default(), BLOCK + 2 * self.taps.reach(), self.width);
        TapBuffers::need(need, BLOCK, self.width).thread::<f32>(BLOCK * 2 * self.width).thread::<f32>(BLOCK * 2 * self.width)
    }

    fn work(&self) -> Work {
        let rows = self.past.output().rows();
        let row = Units { gelu: 2.0 * self.width as f64, ..Units::default() };
        self.taps.work(rows).plus(self.out.work(rows)).and(rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width, wide, reach) = (io.input::<f32>(0)?, self.width, 2 * self.width, self.taps.reach());
        let rows = self.past.take(|i, row| row.copy_from_slice(&x[i * wide..][..wide]));
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (rows, isa, outputs) = (&rows[..], session.isa(), self.out.shape().outputs);
        let out = &mut io.output::<f32>(0)?[inside.start * wide..inside.end * wide];
        session.for_parts(&io.thread_scratch(), out, wide, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * wide).enumerate() {
                let scratch = &mut scratch.again();
                let (first, count) = (inside.start + start + block * BLOCK, out.len() / wide);
                let mut buffers = TapBuffers::take(scratch, BLOCK + 2 * reach, width);
                let mut gated = TapBuffers::take(scratch, BLOCK, width);
                let gates = &mut scratch.take::<f32>(BLOCK * wide)[..count * wide];
                let results = &mut scratch.take::<f32>(BLOCK * wide)[..count * outputs];
                buffers.fill(session, &rows[first * wide..][..(count + 2 * reach) * wide], wide, 0, 1.0);
                self.taps.run(session, &buffers, 0, false, gates);
                for gates in gates.chunks_exact_mut(wide) {
                    let (content, gate) = gates.split_at_mut(width);
                    activate(isa, Activation::Tanh, content);
                    activate(isa, Activation::Sigmoid, gate);
                    content.iter_mut().zip(gate).for_each(|(content, gate)| *content *= *gate);
                }
                gated.fill(session, gates, wide, 0, 1.0);
                self.out.run(session, &gated, 0, false, results);
                out.copy_from_slice(&rows[(first + reach) * wide..][..out.len()]);
                for (out, result) in out.chunks_exact_mut(wide).zip(results.chunks_exact(outputs)) {
                    ossicle_engine::layers::add(&mut out[wide - outputs..], result);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.past.output(), results, 0, record)
    }
}

/// Takes off a frame's other half what the sum of skips says. Inputs: frames, WaveNet rows; frames wait for the rows.
#[derive(Debug)]
pub(super) struct Leave {
    frames: Arc<Past>,
    taps: Taps,
    width: usize,
    /// The first of the values that are changed.
    to: usize,
}

impl Leave {
    /// Frames that come in `flow`, rows that come `late` after them.
    pub(super) fn new(weights: &Weights, name: &str, width: usize, to: usize, flow: &Flow, late: usize) -> Result<Self, FolderError> {
        let taps = Taps::new(weights, name, TapsShape { inputs: width, outputs: width / 2, taps: 1, dilation: 1 })?;
        Ok(Self { frames: Arc::new(Past::new(flow.clone(), width, 0, Chunks::Many { extra: late })), taps, width, to })
    }

    pub(super) fn past(&self) -> &Arc<Past> {
        &self.frames
    }
}

impl Layer for Leave {
    fn name(&self) -> &'static str {
        "Leave"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.frames.output().chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        TapBuffers::need(Need::default(), BLOCK, self.width).thread::<f32>(BLOCK * self.width / 2)
    }

    fn work(&self) -> Work {
        self.taps.work(self.frames.output().rows())
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (frames, rows, width, half) = (io.input::<f32>(0)?, io.input::<f32>(1)?, self.width, self.width / 2);
        let frames = self.frames.take(|i, row| row.copy_from_slice(&frames[i * width..][..width]));
        let inside = self.frames.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (frames, out) = (&frames[..], &mut io.output::<f32>(0)?[inside.start * width..inside.end * width]);
        session.for_parts(&io.thread_scratch(), out, width, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * width).enumerate() {
                let scratch = &mut scratch.again();
                let (first, count) = (inside.start + start + block * BLOCK, out.len() / width);
                let mut buffers = TapBuffers::take(scratch, BLOCK, width);
                let results = &mut scratch.take::<f32>(BLOCK * half)[..count * half];
                buffers.fill(session, &rows[first * 2 * width..][..count * 2 * width], 2 * width, width, 1.0);
                self.taps.run(session, &buffers, 0, false, results);
                out.copy_from_slice(&frames[first * width..][..out.len()]);
                for (out, result) in out.chunks_exact_mut(width).zip(results.chunks_exact(half)) {
                    out[self.to..][..half].iter_mut().zip(result).for_each(|(out, result)| *out -= result);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.frames.output(), results, 0, record)
    }
}
