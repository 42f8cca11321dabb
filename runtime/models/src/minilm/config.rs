//! `config.json` of a sentence encoder.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Most tokens of a text.
pub const MAX_TOKENS: usize = 512;

/// Most phrases for sounds.
const MAX_SOUNDS: usize = 1 << 16;

/// Widest rows.
const MAX_WIDTH: usize = 4096;

/// A BERT encoder with mean pooling (Devlin et al. 2019; Reimers and Gurevych 2019), as sentence-transformers' MiniLM is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiniLmConfig {
    /// Tokens known.
    pub vocab_size: usize,
    /// Width of a row, and of a sentence's vector.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of each.
    pub num_attention_heads: usize,
    /// Width inside of the feed-forward part.
    pub intermediate_size: usize,
    /// Most tokens of a text, those around it included.
    pub max_tokens: usize,
    /// Added to the variance by layer normalisation.
    pub layer_norm_eps: f32,
    /// Phrases for sounds whose vectors are in the folder, one for each line of `sounds.tsv`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sounds: usize,
    /// Values of the YAMNet embedding that the folder's caption map takes; 0: there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub captions: usize,
    /// Values that the map gives; 0: there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub described: usize,
    /// `embedding_sha256` of the YAMNet whose embedding that is; empty without a map.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub captions_of: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl MiniLmConfig {
    /// Values of a head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

impl ModelConfig for MiniLmConfig {
    const KIND: &'static str = "minilm";

    fn problem(&self) -> Option<String> {
        let sizes = [("vocab_size", self.vocab_size, 1 << 20), ("num_hidden_layers", self.num_hidden_layers, 64)];
        if self.sounds > MAX_SOUNDS {
            return Some(format!("sounds is {}, at most {MAX_SOUNDS} are possible", self.sounds));
        }
        if self.captions > MAX_WIDTH || !self.captions.is_multiple_of(LANES) {
            return Some(format!("captions is {}, 0 or a multiple of {LANES} of at most {MAX_WIDTH} is possible", self.captions));
        }
        if self.described > MAX_WIDTH || (self.described > 0) != (self.captions > 0) {
            return Some(format!("described is {}, with captions 1 to {MAX_WIDTH} is possible: make the caption map anew", self.described));
        }
        let widths = [("hidden_size", self.hidden_size, MAX_WIDTH), ("intermediate_size", self.intermediate_size, 4 * MAX_WIDTH)];
        let tokens = [("max_tokens", self.max_tokens, MAX_TOKENS), ("num_attention_heads", self.num_attention_heads, 256)];
        if let Some((name, value, most)) = sizes.iter().chain(&widths).chain(&tokens).find(|(_, value, most)| *value == 0 || value > most) {
            return Some(format!("{name} is {value}, 1 to {most} are possible"));
        }
        if let Some((name, value, _)) = widths.iter().find(|(_, value, _)| !value.is_multiple_of(LANES)) {
            return Some(format!("{name} is {value}, not a multiple of {LANES}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) || ![32, 64].contains(&self.head_size()) {
            return Some(format!(
                "hidden_size {} in {} heads: heads of 32 or 64 values are possible",
                self.hidden_size, self.num_attention_heads
            ));
        }
        let epsilon = self.layer_norm_eps;
        (!(epsilon > 0.0 && epsilon < 1.0)).then(|| format!("layer_norm_eps is {epsilon}, above 0 and below 1 is possible"))
    }
}
