//! Sound to codes.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::layers::signal::{Clip, LstmState};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_trace::Tap;

use crate::codebooks::{Codebooks, Quantize};

use super::MOST;
use super::config::{EncodecConfig, padded};
use super::side::{Codec, Input, Side};

/// A codec's encoder ready to run: samples come as they like, codes go out frame by frame.
pub struct EncodecEncoder {
    folder: Arc<ModelFolder<EncodecConfig>>,
    session: Arc<Session>,
    state: Arc<LstmState>,
    front: Side<f32>,
    back: Side<f32>,
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
        let mut encoder = Self::build(folder, session, frames)?;
        for needed in [encoder.front.runner.bytes(), encoder.back.runner.bytes()] {
            if needed > most.min(isize::MAX.unsigned_abs()) {
                return Err(GraphError::Memory { needed, most });
            }
        }
        encoder.front.attach();
        encoder.back.attach();
        Ok(encoder)
    }

    /// An encoder without memory.
    fn build(folder: Arc<ModelFolder<EncodecConfig>>, session: Arc<Session>, frames: usize) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let (parts, channels, hop) = (config.encoder(), padded(config.widest()), config.hop());
        let state = LstmState::new(config.num_lstm_layers, channels);
        let codec = Codec { session: &session, config, weights, state: &state, frames };
        codec.check()?;
        let (front, back) = parts.split_at(parts.len() - 1);
        let codebooks = Codebooks::new(weights, config.num_quantizers, config.codebook_size, padded(config.hidden_size))?;
        let front = Side::plan(
            &codec,
            "encodec.front",
            front,
            Input { width: 1, rows: hop, spare: 1 },
            |graph, frames| graph.input::<f32>("encodec.samples", &[frames * hop]),
            |_, outlet| Ok(vec![outlet]),
        )?;
        let back = Side::plan(
            &codec,
            "encodec.back",
            back,
            Input { width: channels, rows: 1, spare: frames },
            |graph, rows| graph.input::<f32>("encodec.rows", &[rows, channels]),
            |graph, latent| Ok(vec![graph.add("encodec.quantize", Quantize { codebooks, rows: frames }, &[latent])?[0], latent]),
        )?;
        Ok(Self { folder, session, state, front, back })
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
            state: self.front.kept_bytes() + self.back.kept_bytes() + 8 * config.num_lstm_layers * padded(config.widest()),
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
            self.front.push(part);
            self.advance(None, sink)?;
        }
        Ok(())
    }

    /// Ends the recording: the codes that are left, the last frame's for a part of its samples too. The next sample begins another one.
    ///
    /// # Errors
    /// If a graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let result = self.advance(Some(self.front.taken()), sink);
        self.reset();
        result
    }

    fn advance(&mut self, samples: Option<usize>, sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let (session, config) = (&self.session, self.folder.config());
        let (hop, end) = (config.hop(), samples.map(|samples| config.frames(samples)));
        let samples = samples.unwrap_or(Clip::ENDLESS);
        loop {
            if let Some(frames) = self.back.advance(session, hop, end, samples)? {
                sink(bytemuck::cast_slice(&self.back.runner.output::<i32>(0)?[..frames * config.num_quantizers]));
            } else if let Some(frames) = self.front.advance(session, hop, end, samples)? {
                let rows = self.front.runner.output::<f32>(0)?;
                self.back.push(&rows[..frames * padded(config.widest())]);
            } else {
                return Ok(());
            }
        }
    }
}
