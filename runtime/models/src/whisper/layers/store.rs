//! What outlives a run: the keys and values of the decoder.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ossicle_kernels::attention::{CausalCache, HEAD, Keys, Values, padded};

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

/// A layer's cache of the text so far.
#[derive(Debug)]
pub(crate) struct Causal {
    keys: Vec<i8>,
    key_scales: Vec<f32>,
    values: Vec<i8>,
    value_scales: Vec<f32>,
    heads: usize,
}

impl Causal {
    /// An empty cache for `tokens` tokens.
    pub(crate) fn new(tokens: usize, heads: usize) -> Self {
        let (tokens, width) = (padded(tokens), heads * HEAD);
        Self {
            keys: vec![0; tokens * width],
            key_scales: vec![0.0; tokens * heads],
            values: vec![0; tokens * width],
            value_scales: vec![0.0; tokens * heads],
            heads,
        }
    }

    /// Bytes of a cache for `tokens` tokens.
    pub(crate) fn bytes(tokens: usize, heads: usize) -> usize {
        padded(tokens) * (2 * heads * HEAD + 8 * heads)
    }

    /// Takes over the first `tokens` tokens of another cache.
    pub(crate) fn copy_from(&mut self, other: &Self, tokens: usize) {
        let (whole, width) = (padded(tokens), self.heads * HEAD);
        self.keys[..whole * width].copy_from_slice(&other.keys[..whole * width]);
        self.key_scales[..whole * self.heads].copy_from_slice(&other.key_scales[..whole * self.heads]);
        self.values[..tokens * width].copy_from_slice(&other.values[..tokens * width]);
        self.value_scales[..tokens * self.heads].copy_from_slice(&other.value_scales[..tokens * self.heads]);
    }

    pub(crate) fn cache(&mut self) -> CausalCache<'_> {
        CausalCache {
            keys: &mut self.keys,
            key_scales: &mut self.key_scales,
            values: &mut self.values,
            value_scales: &mut self.value_scales,
            heads: self.heads,
        }
    }
}

/// A layer's keys and values of the encoder's output.
#[derive(Debug)]
pub(crate) struct Cross {
    pub(crate) keys: Vec<i8>,
    pub(crate) key_scales: Vec<f32>,
    pub(crate) values: Vec<i8>,
    pub(crate) value_scales: Vec<f32>,
    pub(crate) value_sums: Vec<i32>,
}

impl Cross {
    pub(crate) fn keys(&self, tokens: usize, heads: usize) -> Keys<'_> {
        Keys { values: &self.keys, scales: &self.key_scales, tokens, heads }
    }

    pub(crate) fn values(&self) -> Values<'_> {
        Values { values: &self.values, scales: &self.value_scales, sums: &self.value_sums }
    }
}

impl Store {
    pub(crate) fn new(config: &WhisperConfig) -> Self {
        let heads = config.decoder_attention_heads;
        let width = heads * HEAD;
        let audio = padded(config.max_source_positions);
        let causal = || Mutex::new(Causal::new(config.max_target_positions, heads));
        let cross = || {
            Mutex::new(Cross {
                keys: vec![0; audio * width],
                key_scales: vec![0.0; audio * heads],
                values: vec![0; audio * width],
                value_scales: vec![0.0; width],
                value_sums: vec![0; width],
            })
        };
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
        let audio = padded(config.max_source_positions) * (2 * heads * HEAD + 4 * heads) + 8 * heads * HEAD;
        config.decoder_layers * (Causal::bytes(config.max_target_positions, heads) + audio)
    }

    pub(crate) fn causal(&self, layer: usize) -> MutexGuard<'_, Causal> {
        self.causal[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cross(&self, layer: usize) -> MutexGuard<'_, Cross> {
        self.cross[layer].lock().unwrap_or_else(PoisonError::into_inner)
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
