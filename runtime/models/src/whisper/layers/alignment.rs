//! The queries of the heads that words are aligned with.
//!
//! Kept instead of the probabilities: 64 bytes for each token and head, and not one f32 for each encoder position. The probabilities follow
//! from them and the cross-attention's keys, head after head.

use ossicle_kernels::attention::{HEAD, Keys, Queries, probabilities};
use ossicle_kernels::simd::Isa;

use super::MAX_WIDTH;

/// Queries of chosen heads, token after token.
#[derive(Debug, Default)]
pub(crate) struct Alignment {
    /// Layer and head of each.
    heads: Vec<(usize, usize)>,
    /// `[tokens][heads][64]`
    values: Vec<i8>,
    /// `[tokens][heads]`
    scales: Vec<f32>,
    tokens: usize,
    recording: bool,
}

impl Alignment {
    /// Keeps the queries of the first `tokens` tokens from here on; memory is taken for `most` of them, once.
    pub(crate) fn start(&mut self, heads: &[(usize, usize)], tokens: usize, most: usize) {
        self.heads.clear();
        self.heads.extend_from_slice(heads);
        let rows = tokens * heads.len();
        self.values.clear();
        self.values.reserve_exact(most * heads.len() * HEAD);
        self.values.resize(rows * HEAD, 0);
        self.scales.clear();
        self.scales.reserve_exact(most * heads.len());
        self.scales.resize(rows, 0.0);
        self.tokens = tokens;
        self.recording = true;
    }

    /// Keeps no more.
    pub(crate) fn stop(&mut self) {
        self.recording = false;
    }

    /// Forgets what was kept.
    pub(crate) fn clear(&mut self) {
        self.recording = false;
        self.tokens = 0;
    }

    /// Tokens whose queries are kept.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Number of heads.
    pub(crate) fn heads(&self) -> usize {
        self.heads.len()
    }

    /// Layer of the head at `index`.
    pub(crate) fn layer(&self, index: usize) -> usize {
        self.heads[index].0
    }

    /// Keeps the queries of one token (a single row) in one layer.
    pub(crate) fn keep(&mut self, layer: usize, token: usize, queries: Queries<'_>) {
        if !self.recording || token >= self.tokens {
            return;
        }
        for (i, &(_, head)) in self.heads.iter().enumerate().filter(|(_, head)| head.0 == layer) {
            let row = token * self.heads.len() + i;
            self.values[row * HEAD..][..HEAD].copy_from_slice(&queries.values[head * HEAD..][..HEAD]);
            self.scales[row] = queries.scales[head];
        }
    }

    /// Cross-attention probabilities of the head at `index` over its layer's `keys`: `[tokens][positions]`.
    pub(crate) fn probabilities(&self, isa: Isa, index: usize, keys: Keys<'_>, scores: &mut [f32], out: &mut [f32]) {
        let head = self.heads[index].1;
        // The kernel wants all heads of a row and looks at one.
        let (mut values, mut scales) = ([0; MAX_WIDTH], [0.0; MAX_WIDTH / HEAD]);
        for (token, out) in out.chunks_exact_mut(keys.tokens).take(self.tokens).enumerate() {
            let row = token * self.heads.len() + index;
            values[head * HEAD..][..HEAD].copy_from_slice(&self.values[row * HEAD..][..HEAD]);
            scales[head] = self.scales[row];
            let queries = Queries { values: &values[..keys.heads * HEAD], scales: &scales[..keys.heads], heads: keys.heads };
            probabilities(isa, queries, keys, head, scores, out);
        }
    }
}
