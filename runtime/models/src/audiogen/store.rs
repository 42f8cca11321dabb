//! What outlives a step: keys and values, and how far the sequence is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ossicle_engine::cache::{Causal, Cross};
use ossicle_engine::layers::attention::CrossCaches;

use super::AudiogenConfig;

/// Caches of all layers.
#[derive(Debug)]
pub(super) struct Store {
    /// Of each layer one for each row.
    causal: Vec<Mutex<Vec<Causal>>>,
    cross: Vec<Mutex<Cross>>,
    /// Steps taken.
    position: AtomicUsize,
    /// Rows of the description.
    text: AtomicUsize,
}

/// What there has to be room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Sequences side by side: with guidance two, of which the first attends to the description.
    pub(super) rows: usize,
    /// Most steps.
    pub(super) steps: usize,
    /// Most rows of a description.
    pub(super) text: usize,
}

impl Store {
    pub(super) fn new(config: &AudiogenConfig, room: Room) -> Self {
        let heads = config.num_attention_heads;
        let causal = |_| Mutex::new((0..room.rows).map(|_| Causal::new(room.steps, heads)).collect());
        let cross = |_| Mutex::new(Cross::new(room.text, heads));
        Self {
            causal: (0..config.num_hidden_layers).map(causal).collect(),
            cross: (0..config.num_hidden_layers).map(cross).collect(),
            position: AtomicUsize::new(0),
            text: AtomicUsize::new(0),
        }
    }

    /// For a graph that is only planned: no caches.
    pub(super) fn unused() -> Self {
        Self { causal: vec![], cross: vec![], position: AtomicUsize::new(0), text: AtomicUsize::new(0) }
    }

    /// Bytes of the caches.
    pub(super) fn bytes(config: &AudiogenConfig, room: Room) -> usize {
        let heads = config.num_attention_heads;
        config.num_hidden_layers * (room.rows * Causal::bytes(room.steps, heads) + Cross::bytes(room.text, heads))
    }

    pub(super) fn causal(&self, layer: usize) -> MutexGuard<'_, Vec<Causal>> {
        self.causal[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    pub(super) fn set_position(&self, position: usize) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(super) fn text(&self) -> usize {
        self.text.load(Ordering::Relaxed)
    }

    pub(super) fn set_text(&self, rows: usize) {
        self.text.store(rows, Ordering::Relaxed);
    }
}

impl CrossCaches for Store {
    fn cross(&self, layer: usize) -> MutexGuard<'_, Cross> {
        self.cross[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
