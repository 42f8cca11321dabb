//! A graph over a sequence that comes chunk by chunk, and ends when it is said to.

use std::ops::Range;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layer::Element;
use ossicle_engine::layers::sequence::{Chunks, Flow, Past, Sequence};
use ossicle_engine::layers::{ConvNext, ConvNextShape};
use ossicle_engine::weights::Weights;
use ossicle_engine::{GraphError, Memory, Session};

use super::config::SpectralConfig;

/// More frames than there ever are.
const ENDLESS: usize = 1 << 28;

/// Takes rows that there are now: a range of the output's.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&Runner, Range<usize>) -> Result<(), GraphError>;

/// What blocks are added to.
pub(super) struct Wire<'a> {
    pub(super) graph: GraphBuilder,
    pub(super) weights: &'a Weights,
    pub(super) config: &'a SpectralConfig,
    pub(super) pasts: Vec<Arc<Past>>,
}

impl Wire<'_> {
    /// Adds `count` blocks `NAME.0`, `NAME.1`, ...; the last one's output is a multiple of `align` rows late.
    pub(super) fn blocks(
        &mut self,
        name: &str,
        count: usize,
        align: usize,
        mut flow: Flow,
        mut x: Outlet,
    ) -> Result<(Flow, Outlet), GraphError> {
        let config = self.config;
        let shape = ConvNextShape { width: config.hidden_size, inner: config.intermediate_size, taps: config.kernel_size, dilation: 1 };
        let late = flow.late() + count * config.reach();
        for i in 0..count {
            let extra = if i + 1 == count { late.next_multiple_of(align) - late } else { 0 };
            let block = ConvNext::new(self.weights, &format!("{name}.{i}"), shape, &flow, Chunks::Many { extra })?;
            self.pasts.push(Arc::clone(block.past()));
            flow = block.past().output();
            x = self.graph.add(format!("spectral.{name}.{i}"), block, &[x])?[0];
        }
        Ok((flow, x))
    }
}

/// The graph, and what of its input has not been run yet.
pub(super) struct Stream<T> {
    pub(super) runner: Runner,
    sequence: Arc<Sequence>,
    flow: Flow,
    pasts: Vec<Arc<Past>>,
    stage: &'static str,
    /// Values of a frame of the input.
    width: usize,
    chunk: usize,
    pending: Vec<T>,
    /// Frames that were run.
    done: usize,
}

impl<T: Element + Copy + Default> Stream<T> {
    /// Of a graph that takes `chunk` frames of `width` values at a time and gives its rows in `flow`.
    pub(super) fn new(
        wire: Wire<'_>,
        outputs: &[Outlet],
        sequence: Arc<Sequence>,
        flow: Flow,
        (stage, width, chunk): (&'static str, usize, usize),
    ) -> Result<Self, GraphError> {
        let Wire { graph, pasts, .. } = wire;
        let pending = Vec::with_capacity(chunk * width);
        Ok(Self { runner: graph.plan(outputs)?, sequence, flow, pasts, stage, width, chunk, pending, done: 0 })
    }

    /// Gives it memory.
    pub(super) fn attach(&mut self) {
        self.runner.attach(Memory::default());
    }

    /// Bytes of what it keeps between chunks.
    pub(super) fn kept_bytes(&self) -> usize {
        self.pasts.iter().map(|past| past.bytes()).sum::<usize>() + self.chunk * self.width * size_of::<T>()
    }

    /// Forgets the sequence.
    pub(super) fn reset(&mut self) {
        self.pasts.iter().for_each(|past| past.reset());
        self.pending.clear();
        self.done = 0;
        // For what a whole chunk computes.
        self.sequence.set(0, 0);
    }

    /// Takes a frame; hands the rows that there are then, as a range of the output's, to `sink`.
    pub(super) fn push(&mut self, session: &Session, frame: &[T], sink: Sink<'_>) -> Result<(), GraphError> {
        self.pending.extend_from_slice(frame);
        match self.pending.len() == self.chunk * self.width {
            true => self.run(session, ENDLESS, sink),
            false => Ok(()),
        }
    }

    /// Ends the sequence: hands over what is left, and forgets it.
    pub(super) fn finish(&mut self, session: &Session, sink: Sink<'_>) -> Result<(), GraphError> {
        let frames = self.done + self.pending.len() / self.width;
        let mut result = Ok(());
        self.sequence.set(0, frames);
        // Rows are late by so many frames, or a part of one.
        let late = (self.flow.late() * self.chunk).div_ceil(self.flow.chunk());
        while result.is_ok() && frames > 0 && self.done < frames + late {
            result = self.run(session, frames, sink);
        }
        self.reset();
        result
    }

    fn run(&mut self, session: &Session, frames: usize, sink: Sink<'_>) -> Result<(), GraphError> {
        self.sequence.set(self.done, frames);
        if let Some(listener) = session.recorder().listener() {
            listener.step(self.stage, self.done / self.chunk, self.chunk);
        }
        let input = self.runner.input_mut::<T>(0)?;
        let (given, rest) = input.split_at_mut(self.pending.len());
        given.copy_from_slice(&self.pending);
        rest.fill(T::default());
        self.pending.clear();
        self.runner.run()?;
        self.done += self.chunk;
        sink(&self.runner, self.flow.inside())
    }
}
