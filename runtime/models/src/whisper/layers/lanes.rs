//! Texts side by side: hypotheses of one recording that share the encoder's output and the beginning of the text.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::{Causal, Store};
use crate::whisper::WhisperConfig;

/// Most lanes at a time.
pub const MAX_LANES: usize = 8;

/// Most tokens of a lane, the prompt included.
pub const LANE_TOKENS: usize = 160;

/// A text that a lane can continue, or whose next token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The first so many tokens of the text itself, the prompt included.
    Text(usize),
    /// A lane.
    Lane(usize),
}

/// What the decoder's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Tokens of one text, one after another.
    Text,
    /// One token of each lane, all at the same position.
    Lanes,
}

/// What the logits of the text's tokens were computed from: rows before the last normalisation.
#[derive(Debug, Default)]
pub(crate) struct KeptRows {
    /// `[LANE_TOKENS][width]` once lanes have been used.
    values: Vec<f32>,
    /// Tokens whose rows are here.
    tokens: Range<usize>,
}

impl KeptRows {
    /// Keeps the row of token `token`, if lanes are in use and there is room. Rows that do not reach up to it are given up.
    pub(crate) fn keep(&mut self, token: usize, row: &[f32]) {
        if let Some(place) = self.values.chunks_exact_mut(row.len()).nth(token) {
            place.copy_from_slice(row);
            let start = if token == self.tokens.end { self.tokens.start } else { token };
            self.tokens = start..token + 1;
        }
    }

    /// Gives up the rows of the tokens from `token` on.
    pub(crate) fn truncate(&mut self, token: usize) {
        self.tokens.end = self.tokens.end.min(token);
        self.tokens.start = self.tokens.start.min(self.tokens.end);
    }

    /// The row of token `token`, if it is here.
    pub(crate) fn get(&self, token: usize, width: usize) -> Option<&[f32]> {
        self.tokens.contains(&token).then(|| &self.values[token * width..][..width])
    }
}

/// The caches of the lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Of each layer, [`MAX_LANES`] caches once lanes have been used.
    layers: Vec<Mutex<Vec<Causal>>>,
    /// Which cache is each lane's.
    places: Mutex<Vec<usize>>,
    position: AtomicUsize,
    rows: Mutex<KeptRows>,
}

impl Lanes {
    pub(crate) fn new(layers: usize) -> Self {
        let layers = (0..layers).map(|_| Mutex::default()).collect();
        Self { layers, places: Mutex::new(Vec::with_capacity(MAX_LANES)), position: AtomicUsize::new(0), rows: Mutex::default() }
    }

    /// Bytes of a model's lanes.
    pub(crate) fn bytes(config: &WhisperConfig) -> usize {
        let caches = config.decoder_layers * MAX_LANES * Causal::bytes(LANE_TOKENS, config.decoder_attention_heads);
        caches + 4 * LANE_TOKENS * config.d_model
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

    /// No lanes, and no rows of the text.
    pub(crate) fn clear(&self) {
        self.places().clear();
        self.rows().truncate(0);
    }

    /// Rows of the text, for lanes that branch off it.
    pub(crate) fn rows(&self) -> MutexGuard<'_, KeptRows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Makes room for lanes, of which there are none yet; rows of the text are kept from here on.
    pub(crate) fn start(&self, heads: usize, width: usize) {
        for index in 0..self.layers.len() {
            let mut caches = self.layer(index);
            if caches.is_empty() {
                caches.extend((0..MAX_LANES).map(|_| Causal::new(LANE_TOKENS, heads)));
            }
        }
        self.clear();
        self.rows().values.resize(LANE_TOKENS * width, 0.0);
    }

    /// Makes lanes of which each continues one of the lanes there are, or the text in `store`; all have `position` tokens.
    pub(crate) fn branch(&self, branches: &[Branch], position: usize, store: &Store) {
        let mut places = self.places();
        let mut taken = [false; MAX_LANES];
        let mut next = [usize::MAX; MAX_LANES];
        // The first to continue a lane takes over its cache; the others copy it to one that nobody continues.
        for (next, branch) in next.iter_mut().zip(branches) {
            if let Branch::Lane(lane) = *branch
                && !taken[places[lane]]
            {
                taken[places[lane]] = true;
                *next = places[lane];
            }
        }
        for (next, branch) in next.iter_mut().zip(branches) {
            if *next == usize::MAX
                && let Some(free) = taken.iter().position(|taken| !taken)
            {
                taken[free] = true;
                *next = free;
                for index in 0..self.layers.len() {
                    let mut caches = self.layer(index);
                    match *branch {
                        Branch::Text(_) => caches[free].copy_from(&store.causal(index), position),
                        Branch::Lane(lane) => {
                            if let Ok([to, from]) = caches.get_disjoint_mut([free, places[lane]]) {
                                to.copy_from(from, position);
                            }
                        }
                    }
                }
            }
        }
        places.clear();
        places.extend_from_slice(&next[..branches.len()]);
        self.set_position(position);
    }
}
