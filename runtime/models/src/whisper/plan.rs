//! What a model needs and computes, known before anything runs.

use std::sync::Arc;

use ossicle_engine::layers::RowBuffers;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::attention::padded;
use ossicle_trace::Tap;

use super::decoder::{Decoder, DecoderSpans, Ends};
use super::encoder::{Encoder, EncoderSpans};
use super::layers::Store;
use super::{LogitsFor, PIECE, WhisperConfig, WhisperGraph};
use crate::Graph;
use crate::graph::named;

/// Graphs that are planned and never run.
struct Dry {
    folder: Arc<ModelFolder<WhisperConfig>>,
    session: Arc<Session>,
    store: Arc<Store>,
    encoder: EncoderSpans,
    decoder: DecoderSpans,
}

impl Dry {
    fn new(folder: &Arc<ModelFolder<WhisperConfig>>, options: Options) -> Result<Self, GraphError> {
        let (session, store) = (Session::for_planning(folder.weights(), options), Arc::new(Store::unused()));
        Ok(Self { encoder: EncoderSpans::new(folder)?, decoder: DecoderSpans::new(folder)?, folder: Arc::clone(folder), session, store })
    }

    fn encoder(&self, positions: usize) -> Result<Encoder, GraphError> {
        Encoder::plan(&self.session, self.folder.config(), &self.store, &self.encoder, &self.decoder, positions)
    }

    fn decoder(&self, tokens: usize, wanted: LogitsFor) -> Result<Decoder, GraphError> {
        Decoder::plan(&self.session, self.folder.config(), &self.store, &self.decoder, tokens, Ends::Logits(wanted))
    }
}

impl WhisperGraph {
    /// Memory for windows of up to `positions` encoder positions, known before anything runs: that of the graphs, which are planned for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn memory_plan(folder: &Arc<ModelFolder<WhisperConfig>>, options: Options, positions: usize) -> Result<MemoryPlan, GraphError> {
        let (config, dry) = (folder.config(), Dry::new(folder, options)?);
        // No other decoder needs more than this one.
        let decoder = dry.decoder(PIECE, LogitsFor::FirstAndLast)?;
        Ok(MemoryPlan {
            weights: folder.weights().bytes(),
            buffers: dry.encoder(positions)?.bytes() + decoder.bytes(),
            state: Store::bytes(config) + beside(config).bytes(1) + 4 * 2 * config.vocab_size,
        })
    }

    /// How much the encoder computes for a window of `positions`, keys and values of the decoder's cross-attention included.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn encoder_work(folder: &Arc<ModelFolder<WhisperConfig>>, options: Options, positions: usize) -> Result<Work, GraphError> {
        Ok(Dry::new(folder, options)?.encoder(positions)?.work())
    }

    /// How much the decoder computes for `tokens` tokens at once, with the logits that `wanted` says, after `before` others and a window of
    /// `positions`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn decoder_work(
        folder: &Arc<ModelFolder<WhisperConfig>>,
        options: Options,
        positions: usize,
        (before, tokens): (usize, usize),
        wanted: LogitsFor,
    ) -> Result<Work, GraphError> {
        let dry = Dry::new(folder, options)?;
        dry.store.set_encoded(positions);
        dry.store.set_position(before);
        Ok(dry.decoder(tokens, wanted)?.work())
    }
}

/// Layers are those of the last window and of the last run of the decoder.
impl Graph for WhisperGraph {
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }

    fn layers(&self) -> Vec<(String, Work)> {
        let encoder = self.encoder.iter().flat_map(Encoder::layers);
        let decoder = self.last.and_then(|last| self.decoders.get(&last));
        named(encoder.chain(decoder.into_iter().flat_map(Decoder::layers)))
    }

    fn memory_plan(&self) -> MemoryPlan {
        let config = self.config();
        let logits = size_of_val(&*self.two_rows);
        MemoryPlan {
            weights: self.folder.weights().bytes(),
            buffers: self.buffer_bytes(),
            state: Store::bytes(config) + beside(config).bytes(1) + logits,
        }
    }
}

/// Scratch memory for what is computed between runs: a row of logits, or the scores of a row of an alignment.
pub(super) fn beside(config: &WhisperConfig) -> Need {
    let row = RowBuffers::need(Need::default(), 1, config.d_model);
    let scores = Need::default().thread::<f32>(padded(config.max_source_positions));
    if row.bytes(1) > scores.bytes(1) { row } else { scores }
}
