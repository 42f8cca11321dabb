//! Codes to sound.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::signal::{Clip, LstmState};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, Memory, MemoryPlan, Options, Session};
use ossicle_trace::Tap;

use super::config::{EncodecConfig, padded};
use super::layers::{Codebooks, Dequantize};
use super::rows::Kept;
use super::wire::{Margins, Wire};
use super::{MAX_CHUNK_FRAMES, MOST};

/// Parts up to the recurrent layers, those among them.
const FRONT: usize = 2;

/// A codec's decoder ready to run: frames of codes come one after another, samples go out as soon as nothing later can change them.
pub struct EncodecDecoder {
    folder: Arc<ModelFolder<EncodecConfig>>,
    session: Arc<Session>,
    state: Arc<LstmState>,
    front: Side<i32>,
    back: Side<f32>,
    frames: usize,
}

/// One of the two graphs: before the recurrent layers' output, and after it.
struct Side<T> {
    runner: Runner,
    clip: Arc<Clip>,
    margins: Margins,
    kept: Kept<T>,
    /// Frames that it has given.
    done: usize,
}

impl<T: Copy + Default> Side<T> {
    /// Whether the next chunk can be computed: what it looks ahead to is there, or the recording has ended.
    fn ready(&self, frames: usize, end: Option<usize>) -> bool {
        match end {
            Some(end) => self.done < end && self.kept.end() >= end.min(self.done + frames + self.margins.after),
            None => self.kept.end() >= self.done + frames + self.margins.after,
        }
    }

    fn reset(&mut self) {
        self.kept.clear();
        self.done = 0;
    }
}

impl fmt::Debug for EncodecDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodecDecoder").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl EncodecDecoder {
    /// Checks the folder's tensors, plans every buffer for chunks of so many frames and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Size`] if chunks are of no
    /// frame or of more than [`MAX_CHUNK_FRAMES`], [`GraphError::Memory`] if the buffers would take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<EncodecConfig>>, options: Options, frames: usize) -> Result<Self, GraphError> {
        let session = Session::new(folder.weights(), options);
        Self::in_session(folder, session, frames, MOST)
    }

    /// As [`new`](Self::new), in a session of the folder's weights, with another limit in bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn in_session(
        folder: Arc<ModelFolder<EncodecConfig>>,
        session: Arc<Session>,
        frames: usize,
        most: usize,
    ) -> Result<Self, GraphError> {
        let mut decoder = Self::build(folder, session, frames)?;
        let needed = decoder.memory_plan().buffers;
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        decoder.front.runner.attach(Memory::default());
        decoder.back.runner.attach(Memory::default());
        Ok(decoder)
    }

    /// What a decoder for such chunks needs, in bytes. No buffer is allocated, no thread starts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn plan(folder: &Arc<ModelFolder<EncodecConfig>>, options: Options, frames: usize) -> Result<MemoryPlan, GraphError> {
        let session = Session::for_planning(folder.weights(), options);
        Ok(Self::build(Arc::clone(folder), session, frames)?.memory_plan())
    }

    /// How much a decoder for such chunks computes for one of them. No buffer is allocated, no thread starts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &Arc<ModelFolder<EncodecConfig>>, options: Options, frames: usize) -> Result<Work, GraphError> {
        let session = Session::for_planning(folder.weights(), options);
        let Self { front, back, .. } = Self::build(Arc::clone(folder), session, frames)?;
        Ok(front.runner.work().plus(back.runner.work()))
    }

    /// A decoder without memory.
    fn build(folder: Arc<ModelFolder<EncodecConfig>>, session: Arc<Session>, frames: usize) -> Result<Self, GraphError> {
        if !(1..=MAX_CHUNK_FRAMES).contains(&frames) {
            return Err(GraphError::Size { what: "frames of a chunk, at least one", have: frames, most: MAX_CHUNK_FRAMES });
        }
        let (config, weights) = (folder.config(), folder.weights());
        let (parts, channels) = (config.decoder(), padded(config.widest()));
        let state = LstmState::new(config.num_lstm_layers, channels);

        let mut graph = GraphBuilder::new(&session);
        let (clip, margins) = (Arc::default(), Margins::new(config, &parts[..FRONT], frames));
        let rows = frames + margins.before + margins.after;
        let codes = graph.input::<i32>("encodec.codes", &[rows, config.num_quantizers])?;
        let values = graph.add("encodec.dequantize", Dequantize { codebooks: Codebooks::new(weights, config)?, rows }, &[codes])?[0];
        let mut wire = Wire { config, weights, graph: &mut graph, clip: &clip, state: &state, frames, margins };
        let outlet = wire.add(&parts[..FRONT], values)?;
        let kept = Kept::new(config.num_quantizers, rows + 1);
        let front = Side { runner: graph.plan(&[outlet])?, clip, margins, kept, done: 0 };

        let mut graph = GraphBuilder::new(&session);
        let (clip, margins) = (Arc::default(), Margins::new(config, &parts[FRONT..], frames));
        let rows = frames + margins.before + margins.after;
        let x = graph.input::<f32>("encodec.rows", &[rows, channels])?;
        let mut wire = Wire { config, weights, graph: &mut graph, clip: &clip, state: &state, frames, margins };
        let outlet = wire.add(&parts[FRONT..], x)?;
        let kept = Kept::new(channels, rows + frames);
        let back = Side { runner: graph.plan(&[outlet])?, clip, margins, kept, done: 0 };
        Ok(Self { folder, session, state, front, back, frames })
    }

    /// The codec's configuration.
    pub fn config(&self) -> &EncodecConfig {
        self.folder.config()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        let config = self.folder.config();
        MemoryPlan {
            weights: self.folder.weights().bytes(),
            buffers: self.front.runner.bytes() + self.back.runner.bytes(),
            state: self.front.kept.bytes() + self.back.kept.bytes() + 8 * config.num_lstm_layers * padded(config.widest()),
        }
    }

    /// Each layer in the order of the run, for one chunk: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.front.runner.layers().chain(self.back.runner.layers())
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `encodec.front` and `encodec.back`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the recording.
    pub fn reset(&mut self) {
        self.state.reset();
        self.front.reset();
        self.back.reset();
    }

    /// Takes the next frame's codes, one of each codebook; hands samples to `sink` where a chunk is complete. Allocates nothing once both graphs
    /// have run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are not as many codes as codebooks, or one is beyond its codebook.
    pub fn push(&mut self, codes: &[u32], sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let (codebooks, most) = (self.config().num_quantizers, self.config().codebook_size - 1);
        if codes.len() != codebooks {
            return Err(GraphError::Size { what: "codes of a frame (as many as codebooks)", have: codes.len(), most: codebooks });
        }
        if let Some(&code) = codes.iter().find(|&&code| code as usize > most) {
            return Err(GraphError::Size { what: "code", have: code as usize, most });
        }
        self.front.kept.push(bytemuck::cast_slice(codes));
        self.advance(None, sink)
    }

    /// Ends the recording: the samples that are left. The next frame begins another one.
    ///
    /// # Errors
    /// If a graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let result = self.advance(Some(self.front.kept.end()), sink);
        self.reset();
        result
    }

    fn advance(&mut self, end: Option<usize>, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let (hop, frames) = (self.config().hop(), self.frames);
        let samples = end.map_or(Clip::ENDLESS, |end| end * hop);
        loop {
            if self.back.ready(frames, end) {
                let Side { runner, clip, margins, kept, done } = &mut self.back;
                begin(&self.session, clip, "encodec.back", *done, hop, samples);
                kept.copy(done.cast_signed() - margins.before.cast_signed(), runner.input_mut::<f32>(0)?);
                runner.run()?;
                let own = end.map_or(frames, |end| frames.min(end - *done));
                sink(&runner.output::<f32>(0)?[..own * hop]);
                *done += own;
            } else if self.front.ready(frames, end) {
                let Side { runner, clip, margins, kept, done } = &mut self.front;
                begin(&self.session, clip, "encodec.front", *done, hop, samples);
                kept.copy(done.cast_signed() - margins.before.cast_signed(), runner.input_mut::<i32>(0)?);
                runner.run()?;
                let own = end.map_or(frames, |end| frames.min(end - *done));
                let rows = runner.output::<f32>(0)?;
                self.back.kept.push(&rows[..own * (rows.len() / frames)]);
                *done += own;
            } else {
                return Ok(());
            }
        }
    }
}

/// Sets the chunk that a graph computes next, and tells whoever listens.
pub(super) fn begin(session: &Session, clip: &Clip, stage: &str, frame: usize, hop: usize, samples: usize) {
    clip.set((frame * hop).cast_signed(), samples);
    if let Some(listener) = session.recorder().listener() {
        listener.step(stage, frame, 1);
    }
}
