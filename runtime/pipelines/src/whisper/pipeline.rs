//! The loop over a recording's windows.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_trace::Tap;

use super::align::Aligner;
use super::attempts::Outcome;
use super::config::GenerationConfig;
use super::decode::{Decoder, Limits, Prompt};
use super::emit::{Likelihood, Run};
use super::encode_text::TextEncoder;
use super::engine::{Engine, EngineError};
use super::error::{OptionError, TranscribeError};
use super::hotwords::Hotwords;
use super::language;
use super::options::{Task, TranscribeOptions, VadOptions};
use super::quality;
use super::refine::Envelope;
use super::repetition::Compressor;
use super::rules::{Rules, TimestampLimits};
use super::short_windows::FRAMES_PER_SECOND;
use super::slider::Slider;
use super::specials::Specials;
use super::speech::{SpeechMap, Step};
use super::tokenizer::Tokenizer;
use super::transcript::{Segment, Stats, Summary, Told};
use crate::digest::{DigestTaps, Digests};
use crate::events::{EncodedEvents, Event, EventsError};
use crate::source::SampleSource;

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
    trace: Option<Arc<dyn Tap>>,
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

    /// Transcribes `source`, handing out each segment as soon as it is known. Segments without a letter or digit are left out.
    ///
    /// Windows begin and end in pauses, as the voice activity detector finds them ([`TranscribeOptions::vad`]); what holds no speech is passed
    /// over. In speech that goes on for more than a window the next one starts where the last finished segment ended, as in openai-whisper, and
    /// so it does everywhere without the detector. No text is carried from window to window. Memory does not grow with the recording.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    pub fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_told(source, options, None, &mut |told| {
            if let Told::Segment(segment) = told {
                on_segment(segment);
            }
        })
    }

    /// [`transcribe`](Self::transcribe) that also tells what was dropped and, with `events`, sound events: they are heard in what the encoder
    /// gives, also where nobody speaks.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub fn transcribe_told(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        mut events: Option<&mut EncodedEvents>,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.check(options)?;
        let most_prompt = (self.engine.dims().max_tokens / 2).saturating_sub(1);
        let mut run = Run {
            plan: self.plan(options, most_prompt)?,
            taps: DigestTaps::new(options.digests).with_trace(self.trace.clone()),
            summary: Summary { events: events.is_some().then_some(0), ..Summary::default() },
            likelihood: Likelihood::default(),
            on_told,
        };
        if let Some(events) = &mut events {
            events.begin(options.digests);
        }
        let speech = options.vad.map(|vad| SpeechMap::new(self.engine.isa(), vad));
        let mut slider = Slider::new(source).with_speech(speech);
        let mut seek = 0;
        let mut most = options.window.max_frames();
        loop {
            slider.move_to(seek)?;
            let Some(step) = slider.step(most) else { break };
            let advance = match step {
                Step::Quiet(frames) => self.pass(&slider, seek, frames, events.is_some(), &mut run)?,
                Step::Window(left) if quality::level_db(slider.window(left)) < options.quality.min_level_db => {
                    run.summary.stats.silent_windows += 1;
                    self.pass(&slider, seek, left, events.is_some(), &mut run)?
                }
                Step::Window(left) => match self.window(&slider, seek, left, &mut run)? {
                    Ok(advance) => advance,
                    Err(frames) => {
                        most = frames;
                        continue;
                    }
                },
            };
            most = options.window.max_frames();
            if let Some(events) = &mut events {
                let mut heard = heard(&mut run.summary, run.on_told);
                events.window(self.engine.encoder_output(), seek, advance, &mut heard).map_err(unheard)?;
            }
            seek += advance as u64;
        }
        let Run { mut summary, plan, taps, likelihood, on_told } = run;
        let scores = match &mut events {
            Some(events) => events.finish(slider.samples_read(), &mut heard(&mut summary, on_told)).map_err(unheard)?,
            None => None,
        };
        summary.duration = slider.samples_read() as f64 / f64::from(ossicle_frontend::SAMPLE_RATE);
        summary.language = plan.language;
        summary.language_doubt = !self.specials.multilingual && likelihood.doubts_language(&options.quality);
        summary.stats.decoder_steps = std::mem::take(&mut self.decoder.steps);
        summary.digests = taps.finish().map(|digests| Digests { events: scores, ..digests });
        Ok(summary)
    }

    /// Passes over `frames` in which nobody speaks; they are encoded if sound events are listened for.
    fn pass(&mut self, slider: &Slider<'_>, seek: u64, frames: usize, listens: bool, run: &mut Run<'_>) -> Result<usize, TranscribeError> {
        if listens {
            let options = run.plan.options;
            let window = options.window.frames(frames, options.timestamps, self.config.short_windows);
            run.taps.window(seek, frames, slider.window(frames));
            self.encode(slider, frames, window, &mut run.taps, &mut run.summary.stats)?;
        }
        Ok(frames)
    }

    /// The text of the window of `left` frames at `seek`: how far it reaches, or in `Err` of how many frames it should be instead.
    fn window(&mut self, slider: &Slider<'_>, seek: u64, left: usize, run: &mut Run<'_>) -> Result<Result<usize, usize>, TranscribeError> {
        run.taps.window(seek, left, slider.window(left));
        Ok(match self.decode_window(slider, left, &mut run.plan, &mut run.taps, &mut run.summary.stats)? {
            Outcome::Cut(frames) => Err(frames),
            Outcome::Text(decoded) => Ok(self.emit(&decoded, slider, seek, left, run)?),
            Outcome::Dropped(decoded, reason) => {
                self.drop_text(&decoded, reason, slider, seek, left, run)?;
                Ok(left)
            }
        })
    }

    /// Encodes a recording of at most 30 s in a window of `frames` and feeds the prompt for text without timestamps, for a search of the text;
    /// `None` if it is silent. Of an initial prompt at most the last `most_prompt` tokens are taken.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub(crate) fn hear(
        &mut self,
        samples: &[f32],
        frames: usize,
        most_prompt: usize,
        options: &TranscribeOptions,
        stats: &mut Stats,
    ) -> Result<Option<Heard<'_, E>>, TranscribeError> {
        let options = TranscribeOptions { timestamps: false, ..options.clone() };
        self.check(&options)?;
        let mut plan = self.plan(&options, most_prompt)?;
        let mut taps = DigestTaps::new(false).with_trace(self.trace.clone());
        let mut source = samples;
        let mut slider = Slider::new(&mut source);
        slider.move_to(0)?;
        let left = slider.frames().min(frames);
        taps.window(0, left, slider.window(left));
        if quality::level_db(slider.window(left)) < options.quality.min_level_db {
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

    fn plan<'a>(&self, options: &'a TranscribeOptions, most_prompt: usize) -> Result<Plan<'a>, TranscribeError> {
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
        let limits = Limits { max_new_tokens: options.max_new_tokens, loop_guard: options.quality.loop_guard };
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

/// Counts events, and tells them.
fn heard(summary: &mut Summary, on_told: &mut dyn FnMut(Told)) -> impl FnMut(Event) {
    |event| {
        summary.events = summary.events.map(|events| events + 1);
        on_told(Told::Event(event));
    }
}

fn unheard(error: EventsError) -> TranscribeError {
    EngineError(Box::new(error)).into()
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
#[path = "pauses_tests.rs"]
mod pauses_tests;
