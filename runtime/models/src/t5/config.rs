//! `config.json` of a T5 encoder.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Most tokens of a text.
pub const MAX_TOKENS: usize = 512;

/// The encoder of a T5 of version 1.0 (Raffel et al. 2020): names are those of Hugging Face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Tokens known.
    pub vocab_size: usize,
    /// Width of a row.
    pub d_model: usize,
    /// Values of a head.
    pub d_kv: usize,
    /// Width inside of the feed-forward part.
    pub d_ff: usize,
    /// Layers.
    pub num_layers: usize,
    /// Heads of each.
    pub num_heads: usize,
    /// Distance from which on positions are told apart no more.
    pub max_distance: usize,
    /// Added to the mean square by normalisation.
    pub layer_norm_epsilon: f32,
    /// Most tokens of a text, those around it included.
    pub max_tokens: usize,
}

impl T5Config {
    /// Width of all heads together.
    pub fn inner(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// Distances that have a bias of their own, from `-max_distance` on.
    pub fn distances(&self) -> usize {
        (2 * self.max_distance + 1).next_multiple_of(LANES)
    }
}

impl ModelConfig for T5Config {
    const KIND: &'static str = "t5";

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 20),
            ("d_model", self.d_model, 8192),
            ("d_kv", self.d_kv, 256),
            ("d_ff", self.d_ff, 1 << 16),
            ("num_layers", self.num_layers, 64),
            ("num_heads", self.num_heads, 128),
            ("max_distance", self.max_distance, 4096),
            ("max_tokens", self.max_tokens, MAX_TOKENS),
        ];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return Some(format!("{name} is {value}, 1 to {most} are possible"));
        }
        if let Some((name, value, _)) = sizes[1..4].iter().find(|(_, value, _)| !value.is_multiple_of(LANES)) {
            return Some(format!("{name} is {value}, not a multiple of {LANES}"));
        }
        let epsilon = self.layer_norm_epsilon;
        (!(epsilon > 0.0 && epsilon < 1.0)).then(|| format!("layer_norm_epsilon is {epsilon}, above 0 and below 1 is possible"))
    }
}
