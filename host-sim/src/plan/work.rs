//! The work of each phase, counted from a model's shapes as the runtime's operators do it.

use ossicle_boards::cost::Units;
use ossicle_graph::folder::WhisperConfig;

/// Width of a head.
const HEAD: f64 = 64.0;

/// Frames of the spectrogram in a second.
const FRAMES_PER_SECOND: f64 = 100.0;

/// A part of a transcription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Samples to log-mel features.
    Mel,
    /// Features to the encoder's output and the decoder's cross-attention keys and values.
    Encoder,
    /// The prompt's tokens.
    Prefill,
    /// One token, halfway through the text.
    Token,
}

/// The recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Audio, in seconds.
    pub seconds: f64,
    /// Mel frames of the encoder's window.
    pub frames: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens of the text.
    pub tokens: usize,
}

/// Units of work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Split over the threads.
    pub shared: Units,
    /// On one thread.
    pub alone: Units,
    /// Weights, keys and values read.
    pub bytes: f64,
}

/// Counts the work of a phase.
pub fn of(config: &WhisperConfig, phase: Phase, shape: &Shape) -> Work {
    match phase {
        Phase::Mel => {
            let frame = (shape.seconds * FRAMES_PER_SECOND).min(shape.frames as f64) * config.num_mel_bins as f64 / 80.0;
            Work { alone: Units { frame, ..Units::default() }, ..Work::default() }
        }
        Phase::Encoder => encoder(config, shape.frames as f64),
        Phase::Prefill => prefill(config, shape),
        Phase::Token => token(config, shape),
    }
}

fn encoder(config: &WhisperConfig, frames: f64) -> Work {
    let [width, inner, mels] = [config.d_model, config.encoder_ffn_dim, config.num_mel_bins].map(|n| n as f64);
    let (layers, decoder_layers) = (config.encoder_layers as f64, config.decoder_layers as f64);
    let (rows, heads) = (frames / 2.0, config.encoder_attention_heads as f64);
    // One layer: queries, keys and values; output; the two products of the feed-forward block.
    let layer_macs = rows * (4.0 * width * width + 2.0 * width * inner);
    let cross_macs = decoder_layers * rows * 2.0 * width * width;
    let stem_macs = frames * 3.0 * mels * width + rows * 3.0 * width * width;
    let gelu = frames * width + rows * width + layers * rows * inner;
    let shared = Units {
        mac: stem_macs + layers * layer_macs + cross_macs,
        store: frames * width + rows * width + layers * rows * (5.0 * width + inner) + decoder_layers * rows * 2.0 * width,
        gelu,
        quantize: frames * 3.0 * mels + rows * 3.0 * width + layers * rows * (width + inner) + decoder_layers * rows * width,
        // Two norms a layer, and the last one.
        normalize: rows * width * (2.0 * layers + 1.0),
        head: rows * width * (2.0 * layers + decoder_layers),
        pack: rows * width * (layers + decoder_layers),
        score: layers * heads * rows * rows,
        ..Units::default()
    };
    let bytes = layers * (4.0 * width * width + 2.0 * width * inner) + 2.0 * decoder_layers * width * width;
    Work { shared, alone: Units::default(), bytes }
}

/// What `count` tokens at a time do in the decoder's layers, besides products.
fn decoder_rest(config: &WhisperConfig, shape: &Shape, count: f64, before: f64) -> Units {
    let [width, inner] = [config.d_model, config.decoder_ffn_dim].map(|n| n as f64);
    let (layers, heads) = (config.decoder_layers as f64, config.decoder_attention_heads as f64);
    Units {
        quantize: layers * count * (2.0 * width + inner),
        normalize: count * (3.0 * layers * width + width),
        head: layers * count * 4.0 * width,
        vector_score: layers * heads * count * (shape.frames as f64 / 2.0),
        causal_score: layers * heads * count * (before + count / 2.0),
        logit: config.vocab_size as f64,
        ..Units::default()
    }
}

/// Weights of all decoder layers: self-attention, cross-attention without its keys and values, feed-forward.
fn layer_weights(config: &WhisperConfig) -> f64 {
    let [width, inner] = [config.d_model, config.decoder_ffn_dim].map(|n| n as f64);
    config.decoder_layers as f64 * (6.0 * width * width + 2.0 * width * inner)
}

/// Keys and values of the encoder's output.
fn cross_bytes(config: &WhisperConfig, shape: &Shape) -> f64 {
    config.decoder_layers as f64 * shape.frames as f64 / 2.0 * 2.0 * (config.decoder_attention_heads as f64 * HEAD)
}

/// The whole prompt in one run, with two rows of logits: the first says whether anybody speaks. The first row of a product costs what a
/// row by itself does, as it waits for the weights; the others are rows of a tile.
fn prefill(config: &WhisperConfig, shape: &Shape) -> Work {
    let prompt = shape.prompt as f64;
    if shape.prompt <= 1 {
        return token_at(config, shape, 0.0);
    }
    let (weights, logits) = (layer_weights(config), (config.d_model * config.vocab_size) as f64);
    let mut alone = decoder_rest(config, shape, prompt, 0.0);
    // A few rows are not split over the threads, but their logits are.
    alone.vector_mac = weights;
    alone.mac = (prompt - 1.0) * weights;
    alone.gelu = (config.decoder_layers * config.decoder_ffn_dim) as f64 * prompt;
    let shared = Units { vector_mac: logits, mac: logits, ..Units::default() };
    Work { shared, alone, bytes: weights + logits + cross_bytes(config, shape) }
}

fn token(config: &WhisperConfig, shape: &Shape) -> Work {
    token_at(config, shape, (shape.prompt + shape.tokens / 2) as f64)
}

fn token_at(config: &WhisperConfig, shape: &Shape, before: f64) -> Work {
    let [width, inner] = [config.d_model, config.decoder_ffn_dim].map(|n| n as f64);
    let weights = layer_weights(config) + width * config.vocab_size as f64;
    let mut alone = decoder_rest(config, shape, 1.0, before);
    alone.gelu = config.decoder_layers as f64 * inner;
    let shared = Units { vector_mac: weights, ..Units::default() };
    Work { shared, alone, bytes: weights + cross_bytes(config, shape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> WhisperConfig {
        serde_json::from_str(
            r#"{"kind": "whisper", "numerics_version": 1, "d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6,
                "encoder_ffn_dim": 1536, "decoder_layers": 4, "decoder_attention_heads": 6, "decoder_ffn_dim": 1536, "num_mel_bins": 80,
                "max_source_positions": 1500, "max_target_positions": 448, "vocab_size": 51864}"#,
        )
        .unwrap()
    }

    const FULL: Shape = Shape { seconds: 30.0, frames: 3000, prompt: 2, tokens: 26 };

    #[test]
    fn tiny_s_encoder_has_the_known_work() {
        let work = of(&tiny(), Phase::Encoder, &FULL);
        // 18.5 G multiply-accumulates of the encoder with attention's, and 1.8 G for the decoder's keys and values.
        let attention = work.shared.score * 128.0;
        let total = work.shared.mac + attention;
        assert!((20.2e9..20.4e9).contains(&total), "{total}");
        assert_eq!(work.shared.score, 4.0 * 6.0 * 1500.0 * 1500.0);
    }

    #[test]
    fn a_token_reads_the_known_weights() {
        let work = of(&tiny(), Phase::Token, &FULL);
        // 28 MB of weights (docs/performance.md), and 4.6 MB of keys and values.
        assert!((27.0e6..29.0e6).contains(&work.shared.vector_mac), "{}", work.shared.vector_mac);
        assert!((31.0e6..34.0e6).contains(&work.bytes), "{}", work.bytes);
    }

    #[test]
    fn short_recordings_are_less_work() {
        let short = Shape { seconds: 3.0, frames: 600, ..FULL };
        let [full, short] = [FULL, short].map(|shape| of(&tiny(), Phase::Encoder, &shape).shared);
        assert!(short.mac * 4.99 < full.mac && short.score * 24.9 < full.score);
        // A longer prompt is more work on the same weights.
        let prefills = [1, 2, 3, 4].map(|prompt| of(&tiny(), Phase::Prefill, &Shape { prompt, ..FULL }));
        assert!(prefills.is_sorted_by(|a, b| a.alone.mac < b.alone.mac && a.bytes == b.bytes), "{prefills:?}");
    }
}
