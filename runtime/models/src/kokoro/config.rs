//! `config.json` of a family of voices.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

use crate::limits::{kernel, range, width};

use super::head::HOP;

/// Most phonemes of a piece, the two around them included: a style has a row for each number of phonemes up to 510.
pub const MAX_TOKENS: usize = 512;

/// Most frames of a piece, 25 ms each.
pub const MAX_FRAMES: usize = 800;

/// Widest rows.
const MAX_WIDTH: usize = 4096;

/// Kokoro (hexgrad 2025), a StyleTTS 2 (Li et al. 2023) with the decoder of iSTFTNet (Kaneko et al. 2022), as far as it is needed to speak. Names are
/// those of Hugging Face where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KokoroConfig {
    /// Samples a second.
    pub sampling_rate: usize,
    /// Phonemes known, the one around pieces included.
    pub vocab_size: usize,
    /// Most phonemes of a piece, those around them included.
    pub max_tokens: usize,
    /// Most frames of a piece: what is longer is said in several.
    pub max_frames: usize,
    /// Values of half a style.
    pub style_size: usize,
    /// Values of an embedding of the ALBERT (Lan et al. 2020).
    pub embedding_size: usize,
    /// Values of its rows.
    pub hidden_size: usize,
    /// Values of a row within its feed-forward parts.
    pub intermediate_size: usize,
    /// How often its one layer is applied.
    pub num_hidden_layers: usize,
    /// Heads of its attention.
    pub num_attention_heads: usize,
    /// What its normalisations add to the variance.
    pub layer_norm_eps: f32,
    /// Values of a row of prosody and of the text encoder.
    pub width: usize,
    /// Layers of the text encoder, and recurrent layers of the duration encoder.
    pub num_layers: usize,
    /// Taps of the text encoder's convolutions.
    pub kernel_size: usize,
    /// Most frames of a phoneme at the voice's own pace.
    pub max_duration: usize,
    /// Values of a row of the decoder before its last block.
    pub decoder_width: usize,
    /// Values of the text that each of its blocks also gets.
    pub residual_width: usize,
    /// Rows that each upsampling of the generator makes of one, even numbers.
    pub upsample_rates: Vec<usize>,
    /// Taps of the residual blocks after each upsampling.
    pub resblock_kernel_sizes: Vec<usize>,
    /// Rows from tap to tap in the first convolution of each of their pairs.
    pub resblock_dilations: Vec<usize>,
    /// Taps of the residual block of the source before each upsampling's result is added to it.
    pub source_kernel_sizes: Vec<usize>,
    /// Names of the voices.
    pub voices: Vec<String>,
}

impl KokoroConfig {
    /// Most frames of one phoneme, so that one and the two around it fit a piece.
    pub fn longest(&self) -> usize {
        self.max_frames / 3
    }

    /// Values of a head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Values of a row after `stage` upsamplings.
    pub fn channels(&self, stage: usize) -> usize {
        self.width >> stage
    }

    /// Samples of a pitch, half a frame.
    pub fn pitch_samples(&self) -> usize {
        self.upsample_rates.iter().product::<usize>() * HOP
    }

    /// Samples of a frame.
    pub fn frame_samples(&self) -> usize {
        2 * self.pitch_samples()
    }

    /// Values of a row, rounded up, that holds the text, the pitch and the energy.
    pub fn text_row(&self) -> usize {
        self.width + LANES
    }

    /// The same of a row that holds what a block gave before.
    pub fn decoder_row(&self) -> usize {
        self.decoder_width + self.residual_width + LANES
    }

    fn text_problem(&self) -> Option<String> {
        let heads = || {
            let whole = self.hidden_size.is_multiple_of(self.num_attention_heads) && self.head_size().is_multiple_of(LANES);
            let (size, heads) = (self.hidden_size, self.num_attention_heads);
            (!whole).then(|| format!("hidden_size {size} in {heads} heads: heads of a multiple of {LANES} values are possible"))
        };
        let epsilon = || (!(0.0..=0.1).contains(&self.layer_norm_eps)).then(|| format!("layer_norm_eps is {}", self.layer_norm_eps));
        width("style_size", self.style_size, MAX_WIDTH)
            .or_else(|| width("embedding_size", self.embedding_size, MAX_WIDTH))
            .or_else(|| width("hidden_size", self.hidden_size, MAX_WIDTH))
            .or_else(|| width("intermediate_size", self.intermediate_size, MAX_WIDTH))
            .or_else(|| range("num_hidden_layers", self.num_hidden_layers, 32))
            .or_else(|| range("num_attention_heads", self.num_attention_heads, 64))
            .or_else(heads)
            .or_else(epsilon)
            .or_else(|| width("width", self.width, MAX_WIDTH))
            .or_else(|| {
                (!self.width.is_multiple_of(2 * LANES)).then(|| format!("width is {}, not a multiple of {}", self.width, 2 * LANES))
            })
            .or_else(|| range("num_layers", self.num_layers, 8))
            .or_else(|| kernel("kernel_size", self.kernel_size))
            .or_else(|| range("max_duration", self.max_duration, 64))
    }

    fn decoder_problem(&self) -> Option<String> {
        let stages = self.upsample_rates.len();
        let rate = |rate: &usize| {
            (*rate == 0 || *rate > 32 || !rate.is_multiple_of(2))
                .then(|| format!("an upsampling of {rate}: even numbers up to 32 are possible"))
        };
        width("decoder_width", self.decoder_width, MAX_WIDTH)
            .or_else(|| width("residual_width", self.residual_width, MAX_WIDTH))
            .or_else(|| (stages != 2).then(|| format!("{stages} upsamplings, 2 are possible")))
            .or_else(|| self.upsample_rates.iter().find_map(rate))
            .or_else(|| (self.pitch_samples() > 1024).then(|| "more than 1024 samples of a pitch".into()))
            .or_else(|| {
                let least = LANES << stages;
                (!self.width.is_multiple_of(least)).then(|| format!("width is {}, not a multiple of {least}", self.width))
            })
            .or_else(|| range("resblock_kernel_sizes", self.resblock_kernel_sizes.len(), 8))
            .or_else(|| self.resblock_kernel_sizes.iter().find_map(|&size| kernel("a residual block's kernel", size)))
            .or_else(|| range("resblock_dilations", self.resblock_dilations.len(), 8))
            .or_else(|| self.resblock_dilations.iter().find_map(|&dilation| range("a residual block's dilation", dilation, 64)))
            .or_else(|| (self.source_kernel_sizes.len() != stages).then(|| "source_kernel_sizes: not one for each upsampling".into()))
            .or_else(|| self.source_kernel_sizes.iter().find_map(|&size| kernel("a source's kernel", size)))
    }

    fn voices_problem(&self) -> Option<String> {
        let plain = |name: &str| !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let odd = || {
            self.voices.iter().find(|name| !plain(name)).map(|name| format!("a voice is called {name:?}: letters and digits are possible"))
        };
        range("voices", self.voices.len(), 1024).or_else(odd)
    }
}

impl ModelConfig for KokoroConfig {
    const KIND: &'static str = "kokoro";

    fn problem(&self) -> Option<String> {
        let rate = || {
            (!(8000..=48_000).contains(&self.sampling_rate))
                .then(|| format!("sampling_rate is {}, 8000 to 48000 are possible", self.sampling_rate))
        };
        let short = || (self.max_frames < 3).then(|| format!("max_frames is {}: a phoneme has one on each side", self.max_frames));
        range("vocab_size", self.vocab_size, 1 << 16)
            .or_else(|| range("max_tokens", self.max_tokens, MAX_TOKENS))
            .or_else(|| (self.max_tokens < 3).then(|| format!("max_tokens is {}: two lie around a piece", self.max_tokens)))
            .or_else(rate)
            .or_else(|| self.text_problem())
            .or_else(|| self.decoder_problem())
            .or_else(|| range("max_frames", self.max_frames, MAX_FRAMES))
            .or_else(short)
            .or_else(|| self.voices_problem())
    }
}
