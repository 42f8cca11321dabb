//! Sound to codes.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::signal::{Clip, LstmState};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_trace::Tap;

use super::config::{EncodecConfig, padded};
use super::decoder::begin;
use super::layers::{Codebooks, Quantize};
use super::rows::Kept;
use super::wire::{Margins, Wire};
use super::{MAX_CHUNK_FRAMES, MOST};

/// A codec's encoder ready to run: samples come as they like, codes go out frame by frame.
pub struct EncodecEncoder {
    folder: Arc<ModelFolder<EncodecConfig>>,
    session: Arc<Session>,
    state: Arc<LstmState>,
    front: Runner,
    front_clip: Arc<Clip>,
    front_margins: Margins,
    samples: Kept<f32>,
    back: Runner,
    back_clip: Arc<Clip>,
    back_margins: Margins,
    rows: Kept<f32>,
    frames: usize,
    /// Frames that have gone through the recurrent layers, and those whose codes have been given.
    front_done: usize,
    back_done: usize,
}

impl fmt::Debug for EncodecEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodecEncoder").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl EncodecEncoder {
    /// Checks the folder's tensors, plans every buffer for chunks of so many frames and starts the threads.
    ///
    /// # Errors
    /// As [`EncodecDecoder::new`](super::EncodecDecoder::new).
    pub fn new(folder: Arc<ModelFolder<EncodecConfig>>, options: Options, frames: usize) -> Result<Self, GraphError> {
        let session = Session::new(folder.weights(), options);
        Self::in_session(folder, session, frames, MOST)
    }

    /// As [`new`](Self::new), in a session of the folder's weights, with another limit in bytes for each of two graphs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn in_session(
        folder: Arc<ModelFolder<EncodecConfig>>,
        session: Arc<Session>,
        frames: usize,
        most: usize,
    ) -> Result<Self, GraphError> {
        if !(1..=MAX_CHUNK_FRAMES).contains(&frames) {
            return Err(GraphError::Size { what: "frames of a chunk, at least one", have: frames, most: MAX_CHUNK_FRAMES });
        }
        let (config, weights) = (folder.config(), folder.weights());
        let (parts, channels, hop) = (config.encoder(), padded(config.widest()), config.hop());
        let (front_parts, back_parts) = parts.split_at(parts.len() - 1);
        let state = LstmState::new(config.num_lstm_layers, channels);

        let mut graph = GraphBuilder::new(&session);
        let (front_clip, front_margins) = (Arc::default(), Margins::new(config, front_parts, frames));
        let input = frames + front_margins.before + front_margins.after;
        let x = graph.input::<f32>("encodec.samples", &[input * hop])?;
        let mut wire = Wire { config, weights, graph: &mut graph, clip: &front_clip, state: &state, frames, margins: front_margins };
        let outlet = wire.add(front_parts, x)?;
        let front = graph.finish(&[outlet], most)?;
        let samples = Kept::new(1, (input + 1) * hop);

        let mut graph = GraphBuilder::new(&session);
        let (back_clip, back_margins) = (Arc::default(), Margins::new(config, back_parts, frames));
        let input = frames + back_margins.before + back_margins.after;
        let x = graph.input::<f32>("encodec.rows", &[input, channels])?;
        let mut wire = Wire { config, weights, graph: &mut graph, clip: &back_clip, state: &state, frames, margins: back_margins };
        let latent = wire.add(back_parts, x)?;
        let codes = graph.add("encodec.quantize", Quantize { codebooks: Codebooks::new(weights, config)?, rows: frames }, &[latent])?[0];
        let back = graph.finish(&[codes, latent], most)?;
        let rows = Kept::new(channels, input + frames);
        Ok(Self {
            folder,
            session,
            state,
            front,
            front_clip,
            front_margins,
            samples,
            back,
            back_clip,
            back_margins,
            rows,
            frames,
            front_done: 0,
            back_done: 0,
        })
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
            buffers: self.front.bytes() + self.back.bytes(),
            state: self.samples.bytes() + self.rows.bytes() + 8 * config.num_lstm_layers * padded(config.widest()),
        }
    }

    /// Each layer in the order of the run, for one chunk: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.front.layers().chain(self.back.layers())
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `encodec.front` and `encodec.back`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the recording.
    pub fn reset(&mut self) {
        self.state.reset();
        self.samples.clear();
        self.rows.clear();
        (self.front_done, self.back_done) = (0, 0);
    }

    /// Takes samples in -1.0..=1.0; hands codes, `[frames][codebooks]`, to `sink` where a chunk is complete. Allocates nothing once both graphs
    /// have run.
    ///
    /// # Errors
    /// [`GraphError::Layer`] if a sample is not a finite number.
    pub fn push(&mut self, samples: &[f32], sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err(GraphError::Layer("a sample is not a finite number"));
        }
        for part in samples.chunks(self.config().hop()) {
            self.samples.push(part);
            self.advance(None, sink)?;
        }
        Ok(())
    }

    /// Ends the recording: the codes that are left, the last frame's for a part of its samples too. The next sample begins another one.
    ///
    /// # Errors
    /// If a graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let result = self.advance(Some(self.samples.end()), sink);
        self.reset();
        result
    }

    fn advance(&mut self, end: Option<usize>, sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let (hop, frames) = (self.config().hop(), self.frames);
        let total = end.map(|samples| samples.div_ceil(hop));
        let samples = end.unwrap_or(Clip::ENDLESS);
        loop {
            let wanted = self.back_done + frames + self.back_margins.after;
            if total.map_or(self.rows.end() >= wanted, |total| self.back_done < total && self.rows.end() >= total.min(wanted)) {
                begin(&self.session, &self.back_clip, "encodec.back", self.back_done, hop, samples);
                self.rows.copy(self.back_done.cast_signed() - self.back_margins.before.cast_signed(), self.back.input_mut::<f32>(0)?);
                self.back.run()?;
                let own = total.map_or(frames, |total| frames.min(total - self.back_done));
                sink(bytemuck::cast_slice(&self.back.output::<i32>(0)?[..own * self.folder.config().num_quantizers]));
                self.back_done += own;
                continue;
            }
            let wanted = (self.front_done + frames + self.front_margins.after) * hop;
            if !total.map_or(self.samples.end() >= wanted, |total| self.front_done < total) {
                return Ok(());
            }
            begin(&self.session, &self.front_clip, "encodec.front", self.front_done, hop, samples);
            let from = (self.front_done.cast_signed() - self.front_margins.before.cast_signed()) * hop.cast_signed();
            self.samples.copy(from, self.front.input_mut::<f32>(0)?);
            self.front.run()?;
            let own = total.map_or(frames, |total| frames.min(total - self.front_done));
            let rows = self.front.output::<f32>(0)?;
            self.rows.push(&rows[..own * (rows.len() / frames)]);
            self.front_done += own;
        }
    }
}
