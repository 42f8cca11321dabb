//! `config.json` of a voice.

use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

use crate::limits::{kernel, range, width};

/// Most symbols of a clause, those around them and between them included.
pub const MAX_TOKENS: usize = 2048;

/// Widest rows.
const MAX_WIDTH: usize = 1024;

/// VITS (Kim, Kong and Son 2021, "Conditional variational autoencoder with adversarial learning for end-to-end text-to-speech") of one speaker, as
/// far as it is needed to speak. Names are those of Hugging Face where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VitsConfig {
    /// Samples a second.
    pub sampling_rate: usize,
    /// Symbols known.
    pub vocab_size: usize,
    /// Most symbols of a clause, those around them and between them included.
    pub max_tokens: usize,
    /// Values of a row of text, and of a frame.
    pub hidden_size: usize,
    /// Values of a row within the text encoder's feed-forward parts.
    pub ffn_dim: usize,
    /// Taps of their convolutions.
    pub ffn_kernel_size: usize,
    /// Transformer layers of the text encoder.
    pub num_hidden_layers: usize,
    /// Heads of their attention.
    pub num_attention_heads: usize,
    /// Rows to each side whose distance attention knows.
    pub window_size: usize,
    /// Depthwise convolutions of each part of the duration predictor.
    pub depth_separable_num_layers: usize,
    /// Their taps.
    pub duration_predictor_kernel_size: usize,
    /// Splines of the duration predictor.
    pub duration_predictor_num_flows: usize,
    /// Bins of a spline.
    pub duration_predictor_flow_bins: usize,
    /// Up to where splines bend.
    pub duration_predictor_tail_bound: f32,
    /// Coupling layers of the flow.
    pub prior_encoder_num_flows: usize,
    /// WaveNet layers of each.
    pub prior_encoder_num_wavenet_layers: usize,
    /// Their taps.
    pub wavenet_kernel_size: usize,
    /// How much further the taps of each of them lie apart than those of the one before it.
    pub wavenet_dilation_rate: usize,
    /// Channels of the decoder before the first upsampling, which halves them as each does.
    pub upsample_initial_channel: usize,
    /// Rows that each upsampling makes of one, even numbers.
    pub upsample_rates: Vec<usize>,
    /// Taps of the residual blocks after each upsampling.
    pub resblock_kernel_sizes: Vec<usize>,
    /// Rows from tap to tap in each residual block's convolutions.
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
    /// Whether a second convolution, without dilation, follows each of them.
    pub resblock_pairs: bool,
    /// What is multiplied below zero.
    pub leaky_relu_slope: f32,
    /// How much noise is in the voice.
    pub noise_scale: f32,
    /// How much noise is in the durations.
    pub noise_scale_duration: f32,
    /// How many times longer than the durations say symbols last.
    pub length_scale: f32,
    /// The voice of espeak-ng whose phonemes the voice knows; none if it knows others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub espeak_voice: Option<String>,
    /// Its language, such as `en-US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

fn scale(name: &str, value: f32, least: f32) -> Option<String> {
    (!(least..=10.0).contains(&value)).then(|| format!("{name} is {value}, {least} to 10 is possible"))
}

/// What is wrong with the name of an espeak-ng voice, which becomes an argument of a program.
fn espeak_problem(name: &str) -> Option<String> {
    let plain = !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c));
    (name.is_empty() || !plain).then(|| format!("espeak_voice is {name:?}, not the name of a voice"))
}

impl VitsConfig {
    /// Values of a head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Samples of a frame.
    pub fn hop(&self) -> usize {
        self.upsample_rates.iter().product()
    }

    /// Channels after `stage` upsamplings.
    pub fn channels(&self, stage: usize) -> usize {
        self.upsample_initial_channel >> stage
    }

    /// Values that a spline is made of.
    pub fn spline_values(&self) -> usize {
        3 * self.duration_predictor_flow_bins - 1
    }

    /// Rows that a residual block looks ahead.
    pub fn resblock_reach(&self, block: usize) -> usize {
        let half = self.resblock_kernel_sizes[block] / 2;
        self.resblock_dilation_sizes[block].iter().map(|dilation| half * (dilation + usize::from(self.resblock_pairs))).sum()
    }

    /// Rows from tap to tap of a WaveNet layer.
    pub fn wavenet_dilation(&self, layer: usize) -> usize {
        self.wavenet_dilation_rate.saturating_pow(layer as u32)
    }

    fn heads_problem(&self) -> Option<String> {
        let whole = self.hidden_size.is_multiple_of(self.num_attention_heads) && self.head_size().is_multiple_of(LANES);
        let (size, heads) = (self.hidden_size, self.num_attention_heads);
        (!whole).then(|| format!("hidden_size {size} in {heads} heads: heads of a multiple of {LANES} values are possible"))
    }

    fn text_problem(&self) -> Option<String> {
        width("hidden_size", self.hidden_size, MAX_WIDTH)
            .or_else(|| {
                (!self.hidden_size.is_multiple_of(2 * LANES))
                    .then(|| format!("hidden_size is {}: halves of it are not a multiple of {LANES}", self.hidden_size))
            })
            .or_else(|| width("ffn_dim", self.ffn_dim, MAX_WIDTH))
            .or_else(|| kernel("ffn_kernel_size", self.ffn_kernel_size))
            .or_else(|| range("num_hidden_layers", self.num_hidden_layers, 32))
            .or_else(|| range("num_attention_heads", self.num_attention_heads, 64))
            .or_else(|| self.heads_problem())
            .or_else(|| range("window_size", self.window_size, 64))
            .or_else(|| range("depth_separable_num_layers", self.depth_separable_num_layers, 6))
            .or_else(|| kernel("duration_predictor_kernel_size", self.duration_predictor_kernel_size))
            .or_else(|| range("duration_predictor_num_flows", self.duration_predictor_num_flows, 16))
            .or_else(|| range("duration_predictor_flow_bins", self.duration_predictor_flow_bins, 64))
            .or_else(|| scale("duration_predictor_tail_bound", self.duration_predictor_tail_bound, 0.1))
    }

    fn flow_problem(&self) -> Option<String> {
        let uneven = || (!self.prior_encoder_num_flows.is_multiple_of(2)).then(|| "prior_encoder_num_flows is not an even number".into());
        let last = self.prior_encoder_num_wavenet_layers.saturating_sub(1);
        range("prior_encoder_num_flows", self.prior_encoder_num_flows, 16)
            .or_else(uneven)
            .or_else(|| range("prior_encoder_num_wavenet_layers", self.prior_encoder_num_wavenet_layers, 32))
            .or_else(|| kernel("wavenet_kernel_size", self.wavenet_kernel_size))
            .or_else(|| range("the last WaveNet layer's dilation", self.wavenet_dilation(last), 64))
    }

    fn decoder_problem(&self) -> Option<String> {
        let stages = self.upsample_rates.len();
        let rate = |rate: &usize| {
            (*rate == 0 || *rate > 32 || !rate.is_multiple_of(2))
                .then(|| format!("an upsampling of {rate}: even numbers up to 32 are possible"))
        };
        let hop = self.upsample_rates.iter().try_fold(1_usize, |hop, rate| hop.checked_mul(*rate)).filter(|hop| *hop <= 4096);
        range("upsamplings", stages, 6)
            .or_else(|| self.upsample_rates.iter().find_map(rate))
            .or_else(|| hop.is_none().then(|| "more than 4096 samples a frame".into()))
            .or_else(|| width("upsample_initial_channel", self.upsample_initial_channel, MAX_WIDTH))
            .or_else(|| {
                (!self.upsample_initial_channel.is_multiple_of(LANES << stages)).then(|| {
                    format!("upsample_initial_channel is {}, not a multiple of {}", self.upsample_initial_channel, LANES << stages)
                })
            })
            .or_else(|| range("resblock_kernel_sizes", self.resblock_kernel_sizes.len(), 8))
            .or_else(|| {
                (self.resblock_dilation_sizes.len() != self.resblock_kernel_sizes.len())
                    .then(|| "resblock_dilation_sizes: not one list for each of resblock_kernel_sizes".into())
            })
            .or_else(|| self.resblock_kernel_sizes.iter().find_map(|&size| kernel("a residual block's kernel", size)))
            .or_else(|| self.resblock_dilation_sizes.iter().find_map(|list| range("a residual block's convolutions", list.len(), 8)))
            .or_else(|| {
                self.resblock_dilation_sizes.iter().flatten().find_map(|&dilation| range("a residual block's dilation", dilation, 64))
            })
            .or_else(|| scale("leaky_relu_slope", self.leaky_relu_slope, 0.0))
    }
}

impl ModelConfig for VitsConfig {
    const KIND: &'static str = "vits";

    fn problem(&self) -> Option<String> {
        let rate = || {
            (!(8000..=48_000).contains(&self.sampling_rate))
                .then(|| format!("sampling_rate is {}, 8000 to 48000 are possible", self.sampling_rate))
        };
        range("vocab_size", self.vocab_size, 1 << 16)
            .or_else(|| range("max_tokens", self.max_tokens, MAX_TOKENS))
            .or_else(|| (self.max_tokens < 5).then(|| format!("max_tokens is {}: a symbol has four around it", self.max_tokens)))
            .or_else(rate)
            .or_else(|| self.text_problem())
            .or_else(|| self.flow_problem())
            .or_else(|| self.decoder_problem())
            .or_else(|| scale("noise_scale", self.noise_scale, 0.0))
            .or_else(|| scale("noise_scale_duration", self.noise_scale_duration, 0.0))
            .or_else(|| scale("length_scale", self.length_scale, 0.1))
            .or_else(|| self.espeak_voice.as_deref().and_then(espeak_problem))
    }
}
