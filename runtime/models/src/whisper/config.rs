//! The configuration of a Whisper model.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::Deserialize;

/// `config.json` of a Whisper model, with the names of Hugging Face checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WhisperConfig {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Heads of each encoder layer.
    pub encoder_attention_heads: usize,
    /// Width inside the encoder's feed-forward blocks.
    pub encoder_ffn_dim: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Heads of each decoder layer.
    pub decoder_attention_heads: usize,
    /// Width inside the decoder's feed-forward blocks.
    pub decoder_ffn_dim: usize,
    /// Bands of the mel spectrogram.
    pub num_mel_bins: usize,
    /// Positions of the encoder, each two mel frames.
    pub max_source_positions: usize,
    /// Positions of the decoder.
    pub max_target_positions: usize,
    /// Tokens.
    pub vocab_size: usize,
}

impl ModelConfig for WhisperConfig {
    const KIND: &'static str = "whisper";

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("d_model", self.d_model, 2048),
            ("encoder_layers", self.encoder_layers, 64),
            ("decoder_layers", self.decoder_layers, 64),
            ("encoder_ffn_dim", self.encoder_ffn_dim, 8192),
            ("decoder_ffn_dim", self.decoder_ffn_dim, 8192),
            ("num_mel_bins", self.num_mel_bins, 256),
            ("max_source_positions", self.max_source_positions, 6000),
            ("max_target_positions", self.max_target_positions, 4096),
            ("vocab_size", self.vocab_size, 1 << 20),
        ];
        if let Some((name, value, most)) = sizes.into_iter().find(|&(_, value, most)| value == 0 || value > most) {
            return Some(format!("{name} is {value}, not within 1..={most}"));
        }
        for (name, heads) in
            [("encoder_attention_heads", self.encoder_attention_heads), ("decoder_attention_heads", self.decoder_attention_heads)]
        {
            if heads.checked_mul(64) != Some(self.d_model) {
                return Some(format!("{name} is {heads}, but d_model {} has heads of 64", self.d_model));
            }
        }
        let multiples = [self.encoder_ffn_dim, self.decoder_ffn_dim, self.num_mel_bins];
        multiples.iter().any(|n| !n.is_multiple_of(LANES)).then(|| format!("widths {multiples:?} are not multiples of {LANES}"))
    }
}
