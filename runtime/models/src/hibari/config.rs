//! `config.json` of a voice.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

use crate::limits::{kernel, range, width};

/// Most phonemes of a clause, those around it included.
pub const MAX_TOKENS: usize = 1024;

/// Values of a curve of a frame: 601 bins, rounded up to whole vectors.
pub const CURVE: usize = 608;

/// Curves of a frame.
pub const CURVES: usize = 5;

/// Most frames that the decoder looks ahead: the vocoder is given their pitches before it needs them.
const MAX_REACH: usize = 128;

/// Widest rows.
const MAX_WIDTH: usize = 4096;

/// A small speech synthesiser: phonemes to spectra, by ConvNeXt blocks after two text encoders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HibariConfig {
    /// Samples a second of what comes out.
    pub sampling_rate: usize,
    /// Phonemes known.
    pub vocab_size: usize,
    /// Most phonemes of a clause, those around it included.
    pub max_tokens: usize,
    /// The encoder for spectra.
    pub text: TextConfig,
    /// From phonemes' features, pitch and energy to spectra.
    pub decoder: BlocksConfig,
    /// The encoder for durations, pitch and energy.
    pub prosody_text: TextConfig,
    /// From phonemes' features to pitch and energy.
    pub prosody: BlocksConfig,
}

/// A text encoder: ConvNeXt blocks, then one transformer layer again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Width of a row.
    pub hidden_size: usize,
    /// Values of a row within blocks and feed-forward parts.
    pub intermediate_size: usize,
    /// ConvNeXt blocks.
    pub conv_blocks: usize,
    /// Taps of their convolutions.
    pub kernel_size: usize,
    /// Heads of the transformer layer.
    pub num_attention_heads: usize,
    /// How often that layer is applied.
    pub num_hidden_layers: usize,
}

impl TextConfig {
    /// Values of a head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// ConvNeXt blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlocksConfig {
    /// Width of a row.
    pub hidden_size: usize,
    /// Values of a row within the blocks.
    pub intermediate_size: usize,
    /// Taps of the convolutions.
    pub kernel_size: usize,
    /// Rows from tap to tap, of each block.
    pub dilations: Vec<usize>,
}

impl BlocksConfig {
    /// Rows that all blocks look ahead.
    pub fn reach(&self) -> usize {
        self.dilations.iter().map(|dilation| self.kernel_size / 2 * dilation).sum()
    }
}

impl TextConfig {
    fn problem(&self) -> Option<String> {
        let heads = || {
            let whole = self.hidden_size.is_multiple_of(self.num_attention_heads) && self.head_size().is_multiple_of(LANES);
            let (size, heads) = (self.hidden_size, self.num_attention_heads);
            (!whole).then(|| format!("hidden_size {size} in {heads} heads: heads of a multiple of {LANES} values are possible"))
        };
        width("hidden_size", self.hidden_size, MAX_WIDTH)
            .or_else(|| width("intermediate_size", self.intermediate_size, MAX_WIDTH))
            .or_else(|| range("conv_blocks", self.conv_blocks, 16))
            .or_else(|| kernel("kernel_size", self.kernel_size))
            .or_else(|| range("num_attention_heads", self.num_attention_heads, 64))
            .or_else(|| range("num_hidden_layers", self.num_hidden_layers, 32))
            .or_else(heads)
    }
}

impl BlocksConfig {
    fn problem(&self) -> Option<String> {
        width("hidden_size", self.hidden_size, MAX_WIDTH)
            .or_else(|| width("intermediate_size", self.intermediate_size, MAX_WIDTH))
            .or_else(|| kernel("kernel_size", self.kernel_size))
            .or_else(|| range("blocks", self.dilations.len(), 32))
            .or_else(|| self.dilations.iter().find_map(|&dilation| range("a dilation", dilation, 32)))
    }
}

impl ModelConfig for HibariConfig {
    const KIND: &'static str = "hibari";

    fn problem(&self) -> Option<String> {
        let rate = || (self.sampling_rate != 24_000).then(|| format!("sampling_rate is {}, 24000 is possible", self.sampling_rate));
        let equal = || {
            let (text, prosody) = (self.prosody_text.hidden_size, self.prosody.hidden_size);
            (text != prosody).then(|| format!("prosody_text is {text} wide and prosody {prosody}, not the same"))
        };
        let part = |name: &'static str, problem: Option<String>| problem.map(|problem| format!("{name}: {problem}"));
        range("vocab_size", self.vocab_size, 1 << 16)
            .or_else(|| range("max_tokens", self.max_tokens, MAX_TOKENS))
            .or_else(|| (self.max_tokens < 3).then(|| format!("max_tokens is {}: two lie around a clause", self.max_tokens)))
            .or_else(rate)
            .or_else(|| part("text", self.text.problem()))
            .or_else(|| part("decoder", self.decoder.problem()))
            .or_else(|| range("decoder: frames that its blocks look ahead", self.decoder.reach().max(1), MAX_REACH))
            .or_else(|| part("prosody_text", self.prosody_text.problem()))
            .or_else(|| part("prosody", self.prosody.problem()))
            .or_else(equal)
    }
}
