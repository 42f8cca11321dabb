//! A model with its vocabulary and settings, ready for recordings.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_trace::Tap;

use super::align::Aligner;
use super::attempt::Limits;
use super::config::GenerationConfig;
use super::decode::{Decoder, Prompt};
use super::encode_text::TextEncoder;
use super::engine::Engine;
use super::error::{OptionError, TranscribeError};
use super::hotwords::Hotwords;
use super::language;
use super::options::{Quality, Task, TranscribeOptions, VadOptions};
use super::quality;
use super::refine::Envelope;
use super::repetition::Compressor;
use super::rules::{Rules, TimestampLimits};
use super::short_windows::FRAMES_PER_SECOND;
use super::slider::Slider;
use super::specials::Specials;
use super::tokenizer::Tokenizer;
use super::transcript::Stats;
use crate::digest::DigestTaps;
use crate::source::AfterSilence;

/// Frames that one encoder position stands for.
pub(super) const FRAMES_PER_POSITION: usize = 2;
/// The latest first timestamp if the model does not say: 1 s.
const MAX_INITIAL_TIMESTAMP: u32 = 50;

/// Turns recordings into segments with any [`Engine`].
pub struct Pipeline<E> {
    pub(super) engine: E,
    pub(super) config: GenerationConfig,
    pub(super) specials: Specials,
    /// Given up once the tokenizer has been read.
    tokenizer_json: Cell<String>,
    tokenizer: OnceCell<Tokenizer>,
    pub(super) log_mel: LogMel,
    pub(super) mel_scratch: Box<MelScratch>,
    pub(super) mel: Vec<f32>,
    pub(super) decoder: Decoder,
    pub(super) aligner: Aligner,
    pub(super) align_tokens: Vec<u32>,
    pub(super) envelope: Envelope,
    pub(super) compressor: Compressor,
    pub(super) trace: Option<Arc<dyn Tap>>,
}

/// What stays the same over a recording's windows.
pub(super) struct Plan<'a> {
    pub(super) options: &'a TranscribeOptions,
    pub(super) prompt: Prompt,
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    /// The language's code, once known.
    pub(super) language: Option<String>,
    /// Whether the window at hand has little speech ([`quality::SHORT_SPEECH_SECONDS`]).
    pub(super) short_speech: bool,
}

/// A recording that has been encoded, and its prompt fed.
pub(crate) struct Heard<'a, E> {
    pub(crate) engine: &'a mut E,
    pub(crate) after_prompt: &'a [f32],
    pub(crate) specials: &'a Specials,
    pub(crate) config: &'a GenerationConfig,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) no_speech_prob: f32,
}

impl<E: Engine> Pipeline<E> {
    /// A pipeline over `engine` with the texts of the model's `generation_config.json` and `tokenizer.json`; the latter is read when the
    /// first text is needed.
    ///
    /// # Errors
    /// If the settings cannot be read or do not fit the engine.
    pub fn new(engine: E, generation_config: &str, tokenizer_json: String) -> Result<Self, TranscribeError> {
        let config = GenerationConfig::from_json(generation_config).map_err(TranscribeError::GenerationConfig)?;
        Self::with_config(engine, config, tokenizer_json)
    }

    /// [`new`](Self::new) with settings already read.
    ///
    /// # Errors
    /// If the settings do not fit the engine.
    pub fn with_config(engine: E, config: GenerationConfig, tokenizer_json: String) -> Result<Self, TranscribeError> {
        let dims = engine.dims();
        let specials = Specials::new(&config, dims.vocab_size)?;
        let listed = config.suppress_tokens.iter().chain(&config.begin_suppress_tokens);
        if let Some(&token) = listed.clone().find(|&&token| token as usize >= dims.vocab_size) {
            let name = "suppress_tokens";
            return Err(super::specials::SpecialsError::OutOfRange { name, token, vocab_size: dims.vocab_size }.into());
        }
        let decoder = (dims.decoder_layers, dims.decoder_heads);
        if let Some(&head) = config.alignment_heads.iter().find(|&&(layer, head)| layer >= decoder.0 || head >= decoder.1) {
            return Err(super::specials::SpecialsError::NoSuchHead { head, decoder }.into());
        }
        let log_mel = LogMel::new(engine.isa(), dims.n_mels).map_err(|_| TranscribeError::MelBands { bands: dims.n_mels })?;
        Ok(Self {
            engine,
            config,
            specials,
            tokenizer_json: Cell::new(tokenizer_json),
            tokenizer: OnceCell::new(),
            log_mel,
            mel_scratch: Box::default(),
            mel: Vec::new(),
            decoder: Decoder::default(),
            aligner: Aligner::default(),
            align_tokens: Vec::new(),
            envelope: Envelope::default(),
            compressor: Compressor::default(),
            trace: None,
        })
    }

    /// The network.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The network, for benchmarks.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// Hands what is computed outside the engine to `trace` from now on: samples, features, tokens, times.
    pub fn set_trace(&mut self, trace: Option<Arc<dyn Tap>>) {
        self.trace = trace;
    }

    /// The model's settings.
    pub fn config(&self) -> &GenerationConfig {
        &self.config
    }

    /// The model's special tokens.
    pub fn specials(&self) -> &Specials {
        &self.specials
    }

    /// The vocabulary, read on the first call.
    ///
    /// # Errors
    /// If `tokenizer.json` cannot be read.
    pub fn tokenizer(&self) -> Result<&Tokenizer, TranscribeError> {
        if let Some(tokenizer) = self.tokenizer.get() {
            return Ok(tokenizer);
        }
        let json = self.tokenizer_json.take();
        match Tokenizer::from_json(&json) {
            Ok(tokenizer) => Ok(self.tokenizer.get_or_init(|| tokenizer)),
            Err(error) => {
                self.tokenizer_json.set(json);
                Err(error.into())
            }
        }
    }

    /// Checks options against the model without transcribing anything.
    ///
    /// # Errors
    /// [`TranscribeError::Option`] if they do not fit.
    pub fn check(&self, options: &TranscribeOptions) -> Result<(), TranscribeError> {
        options.window.check()?;
        options.vad.map_or(Ok(()), VadOptions::check)?;
        language::given(&self.specials, options.language.as_deref())?;
        if options.task == Task::Translate && (!self.specials.multilingual || self.specials.translate.is_none()) {
            return Err(OptionError::CannotTranslate.into());
        }
        if options.word_timestamps && self.config.alignment_heads.is_empty() {
            return Err(OptionError::NoAlignmentHeads.into());
        }
        if options.initial_prompt.is_some() && self.specials.sot_prev.is_none() {
            return Err(OptionError::NoPromptToken.into());
        }
        Ok(())
    }

    /// Encodes `lead` samples of silence and a recording, together at most 30 s, in a window of `frames` and feeds the prompt for text without
    /// timestamps, for a search of the text; `None` if the recording is silent. Of an initial prompt at most the last `most_prompt` tokens are
    /// taken.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub(crate) fn hear(
        &mut self,
        samples: &[f32],
        lead: usize,
        frames: usize,
        most_prompt: usize,
        options: &TranscribeOptions,
        stats: &mut Stats,
    ) -> Result<Option<Heard<'_, E>>, TranscribeError> {
        let options = TranscribeOptions { timestamps: false, ..options.clone() };
        self.check(&options)?;
        let mut plan = self.plan(&options, most_prompt)?;
        let mut taps = DigestTaps::new(false).with_trace(self.trace.clone());
        let mut source = AfterSilence { silence: lead, samples };
        let mut slider = Slider::new(&mut source);
        slider.move_to(0)?;
        let left = slider.frames().min(frames);
        taps.window(0, left, slider.window(left));
        if quality::level_db(slider.window(left).get(lead..).unwrap_or_default()) < options.quality.min_level_db {
            stats.silent_windows += 1;
            return Ok(None);
        }
        self.encode(&slider, left, frames, &mut taps, stats)?;
        let no_speech_prob = self.start(&mut plan, &mut taps, stats)?;
        taps.no_speech(no_speech_prob);
        self.tokenizer()?;
        let Self { engine, decoder, specials, config, tokenizer, .. } = self;
        let tokenizer = tokenizer.get().expect("read above");
        Ok(Some(Heard { engine, after_prompt: decoder.after_prompt(), specials, config, tokenizer, no_speech_prob }))
    }

    pub(super) fn plan<'a>(&self, options: &'a TranscribeOptions, most_prompt: usize) -> Result<Plan<'a>, TranscribeError> {
        let specials = &self.specials;
        let dims = self.engine.dims();
        let language = language::given(specials, options.language.as_deref())?;
        let mut prompt = Prompt { before: Vec::new(), sot: specials.sot, after: Vec::new() };
        if let (Some(text), Some(sot_prev)) = (&options.initial_prompt, specials.sot_prev) {
            let text = format!(" {}", text.trim());
            let tokens = TextEncoder::new(self.tokenizer()?, specials.eot).encode(&text);
            prompt.before.push(sot_prev);
            prompt.before.extend(&tokens[tokens.len().saturating_sub(most_prompt)..]);
        }
        let timestamps = options.timestamps.then(|| TimestampLimits {
            max_initial: Some(self.config.max_initial_timestamp_index.unwrap_or(MAX_INITIAL_TIMESTAMP)),
            max: dims.max_positions as u32,
        });
        let mut rules = Rules::new(specials, &self.config.suppress_tokens, &self.config.begin_suppress_tokens, timestamps);
        if !options.hotwords.is_empty() {
            let encoder = TextEncoder::new(self.tokenizer()?, specials.eot);
            rules = rules.with_hotwords(Hotwords::new(&options.hotwords, &encoder)?);
        }
        let Quality { loop_guard, second_choices, .. } = options.quality;
        let limits = Limits { max_new_tokens: options.max_new_tokens, loop_guard, second_choices };
        Ok(Plan { options, prompt, rules, limits, language, short_speech: false })
    }

    /// The text of the tokens that are text.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String, TranscribeError> {
        Ok(self.tokenizer()?.decode(tokens.iter().copied().filter(|&token| token < self.specials.eot)))
    }
}

/// Frames of 10 ms in seconds.
pub(super) fn seconds(frames: usize) -> f64 {
    frames as f64 / FRAMES_PER_SECOND as f64
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(crate) mod tests;
