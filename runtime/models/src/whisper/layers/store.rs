//! What outlives a run: the keys and values of the decoder.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use ossicle_engine::cache::{Causal, Cross};
use ossicle_engine::layers::attention::CrossCaches;

use super::{Alignment, Lanes, Rows};
use crate::whisper::WhisperConfig;

/// Keys and values of the decoder's layers.
#[derive(Debug)]
pub(crate) struct Store {
    causal: Vec<Mutex<Causal>>,
    cross: Vec<Mutex<Cross>>,
    /// Tokens in the causal caches.
    position: AtomicUsize,
    /// Encoder positions in the cross caches.
    encoded: AtomicUsize,
    alignment: Mutex<Alignment>,
    lanes: Lanes,
}

impl Store {
    pub(crate) fn new(config: &WhisperConfig) -> Self {
        let heads = config.decoder_attention_heads;
        let causal = || Mutex::new(Causal::new(config.max_target_positions, heads));
        let cross = || Mutex::new(Cross::new(config.max_source_positions, heads));
        Self {
            causal: (0..config.decoder_layers).map(|_| causal()).collect(),
            cross: (0..config.decoder_layers).map(|_| cross()).collect(),
            position: AtomicUsize::new(0),
            encoded: AtomicUsize::new(0),
            alignment: Mutex::default(),
            lanes: Lanes::new(config.decoder_layers),
        }
    }

    /// For a graph that is only planned: no caches.
    pub(crate) fn unused() -> Self {
        let (position, encoded) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { causal: vec![], cross: vec![], position, encoded, alignment: Mutex::default(), lanes: Lanes::new(0) }
    }

    /// Bytes of a model's caches.
    pub(crate) fn bytes(config: &WhisperConfig) -> usize {
        let heads = config.decoder_attention_heads;
        let audio = Cross::bytes(config.max_source_positions, heads);
        config.decoder_layers * (Causal::bytes(config.max_target_positions, heads) + audio)
    }

    pub(crate) fn causal(&self, layer: usize) -> MutexGuard<'_, Causal> {
        self.causal[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn alignment(&self) -> MutexGuard<'_, Alignment> {
        self.alignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    pub(crate) fn position(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    /// The place in its text of the token of a row.
    pub(crate) fn position_of(&self, rows: Rows, row: usize) -> usize {
        match rows {
            Rows::Text => self.position() + row,
            Rows::Lanes => self.lanes.position(),
        }
    }

    pub(crate) fn set_position(&self, position: usize) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(crate) fn encoded(&self) -> usize {
        self.encoded.load(Ordering::Relaxed)
    }

    pub(crate) fn set_encoded(&self, positions: usize) {
        self.encoded.store(positions, Ordering::Relaxed);
    }
}

impl CrossCaches for Store {
    fn cross(&self, layer: usize) -> MutexGuard<'_, Cross> {
        self.cross[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
