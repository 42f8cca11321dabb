//! Texts side by side: hypotheses of one recording that share the encoder's output and the beginning of the text.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::{Causal, Store};
use crate::folder::WhisperConfig;

/// Most lanes at a time.
pub const MAX_LANES: usize = 8;

/// Most tokens of a lane, the prompt included.
pub const LANE_TOKENS: usize = 160;

/// What the decoder's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Tokens of one text, one after another.
    Text,
    /// One token of each lane, all at the same position.
    Lanes,
}

/// The caches of the lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Of each layer, [`MAX_LANES`] caches once lanes have been used.
    layers: Vec<Mutex<Vec<Causal>>>,
    /// Which cache is each lane's.
    places: Mutex<Vec<usize>>,
    position: AtomicUsize,
}

impl Lanes {
    pub(crate) fn new(layers: usize) -> Self {
        let layers = (0..layers).map(|_| Mutex::default()).collect();
        Self { layers, places: Mutex::new(Vec::with_capacity(MAX_LANES)), position: AtomicUsize::new(0) }
    }

    /// Bytes of a model's lanes.
    pub(crate) fn bytes(config: &WhisperConfig) -> usize {
        config.decoder_layers * MAX_LANES * Causal::bytes(LANE_TOKENS, config.decoder_attention_heads)
    }

    /// Tokens of every lane.
    pub(crate) fn position(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    pub(crate) fn set_position(&self, position: usize) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// Lanes there are.
    pub(crate) fn count(&self) -> usize {
        self.places().len()
    }

    pub(crate) fn clear(&self) {
        self.places().clear();
    }

    fn places(&self) -> MutexGuard<'_, Vec<usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caches of one layer; those of lane `i` are at [`place`](Lanes::place)`(i)`.
    pub(crate) fn layer(&self, layer: usize) -> MutexGuard<'_, Vec<Causal>> {
        self.layers[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self, lane: usize) -> usize {
        self.places()[lane]
    }

    /// One lane, which continues the text in `store`; its position is at most [`LANE_TOKENS`].
    pub(crate) fn start(&self, store: &Store, heads: usize) {
        let tokens = store.position();
        for index in 0..self.layers.len() {
            let mut caches = self.layer(index);
            if caches.is_empty() {
                caches.extend((0..MAX_LANES).map(|_| Causal::new(LANE_TOKENS, heads)));
            }
            caches[0].copy_from(&store.causal(index), tokens);
        }
        let mut places = self.places();
        places.clear();
        places.push(0);
        self.set_position(tokens);
    }

    /// Makes lanes of which each continues one of the lanes there are.
    pub(crate) fn branch(&self, parents: &[usize]) {
        let tokens = self.position();
        let mut places = self.places();
        let mut taken = [false; MAX_LANES];
        let mut next = [usize::MAX; MAX_LANES];
        // The first to continue a lane takes over its cache; the others copy it to one that nobody continues.
        for (next, &parent) in next.iter_mut().zip(parents) {
            let place = places[parent];
            if !taken[place] {
                taken[place] = true;
                *next = place;
            }
        }
        for (next, &parent) in next.iter_mut().zip(parents) {
            if *next == usize::MAX
                && let Some(free) = taken.iter().position(|taken| !taken)
            {
                taken[free] = true;
                *next = free;
                for index in 0..self.layers.len() {
                    let mut caches = self.layer(index);
                    if let Ok([to, from]) = caches.get_disjoint_mut([free, places[parent]]) {
                        to.copy_from(from, tokens);
                    }
                }
            }
        }
        places.clear();
        places.extend_from_slice(&next[..parents.len()]);
    }
}
