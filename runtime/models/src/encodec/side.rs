//! One of a codec's two graphs: before the recurrent layers' output, and after it.

use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layer::Element;
use ossicle_engine::layers::signal::{Clip, LstmState};
use ossicle_engine::weights::Weights;
use ossicle_engine::{GraphError, Memory, Session};

use super::MAX_CHUNK_FRAMES;
use super::config::{EncodecConfig, Part};
use super::rows::Kept;
use super::wire::{Margins, Wire};

/// What both graphs of a codec's side are made of.
pub(super) struct Codec<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) config: &'a EncodecConfig,
    pub(super) weights: &'a Weights,
    pub(super) state: &'a Arc<LstmState>,
    /// Frames of a chunk.
    pub(super) frames: usize,
}

impl Codec<'_> {
    /// An error unless chunks are of a possible length.
    pub(super) fn check(&self) -> Result<(), GraphError> {
        match (1..=MAX_CHUNK_FRAMES).contains(&self.frames) {
            true => Ok(()),
            false => Err(GraphError::Size { what: "frames of a chunk, at least one", have: self.frames, most: MAX_CHUNK_FRAMES }),
        }
    }
}

/// What goes into a graph: values of a row, rows of a frame, and frames that are kept beside those of a chunk and around it.
#[derive(Clone, Copy)]
pub(super) struct Input {
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) spare: usize,
}

/// A graph with what it still needs of its input, chunk by chunk.
pub(super) struct Side<T> {
    pub(super) runner: Runner,
    stage: &'static str,
    clip: Arc<Clip>,
    margins: Margins,
    kept: Kept<T>,
    /// Rows of its input for each frame.
    rows: usize,
    frames: usize,
    /// Frames that it has given.
    done: usize,
}

impl<T: Element + Copy + Default> Side<T> {
    /// Wires `parts` between what `start` makes of the rows of so many frames and what `end` makes outputs of, without memory.
    pub(super) fn plan(
        codec: &Codec<'_>,
        stage: &'static str,
        parts: &[Part],
        input: Input,
        start: impl FnOnce(&mut GraphBuilder, usize) -> Result<Outlet, GraphError>,
        end: impl FnOnce(&mut GraphBuilder, Outlet) -> Result<Vec<Outlet>, GraphError>,
    ) -> Result<Self, GraphError> {
        let &Codec { session, config, weights, state, frames } = codec;
        let (clip, margins) = (Arc::default(), Margins::new(config, parts, frames));
        let around = frames + margins.before + margins.after;
        let mut graph = GraphBuilder::new(session);
        let x = start(&mut graph, around)?;
        let outlet = Wire { config, weights, graph: &mut graph, clip: &clip, state, frames, margins }.add(parts, x)?;
        let outputs = end(&mut graph, outlet)?;
        let kept = Kept::new(input.width, (around + input.spare) * input.rows);
        Ok(Self { runner: graph.plan(&outputs)?, stage, clip, margins, kept, rows: input.rows, frames, done: 0 })
    }

    /// Gives it memory.
    pub(super) fn attach(&mut self) {
        self.runner.attach(Memory::default());
    }

    /// Bytes of what it keeps between chunks.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// Forgets the recording.
    pub(super) fn reset(&mut self) {
        self.kept.clear();
        self.done = 0;
    }

    /// Takes rows of its input.
    pub(super) fn push(&mut self, rows: &[T]) {
        self.kept.push(rows);
    }

    /// Rows of its input so far.
    pub(super) fn taken(&self) -> usize {
        self.kept.end()
    }

    /// Computes the next chunk of a recording that ends with frame `end` and sample `samples`, or goes on: how many frames it gave, or none if it
    /// is not time yet. It is time once there is what the chunk looks ahead to, or the recording has ended.
    pub(super) fn advance(
        &mut self,
        session: &Session,
        hop: usize,
        end: Option<usize>,
        samples: usize,
    ) -> Result<Option<usize>, GraphError> {
        let wanted = self.done + self.frames + self.margins.after;
        let ready = match end {
            // The last frame may be a part of one.
            Some(end) => self.done < end && self.kept.end().div_ceil(self.rows) >= end.min(wanted),
            None => self.kept.end() >= wanted * self.rows,
        };
        if !ready {
            return Ok(None);
        }
        self.clip.set((self.done * hop).cast_signed(), samples);
        if let Some(listener) = session.recorder().listener() {
            listener.step(self.stage, self.done, 1);
        }
        let first = (self.done.cast_signed() - self.margins.before.cast_signed()) * self.rows.cast_signed();
        self.kept.copy(first, self.runner.input_mut::<T>(0)?);
        self.runner.run()?;
        let own = end.map_or(self.frames, |end| self.frames.min(end - self.done));
        self.done += own;
        Ok(Some(own))
    }
}
