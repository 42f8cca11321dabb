//! The work of each phase, as the layers of the model's graphs say it.

use std::sync::Arc;

use ossicle_boards::cost::Units;
use ossicle_engine::work;
use ossicle_kernels::simd::Isa;
use ossicle_models::GraphError;
use ossicle_models::folder::{ModelFolder, WhisperConfig};
use ossicle_models::whisper::{LogitsFor, Options, WhisperGraph};

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

/// Units of work, as boards know their costs.
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
///
/// # Errors
/// If a tensor of the model is missing or misshapen.
pub fn of(folder: &Arc<ModelFolder<WhisperConfig>>, phase: Phase, shape: &Shape) -> Result<Work, GraphError> {
    // Neither changes what is computed.
    let options = Options { isa: Isa::detect(), threads: 1 };
    let positions = shape.frames / 2;
    let decoder = |before: usize, tokens: usize| {
        let wanted = if tokens > 1 { LogitsFor::FirstAndLast } else { LogitsFor::Last };
        let mut work = boards(WhisperGraph::decoder_work(folder, options, positions, (before, tokens), wanted)?);
        // Choosing the next token.
        work.alone.logit = folder.config().vocab_size as f64;
        Ok(work)
    };
    match phase {
        Phase::Mel => {
            let frame = (shape.seconds * FRAMES_PER_SECOND).min(shape.frames as f64) * folder.config().num_mel_bins as f64 / 80.0;
            Ok(Work { alone: Units { frame, ..Units::default() }, ..Work::default() })
        }
        Phase::Encoder => Ok(boards(WhisperGraph::encoder_work(folder, options, positions)?)),
        // The whole prompt in one run, with two rows of logits: the first says whether anybody speaks.
        Phase::Prefill => decoder(0, shape.prompt.max(1)),
        Phase::Token => decoder(shape.prompt + shape.tokens / 2, 1),
    }
}

/// The engine's units as those whose costs boards know.
fn boards(work: work::Work) -> Work {
    let units = |units: work::Units| Units {
        mac: units.mac,
        store: units.store,
        gelu: units.gelu,
        vector_mac: units.vector_mac,
        quantize: units.quantize,
        normalize: units.normalize,
        head: units.head,
        pack: units.pack,
        score: units.score,
        vector_score: units.vector_score,
        causal_score: units.causal_score,
        ..Units::default()
    };
    Work { shared: units(work.shared), alone: units(work.alone), bytes: work.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(phase: Phase, shape: &Shape) -> Work {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models-int8/whisper-tiny.en");
        of(&ModelFolder::open(folder.as_ref()).unwrap(), phase, shape).unwrap()
    }

    const FULL: Shape = Shape { seconds: 30.0, frames: 3000, prompt: 2, tokens: 26 };

    #[test]
    fn tiny_s_encoder_has_the_known_work() {
        let work = work(Phase::Encoder, &FULL);
        // 18.5 G multiply-accumulates of the encoder with attention's, and 1.8 G for the decoder's keys and values.
        let attention = work.shared.score * 128.0;
        let total = work.shared.mac + attention;
        assert!((20.2e9..20.4e9).contains(&total), "{total}");
        assert_eq!(work.shared.score, 4.0 * 6.0 * 1500.0 * 1500.0);
    }

    #[test]
    fn a_token_reads_the_known_weights() {
        let work = work(Phase::Token, &FULL);
        // 28 MB of weights (docs/performance.md), and 4.6 MB of keys and values.
        assert!((27.0e6..29.0e6).contains(&work.shared.vector_mac), "{}", work.shared.vector_mac);
        assert!((31.0e6..34.0e6).contains(&work.bytes), "{}", work.bytes);
    }

    #[test]
    fn short_recordings_are_less_work() {
        let short = Shape { seconds: 3.0, frames: 600, ..FULL };
        let [full, short] = [FULL, short].map(|shape| work(Phase::Encoder, &shape).shared);
        assert!(short.mac * 4.99 < full.mac && short.score * 24.9 < full.score);
        // A longer prompt is more work on the same weights.
        let prefills = [1, 2, 3, 4].map(|prompt| work(Phase::Prefill, &Shape { prompt, ..FULL }));
        // So few rows are split over the threads.
        assert!(prefills.is_sorted_by(|a, b| a.shared.mac < b.shared.mac && a.bytes == b.bytes), "{prefills:?}");
    }
}
