//! Text from speech.

use std::path::Path;
use std::sync::Arc;

use ossicle_models::folder::{FolderError, ModelConfig, ModelFolder, WhisperConfig};
use ossicle_models::whisper::{LogitsFor, WhisperGraph};

use super::exercise::{exercise, tokens, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;
use crate::whisper::config::GenerationConfig;
use crate::whisper::memory::{Memory, Request};
use crate::whisper::transcriber::Transcriber;
use crate::whisper::window::Window;

/// Frames of the spectrogram in a second.
const FRAMES_PER_SECOND: f64 = 100.0;

/// Tokens of speech in a second, timestamps included: a fast speaker's.
const TOKENS_PER_SECOND: f64 = 5.0;

/// Tokens that an exercise has behind it.
const TOKENS: usize = 16;

const ENCODER: &str = "encoder";
const TOKEN: &str = "token";

pub(super) struct Whisper;

/// A recording in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    seconds: f64,
    /// Mel frames of the encoder's window.
    frames: usize,
    /// Tokens of the prompt.
    prompt: usize,
    /// Tokens of the text.
    tokens: usize,
}

impl Shape {
    fn new(folder: &ModelFolder<WhisperConfig>, workload: &Workload) -> Result<Self, FamilyError> {
        let path = folder.path().join("generation_config.json");
        let settings = GenerationConfig::from_json(&folder.read_text("generation_config.json")?);
        let settings = settings.map_err(|error| FolderError::Malformed { path, problem: error.to_string() })?;
        let seconds = workload.seconds();
        let left = (seconds * FRAMES_PER_SECOND).ceil() as usize;
        let window = if workload.full_window { Window::Full } else { Window::default() };
        // The start, and for multilingual models language and task.
        let prompt = workload.prompt.unwrap_or(if settings.is_multilingual { 3 } else { 1 });
        let tokens = workload.tokens.unwrap_or((seconds * TOKENS_PER_SECOND).ceil() as usize);
        let most = folder.config().max_target_positions;
        if prompt.saturating_add(tokens) > most {
            return Err(FamilyError::Workload(format!(
                "{prompt} tokens of the prompt and {tokens} of the text: {most} are possible together"
            )));
        }
        Ok(Self { seconds, frames: window.frames(left, true, settings.short_windows), prompt, tokens })
    }
}

/// All phases of a transcription.
fn phases(folder: &Arc<ModelFolder<WhisperConfig>>, options: Options, shape: &Shape) -> Result<Vec<Phase>, FamilyError> {
    let positions = shape.frames / 2;
    let decoder = |name: &'static str, before: usize, tokens: usize| {
        let wanted = if tokens > 1 { LogitsFor::FirstAndLast } else { LogitsFor::Last };
        let work = WhisperGraph::decoder_work(folder, options, positions, (before, tokens), wanted)?;
        Ok::<_, FamilyError>(Phase { logits: folder.config().vocab_size as f64, ..Phase::new(name, work) })
    };
    let frames = (shape.seconds * FRAMES_PER_SECOND).min(shape.frames as f64);
    Ok(vec![
        Phase::features("mel", frames, folder.config().num_mel_bins),
        Phase::new(ENCODER, WhisperGraph::encoder_work(folder, options, positions)?),
        // The whole prompt in one run, with two rows of logits: the first says whether anybody speaks.
        decoder("prefill", 0, shape.prompt.max(1))?,
        // One token, halfway through the text.
        decoder(TOKEN, shape.prompt + shape.tokens / 2, 1)?.times(shape.tokens as f64, ""),
    ])
}

impl Family for Whisper {
    fn kind(&self) -> &'static str {
        WhisperConfig::KIND
    }

    fn gives(&self, info: &ModelInfo) -> String {
        if info.multilingual { "text, many languages".into() } else { "text, English".into() }
    }

    fn details(&self, info: &ModelInfo) -> Vec<(&'static str, String)> {
        let ModelInfo { d_model, encoder_layers, decoder_layers, num_mel_bins, vocab_size, .. } = info;
        vec![
            ("network", format!("width {d_model}, {encoder_layers} + {decoder_layers} layers, {num_mel_bins} mel bands")),
            ("vocabulary", format!("{vocab_size} tokens")),
        ]
    }

    /// For the longest window: one that goes wrong is encoded again in the next size.
    fn memory(&self, model: &Path, options: Options, workload: &Workload) -> Result<Needs, FamilyError> {
        let frames = Window::Full.max_frames();
        let request = Request { options, frames, words: workload.words, lanes: false, others: 0, program: 0 };
        Ok(Needs::new(Memory::plan(&ModelFolder::open(model)?, request)?.parts()))
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Ok(Transcriber::open_folder(model, options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::open(model)?;
        let shape = Shape::new(&folder, workload)?;
        let Shape { seconds, frames, prompt, tokens } = shape;
        let window = frames as f64 / FRAMES_PER_SECOND;
        let about = format!("{seconds} s in a window of {window} s, {tokens} tokens after {prompt}");
        let figures = vec![("window_seconds", window.into()), ("prompt", prompt.into()), ("tokens", tokens.into())];
        Ok(Job { about, figures, ..Job::of_seconds("recording", seconds, phases(&folder, options, &shape)?) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &[ENCODER, TOKEN]
    }

    /// A window of 30 s, or a token after some others.
    fn exercise(&self, model: &Path, graph: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let folder = ModelFolder::<WhisperConfig>::open(model)?;
        let (frames, most) = (2 * folder.config().max_source_positions, folder.config().max_target_positions);
        let mel = values(frames * folder.config().num_mel_bins);
        let text = tokens(length.unwrap_or(TOKENS).clamp(1, most - 1), folder.config().vocab_size);
        let mut whisper = WhisperGraph::new(folder, options)?;
        if graph == ENCODER {
            return exercise(whisper, move |whisper| whisper.encode(&mel, frames));
        }
        whisper.encode(&mel, frames)?;
        whisper.decode(&text, LogitsFor::None)?;
        exercise(whisper, move |whisper| {
            whisper.rewind(text.len());
            whisper.decode(&text[..1], LogitsFor::Last).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossicle_kernels::simd::Isa;

    const FULL: Shape = Shape { seconds: 30.0, frames: 3000, prompt: 2, tokens: 26 };

    fn phase(name: &str, shape: &Shape) -> Phase {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models-int8/whisper-tiny.en");
        let folder = ModelFolder::open(folder.as_ref()).unwrap();
        let all = phases(&folder, Options { isa: Isa::detect(), threads: 1 }, shape).unwrap();
        all.into_iter().find(|phase| phase.name == name).unwrap()
    }

    #[test]
    fn tiny_s_encoder_has_the_known_work() {
        let work = phase(ENCODER, &FULL).work;
        // 18.5 G multiply-accumulates of the encoder with attention's, and 1.8 G for the decoder's keys and values.
        let attention = work.shared.score * 128.0;
        let total = work.shared.mac + attention;
        assert!((20.2e9..20.4e9).contains(&total), "{total}");
        assert_eq!(work.shared.score, 4.0 * 6.0 * 1500.0 * 1500.0);
    }

    #[test]
    fn a_token_reads_the_known_weights() {
        let work = phase(TOKEN, &FULL).work;
        // 28 MB of weights (docs/performance.md), and 4.6 MB of keys and values.
        assert!((27.0e6..29.0e6).contains(&work.shared.vector_mac), "{}", work.shared.vector_mac);
        assert!((31.0e6..34.0e6).contains(&work.bytes), "{}", work.bytes);
    }

    #[test]
    fn short_recordings_are_less_work() {
        let short = Shape { seconds: 3.0, frames: 600, ..FULL };
        let [full, short] = [FULL, short].map(|shape| phase(ENCODER, &shape).work.shared);
        assert!(short.mac * 4.99 < full.mac && short.score * 24.9 < full.score);
        // A longer prompt is more work on the same weights, and a few keys and values more.
        let prefills = [1, 2, 3, 4].map(|prompt| phase("prefill", &Shape { prompt, ..FULL }).work);
        // So few rows are split over the threads.
        assert!(prefills.is_sorted_by(|a, b| a.shared.mac < b.shared.mac && (a.bytes..1.001 * a.bytes).contains(&b.bytes)), "{prefills:?}");
    }
}
