//! Keys and values that outlive a run.

use ossicle_kernels::attention::{CausalCache, HEAD, Keys, Values, padded};

/// A layer's keys and values of the tokens so far, 8 bits.
#[derive(Debug)]
pub struct Causal {
    keys: Vec<i8>,
    key_scales: Vec<f32>,
    values: Vec<i8>,
    value_scales: Vec<f32>,
    heads: usize,
}

impl Causal {
    /// An empty cache for `tokens` tokens.
    pub fn new(tokens: usize, heads: usize) -> Self {
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
    pub fn bytes(tokens: usize, heads: usize) -> usize {
        padded(tokens) * (2 * heads * HEAD + 8 * heads)
    }

    /// Takes over the first `tokens` tokens of another cache.
    ///
    /// # Panics
    /// If one of them does not hold that many.
    pub fn copy_from(&mut self, other: &Self, tokens: usize) {
        let (whole, width) = (padded(tokens), self.heads * HEAD);
        self.keys[..whole * width].copy_from_slice(&other.keys[..whole * width]);
        self.key_scales[..whole * self.heads].copy_from_slice(&other.key_scales[..whole * self.heads]);
        self.values[..tokens * width].copy_from_slice(&other.values[..tokens * width]);
        self.value_scales[..tokens * self.heads].copy_from_slice(&other.value_scales[..tokens * self.heads]);
    }

    /// The cache as the kernels take it.
    pub fn cache(&mut self) -> CausalCache<'_> {
        CausalCache {
            keys: &mut self.keys,
            key_scales: &mut self.key_scales,
            values: &mut self.values,
            value_scales: &mut self.value_scales,
            heads: self.heads,
        }
    }
}

/// A layer's keys and values of rows that do not change while tokens are decoded, 8 bits.
#[derive(Debug)]
pub struct Cross {
    /// `[padded / 16][heads][16][16][4]`
    pub keys: Vec<i8>,
    /// `[padded / 16][heads][16]`
    pub key_scales: Vec<f32>,
    /// `[heads][4][padded / 4][16][4]`
    pub values: Vec<i8>,
    /// `[heads][64]`
    pub value_scales: Vec<f32>,
    /// `[heads][64]`
    pub value_sums: Vec<i32>,
}

impl Cross {
    /// Keys and values of none of at most `rows` rows.
    pub fn new(rows: usize, heads: usize) -> Self {
        let (rows, width) = (padded(rows), heads * HEAD);
        Self {
            keys: vec![0; rows * width],
            key_scales: vec![0.0; rows * heads],
            values: vec![0; rows * width],
            value_scales: vec![0.0; width],
            value_sums: vec![0; width],
        }
    }

    /// Bytes of the keys and values of so many rows.
    pub fn bytes(rows: usize, heads: usize) -> usize {
        padded(rows) * (2 * heads * HEAD + 4 * heads) + 8 * heads * HEAD
    }

    /// The keys of the first `tokens` rows.
    pub fn keys(&self, tokens: usize, heads: usize) -> Keys<'_> {
        Keys { values: &self.keys, scales: &self.key_scales, tokens, heads }
    }

    /// The values.
    pub fn values(&self) -> Values<'_> {
        Values { values: &self.values, scales: &self.value_scales, sums: &self.value_sums }
    }
}
