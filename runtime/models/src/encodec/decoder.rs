//! Codes to sound.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::layers::signal::{Clip, LstmState};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_trace::Tap;

use crate::codebooks::{Codebooks, Dequantize};

use super::MOST;
use super::config::{EncodecConfig, padded};
use super::side::{Codec, Input, Side};

/// Parts up to the recurrent layers, those among them.
const FRONT: usize = 2;

/// A codec's decoder ready to run: frames of codes come one after another, samples go out as soon as nothing later can change them.
pub struct EncodecDecoder {
    folder: Arc<ModelFolder<EncodecConfig>>,
    session: Arc<Session>,
    state: Arc<LstmState>,
    front: Side<i32>,
    back: Side<f32>,
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
    /// frame or of more than [`MAX_CHUNK_FRAMES`](super::MAX_CHUNK_FRAMES), [`GraphError::Memory`] if the buffers would take more than a gibibyte.
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
        decoder.front.attach();
        decoder.back.attach();
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
        let (config, weights) = (folder.config(), folder.weights());
        let (parts, channels, books) = (config.decoder(), padded(config.widest()), config.num_quantizers);
        let state = LstmState::new(config.num_lstm_layers, channels);
        let codec = Codec { session: &session, config, weights, state: &state, frames };
        codec.check()?;
        let (front, back) = parts.split_at(FRONT);
        let codebooks = Codebooks::new(weights, config.num_quantizers, config.codebook_size, padded(config.hidden_size))?;
        let front = Side::plan(
            &codec,
            "encodec.front",
            front,
            Input { width: books, rows: 1, spare: 1 },
            |graph, rows| {
                let codes = graph.input::<i32>("encodec.codes", &[rows, books])?;
                Ok(graph.add("encodec.dequantize", Dequantize { codebooks, rows }, &[codes])?[0])
            },
            |_, outlet| Ok(vec![outlet]),
        )?;
        let back = Side::plan(
            &codec,
            "encodec.back",
            back,
            Input { width: channels, rows: 1, spare: frames },
            |graph, rows| graph.input::<f32>("encodec.rows", &[rows, channels]),
            |_, outlet| Ok(vec![outlet]),
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
        self.front.push(bytemuck::cast_slice(codes));
        self.advance(None, sink)
    }

    /// Ends the recording: the samples that are left. The next frame begins another one.
    ///
    /// # Errors
    /// If a graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let result = self.advance(Some(self.front.taken()), sink);
        self.reset();
        result
    }

    fn advance(&mut self, end: Option<usize>, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let (session, hop) = (&self.session, self.folder.config().hop());
        let samples = end.map_or(Clip::ENDLESS, |end| end * hop);
        loop {
            if let Some(frames) = self.back.advance(session, hop, end, samples)? {
                sink(&self.back.runner.output::<f32>(0)?[..frames * hop]);
            } else if let Some(frames) = self.front.advance(session, hop, end, samples)? {
                let rows = self.front.runner.output::<f32>(0)?;
                self.back.push(&rows[..frames * padded(self.folder.config().widest())]);
            } else {
                return Ok(());
            }
        }
    }
}
