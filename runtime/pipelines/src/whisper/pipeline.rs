//! The loop over a recording's windows.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::time::Instant;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_trace::Tap;

use super::align::Aligner;
use super::attempts::{Decoded, Outcome};
use super::config::GenerationConfig;
use super::decode::{Decoder, Limits, Prompt};
use super::encode_text::TextEncoder;
use super::engine::{Engine, EngineError};
use super::error::{OptionError, TranscribeError};
use super::hotwords::Hotwords;
use super::language;
use super::options::{Quality, Task, TranscribeOptions, VadOptions};
use super::quality;
use super::refine::Envelope;
use super::repetition::Compressor;
use super::rules::{Rules, TimestampLimits};
use super::segments::{self, Piece, Split};
use super::short_windows::FRAMES_PER_SECOND;
use super::slider::Slider;
use super::specials::Specials;
use super::speech::{SpeechMap, Step};
use super::tokenizer::Tokenizer;
use super::transcript::{DropReason, Dropped, Segment, Stats, Summary, Told, Word};
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

/// One recording on its way.
struct Run<'a> {
    plan: Plan<'a>,
    taps: DigestTaps,
    summary: Summary,
    likelihood: Likelihood,
    on_told: &'a mut dyn FnMut(Told),
}

/// How likely a recording's text is.
#[derive(Default)]
struct Likelihood {
    sum: f64,
    tokens: usize,
}

impl Likelihood {
    fn add(&mut self, avg_logprob: f32, tokens: usize) {
        self.sum += f64::from(avg_logprob) * tokens as f64;
        self.tokens += tokens;
    }

    fn doubts_language(&self, quality: &Quality) -> bool {
        quality::doubts_language((self.sum / self.tokens.max(1) as f64) as f32, self.tokens, quality)
    }
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

    /// Reports a text that is not in the transcript, if it has any words.
    fn drop_text(
        &mut self,
        decoded: &Decoded,
        reason: DropReason,
        slider: &Slider<'_>,
        seek: u64,
        left: usize,
        run: &mut Run<'_>,
    ) -> Result<(), TranscribeError> {
        let text = self.text(&decoded.attempt.tokens)?;
        if text.contains(char::is_alphanumeric) {
            let (start, end) = slider.spoken(0, left).unwrap_or((0, left));
            tell_dropped(decoded, reason, text, seek, start..end, run);
        }
        if run.summary.segments == 0 {
            // What was taken for a language may have been noise.
            run.plan.language = language::given(&self.specials, run.plan.options.language.as_deref())?;
        }
        Ok(())
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

    /// Hands out the window's segments; returns the frames until the next window.
    fn emit(
        &mut self,
        decoded: &Decoded,
        slider: &Slider<'_>,
        seek: u64,
        left: usize,
        run: &mut Run<'_>,
    ) -> Result<usize, TranscribeError> {
        let tokens = &decoded.attempt.tokens;
        let Split { mut pieces, advance, complete } = segments::split(tokens, &self.specials, left);
        let mut advance = decoded.ends_at.map_or(advance, |end| end.clamp(1, left));
        let mut words = vec![None; pieces.len()];
        let timeless: Vec<bool> = pieces.iter().map(|piece| piece.start == piece.end).collect();
        if run.plan.options.timestamps && advance == left {
            let end = self.text_end(decoded, left, complete, &pieces, run)?;
            advance = slider.missed(in_frames(end), left).unwrap_or(left).max(1);
        }
        if run.plan.options.word_timestamps {
            let clock = Instant::now();
            words = self.align_words(decoded, slider, left, &run.plan, &mut pieces)?;
            run.summary.stats.align_seconds += clock.elapsed().as_secs_f64();
            if !complete
                && decoded.ends_at.is_none()
                && let Some(end) = words.iter().flatten().flatten().map(|word| word.end).next_back()
                && (1..=left).contains(&in_frames(end))
            {
                advance = in_frames(end);
            }
        }
        if advance < left && slider.is_rest(advance, left) {
            // A window around the end of a word would hear it again, or something else.
            advance = left;
        }
        let words: Vec<_> = words.into_iter().map(|words| words.map(|words| held_to(words, left))).collect();
        for ((mut piece, words), timeless) in pieces.into_iter().zip(words).zip(timeless) {
            let text = self.text(&tokens[piece.tokens.clone()])?;
            if !text.contains(char::is_alphanumeric) {
                continue;
            }
            piece.end = piece.end.min(seconds(left));
            piece.start = piece.start.min(piece.end);
            if timeless && words.is_none() {
                tell_dropped(decoded, DropReason::NoTime, text, seek, in_frames(piece.start)..in_frames(piece.end), run);
            } else {
                tell_segment(decoded, piece, words, text, slider, seek, run);
            }
        }
        Ok(advance)
    }

    /// Where a window's text ends, in seconds: its last timestamp, or where its last word was said.
    fn text_end(
        &mut self,
        decoded: &Decoded,
        left: usize,
        complete: bool,
        pieces: &[Piece],
        run: &Run<'_>,
    ) -> Result<f64, TranscribeError> {
        let end = pieces.last().map_or(0.0, |piece| piece.end);
        let text: Vec<u32> = decoded.attempt.tokens.iter().copied().filter(|&token| token < self.specials.eot).collect();
        let unclosed = !complete && end >= seconds(left) && run.plan.options.vad.is_some();
        let fits = text.len() + super::memory::ALIGNED_PROMPT <= self.engine.dims().max_tokens;
        if !unclosed || text.is_empty() || !fits || self.config.alignment_heads.is_empty() {
            return Ok(end);
        }
        Ok(self.first_seconds(&text, left, &run.plan)?.last().map_or(end, |&said| end.min(said)))
    }
}

/// Reports a text that is not in the transcript.
fn tell_dropped(decoded: &Decoded, reason: DropReason, text: String, seek: u64, frames: std::ops::Range<usize>, run: &mut Run<'_>) {
    let [start, end] = [frames.start, frames.end].map(|frame| centiseconds(seconds(seek as usize + frame)));
    let Decoded { no_speech_prob, ref attempt, .. } = *decoded;
    (run.on_told)(Told::Dropped(Dropped { start, end, reason, text, avg_logprob: attempt.avg_logprob, no_speech_prob }));
    run.summary.dropped += 1;
}

/// Words whose times lie within a window.
fn held_to(mut words: Vec<Word>, frames: usize) -> Vec<Word> {
    for word in &mut words {
        word.end = word.end.min(seconds(frames));
        word.start = word.start.min(word.end);
    }
    words
}

/// Hands out a segment, with its times held to where somebody speaks.
fn tell_segment(
    decoded: &Decoded,
    piece: Piece,
    words: Option<Vec<Word>>,
    text: String,
    slider: &Slider<'_>,
    seek: u64,
    run: &mut Run<'_>,
) {
    let tokens = decoded.attempt.tokens[piece.tokens].to_vec();
    let (start, end) = match words {
        // Words have been held to the sound already.
        Some(_) => (piece.start, piece.end),
        None => slider.held(piece.start, piece.end),
    };
    let offset = seek as f64 / FRAMES_PER_SECOND as f64;
    let segment = Segment {
        id: run.summary.segments,
        seek,
        start: centiseconds(offset + start),
        end: centiseconds(offset + end),
        text,
        tokens,
        temperature: decoded.attempt.temperature,
        avg_logprob: decoded.attempt.avg_logprob,
        compression_ratio: decoded.compression_ratio,
        no_speech_prob: decoded.no_speech_prob,
        words: words.map(|words| words.into_iter().map(|word| shifted(word, offset)).collect()),
    };
    run.likelihood.add(segment.avg_logprob, segment.tokens.len());
    let words = segment.words.iter().flatten().map(|word| (word.start, word.end));
    let times = std::iter::once((segment.start, segment.end)).chain(words);
    run.taps.times(segment.id, times.map(|(start, end)| [hundredths(start), hundredths(end)]));
    (run.on_told)(Told::Segment(segment));
    run.summary.segments += 1;
}

pub(super) fn seconds(frames: usize) -> f64 {
    frames as f64 / FRAMES_PER_SECOND as f64
}

fn in_frames(seconds: f64) -> usize {
    (seconds * FRAMES_PER_SECOND as f64).round() as usize
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

fn shifted(word: Word, offset: f64) -> Word {
    Word { start: centiseconds(offset + word.start), end: centiseconds(offset + word.end), ..word }
}

/// Seconds rounded to 10 ms, in that unit; for times up to eight months.
fn hundredths(seconds: f64) -> i32 {
    (seconds * 100.0).round() as i32
}

/// Rounded to 10 ms, the resolution of a frame.
fn centiseconds(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
#[path = "pauses_tests.rs"]
mod pauses_tests;
