//! `config.json` of a language model over codes.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Most rows of a description.
pub const MAX_TEXT: usize = 512;

/// A decoder over the codes of several codebooks that attends to a description (Kreuk et al. 2022, "AudioGen"; Copet et al. 2023, "MusicGen").
/// Names are those of Hugging Face's MusicGen where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudiogenConfig {
    /// Width of a row.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of 64 values of each.
    pub num_attention_heads: usize,
    /// Width inside of the feed-forward part.
    pub ffn_dim: usize,
    /// Codes of a codebook; the special token is one more.
    pub vocab_size: usize,
    /// Codebooks.
    pub num_codebooks: usize,
    /// Steps by which each codebook comes late.
    pub delays: Vec<usize>,
    /// Most steps of a text.
    pub max_position_embeddings: usize,
    /// Width of a description's rows.
    pub text_size: usize,
    /// Whether these go through a layer of their own before they are attended to.
    pub text_projection: bool,
}

impl AudiogenConfig {
    /// Logits of a row.
    pub fn logits(&self) -> usize {
        self.num_codebooks * self.vocab_size
    }
}

impl ModelConfig for AudiogenConfig {
    const KIND: &'static str = "audiogen";

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 64),
            ("ffn_dim", self.ffn_dim, 1 << 15),
            ("vocab_size", self.vocab_size, 1 << 16),
            ("num_codebooks", self.num_codebooks, 32),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 14),
            ("text_size", self.text_size, 8192),
        ];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return Some(format!("{name} is {value}, 1 to {most} are possible"));
        }
        let heads = self.num_attention_heads;
        if self.hidden_size != heads * HEAD {
            return Some(format!("hidden_size {} in {heads} heads: heads of {HEAD} values are possible", self.hidden_size));
        }
        for (name, value) in [("ffn_dim", self.ffn_dim), ("vocab_size", self.vocab_size), ("text_size", self.text_size)] {
            if !value.is_multiple_of(LANES) {
                return Some(format!("{name} is {value}, not a multiple of {LANES}"));
            }
        }
        if self.delays.len() != self.num_codebooks || self.delays.iter().any(|&delay| delay > 64) {
            return Some(format!("delays are {:?}, not one of 0 to 64 for each of {} codebooks", self.delays, self.num_codebooks));
        }
        let same = self.text_projection || self.text_size == self.hidden_size;
        (!same).then(|| format!("text_size is {} and hidden_size {}, without text_projection", self.text_size, self.hidden_size))
    }
}
