//! The loop over a recording's windows.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::time::Instant;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_trace::Tap;

use super::align::{Aligner, Shape};
use super::config::GenerationConfig;
use super::decode::{Attempt, Decoder, Limits, Prompt, probability};
use super::encode_text::TextEncoder;
use super::engine::{Engine, EngineError};
use super::error::{OptionError, TranscribeError};
use super::hotwords::Hotwords;
use super::language;
use super::options::{Task, TranscribeOptions};
use super::quality::{self, Verdict};
use super::refine::{self, Envelope, Refine, Times};
use super::repetition::Compressor;
use super::rules::{Rules, TimestampLimits};
use super::sampling::Rng;
use super::segments::{self, Piece};
use super::short_windows::FRAMES_PER_SECOND;
use super::slider::Slider;
use super::specials::{SECONDS_PER_TIMESTAMP, Specials};
use super::tokenizer::Tokenizer;
use super::transcript::{Segment, Stats, Summary, Told, Word};
use super::words;
use crate::digest::{DigestTaps, Digests};
use crate::events::{EncodedEvents, Event, EventsError};
use crate::source::SampleSource;

/// Frames that one encoder position stands for.
const FRAMES_PER_POSITION: usize = 2;
/// The latest first timestamp if the model does not say: 1 s.
const MAX_INITIAL_TIMESTAMP: u32 = 50;

/// Turns recordings into segments with any [`Engine`].
pub struct Pipeline<E> {
    engine: E,
    config: GenerationConfig,
    specials: Specials,
    /// Given up once the tokenizer has been read.
    tokenizer_json: Cell<String>,
    tokenizer: OnceCell<Tokenizer>,
    log_mel: LogMel,
    mel_scratch: Box<MelScratch>,
    mel: Vec<f32>,
    decoder: Decoder,
    aligner: Aligner,
    align_tokens: Vec<u32>,
    envelope: Envelope,
    compressor: Compressor,
    trace: Option<Arc<dyn Tap>>,
}

/// A window's text after all attempts, with what is known about it.
struct Decoded {
    attempt: Attempt,
    compression_ratio: f32,
    no_speech_prob: f32,
    verdict: Verdict,
}

/// What stays the same over a recording's windows.
struct Plan<'a> {
    options: &'a TranscribeOptions,
    prompt: Prompt,
    rules: Rules,
    limits: Limits,
    /// The language's code, once known.
    language: Option<String>,
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
    /// Windows follow one another as in openai-whisper: the next one starts where the last finished segment ended. No text is carried from
    /// window to window. Memory does not grow with the recording.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    pub fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.run(source, options, None, &mut |told| {
            if let Told::Segment(segment) = told {
                on_segment(segment);
            }
        })
    }

    /// [`transcribe`](Self::transcribe) with sound events beside the text: `events` hears what the encoder gives, also of windows in which
    /// nobody speaks.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub fn transcribe_with_events(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        events: &mut EncodedEvents,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.run(source, options, Some(events), on_told)
    }

    fn run(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        mut events: Option<&mut EncodedEvents>,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.check(options)?;
        let most_prompt = (self.engine.dims().max_tokens / 2).saturating_sub(1);
        let mut plan = self.plan(options, most_prompt)?;
        let mut taps = DigestTaps::new(options.digests).with_trace(self.trace.clone());
        let mut summary = Summary { events: events.is_some().then_some(0), ..Summary::default() };
        if let Some(events) = &mut events {
            events.begin(options.digests);
        }
        let mut slider = Slider::new(source);
        let mut seek = 0;
        loop {
            slider.move_to(seek)?;
            let left = slider.frames().min(options.window.max_frames());
            if left == 0 {
                break;
            }
            taps.window(seek, left, slider.window(left));
            let decoded = match quality::level_db(slider.window(left)) < options.quality.min_level_db {
                true => {
                    summary.stats.silent_windows += 1;
                    if events.is_some() {
                        let frames = options.window.frames(left, options.timestamps, self.config.short_windows);
                        self.encode(&slider, frames, &mut taps, &mut summary.stats)?;
                    }
                    None
                }
                false => self.decode_window(&slider, left, &mut plan, &mut taps, &mut summary.stats)?,
            };
            let advance = match decoded {
                Some(decoded) => self.emit(&decoded, &slider, seek, left, &plan, &taps, &mut summary, on_told)?,
                None => left,
            };
            if let Some(events) = &mut events {
                let mut heard = heard(&mut summary, on_told);
                events.window(self.engine.encoder_output(), seek, advance, &mut heard).map_err(unheard)?;
            }
            seek += advance as u64;
        }
        let scores = match &mut events {
            Some(events) => events.finish(slider.samples_read(), &mut heard(&mut summary, on_told)).map_err(unheard)?,
            None => None,
        };
        summary.duration = slider.samples_read() as f64 / f64::from(ossicle_frontend::SAMPLE_RATE);
        summary.language = plan.language;
        summary.stats.decoder_steps = std::mem::take(&mut self.decoder.steps);
        summary.digests = taps.finish().map(|digests| Digests { events: scores, ..digests });
        Ok(summary)
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
        self.encode(&slider, frames, &mut taps, stats)?;
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
        Ok(Plan { options, prompt, rules, limits, language })
    }

    /// Encodes and decodes one window of `left` frames; `None` when nobody speaks in it.
    fn decode_window(
        &mut self,
        slider: &Slider<'_>,
        left: usize,
        plan: &mut Plan<'_>,
        taps: &mut DigestTaps,
        stats: &mut Stats,
    ) -> Result<Option<Decoded>, TranscribeError> {
        let short = self.config.short_windows;
        let mut frames = plan.options.window.frames(left, plan.options.timestamps, short);
        let mut retries = plan.options.window_retries;
        // The surest window counts: in a retried one there is more silence behind the sound.
        let mut no_speech_prob = 0.0f32;
        let mut decoded = loop {
            self.encode(slider, frames, taps, stats)?;
            plan.rules.set_window_end((frames / FRAMES_PER_POSITION) as u32);
            let of_window = self.start(plan, taps, stats)?;
            taps.no_speech(of_window);
            no_speech_prob = no_speech_prob.max(of_window);
            let decoded = self.attempt(plan, 0, no_speech_prob, taps, stats)?;
            let failed =
                decoded.verdict != Verdict::Silence && quality::lost(&decoded.attempt, decoded.compression_ratio, &plan.options.quality);
            match plan.options.window.next(frames, short).filter(|_| failed && retries > 0) {
                Some(larger) => frames = larger,
                None => break decoded,
            }
            retries -= 1;
            stats.window_retries += 1;
        };
        for index in 1..plan.options.quality.temperatures.len() {
            if decoded.verdict != Verdict::Retry {
                break;
            }
            stats.fallbacks += 1;
            let next = self.attempt(plan, index, decoded.no_speech_prob, taps, stats)?;
            decoded = better(decoded, next, plan.options.quality.max_compression_ratio);
        }
        let drop = match decoded.verdict {
            Verdict::Keep => false,
            Verdict::Silence => true,
            Verdict::Retry => quality::is_guess(&decoded.attempt, decoded.no_speech_prob, &plan.options.quality),
        };
        Ok((!drop).then_some(decoded))
    }

    fn encode(&mut self, slider: &Slider<'_>, frames: usize, taps: &mut DigestTaps, stats: &mut Stats) -> Result<(), TranscribeError> {
        let clock = Instant::now();
        let bands = self.engine.dims().n_mels;
        self.mel.resize(frames * bands, 0.0);
        let (samples, start) = slider.around();
        self.log_mel.window(samples, start, &mut self.mel, &mut self.mel_scratch).map_err(|_| TranscribeError::MelBands { bands })?;
        taps.mel(&self.mel, bands);
        stats.mel_seconds += clock.elapsed().as_secs_f64();

        let clock = Instant::now();
        self.engine.encode(&self.mel, frames)?;
        taps.encoder(self.engine.encoder_output());
        stats.encode_seconds += clock.elapsed().as_secs_f64();
        stats.windows += 1;
        Ok(())
    }

    /// Feeds the prompt, finding the language first if it is not known yet; returns the no-speech probability.
    fn start(&mut self, plan: &mut Plan<'_>, taps: &mut DigestTaps, stats: &mut Stats) -> Result<f32, TranscribeError> {
        let clock = Instant::now();
        let Self { engine, decoder, specials, .. } = self;
        let unknown = plan.language.is_none();
        if unknown {
            let logits = decoder.start(engine, specials.sot, taps)?;
            plan.language = language::detect(specials, logits);
        }
        plan.prompt.after.clear();
        if specials.multilingual {
            let task = match plan.options.task {
                Task::Transcribe => specials.transcribe,
                Task::Translate => specials.translate,
            };
            plan.prompt.after.extend(plan.language.as_deref().and_then(|code| specials.language_token(code)));
            plan.prompt.after.extend(task);
        }
        if !plan.options.timestamps {
            plan.prompt.after.push(specials.no_timestamps);
        }
        if unknown && plan.prompt.before.is_empty() {
            decoder.finish_prompt(engine, &plan.prompt.after, taps)?;
        } else {
            decoder.prompt(engine, &plan.prompt, taps)?;
        }
        let no_speech_prob = specials.no_speech.map_or(0.0, |token| probability(engine, decoder.sot_logits(), token));
        stats.decode_seconds += clock.elapsed().as_secs_f64();
        Ok(no_speech_prob)
    }

    fn attempt(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        no_speech_prob: f32,
        taps: &mut DigestTaps,
        stats: &mut Stats,
    ) -> Result<Decoded, TranscribeError> {
        let quality = &plan.options.quality;
        let temperature = quality.temperatures.get(index).copied().unwrap_or(0.0);
        let mut rng = Rng::new(quality.seed.wrapping_add(index as u64));
        let clock = Instant::now();
        let eot = self.specials.eot;
        let attempt = self.decoder.attempt(&mut self.engine, &plan.rules, eot, plan.limits, temperature, &mut rng, taps)?;
        stats.decode_seconds += clock.elapsed().as_secs_f64();
        taps.attempt(index, &attempt.tokens, &attempt.logprobs, attempt.avg_logprob);
        let text = self.text(&attempt.tokens)?;
        let compression_ratio = self.compressor.ratio(text.trim());
        let verdict = quality::judge(&attempt, compression_ratio, no_speech_prob, quality);
        Ok(Decoded { attempt, compression_ratio, no_speech_prob, verdict })
    }

    /// The text of the tokens that are text.
    fn text(&self, tokens: &[u32]) -> Result<String, TranscribeError> {
        Ok(self.tokenizer()?.decode(tokens.iter().copied().filter(|&token| token < self.specials.eot)))
    }

    /// Hands out the window's segments; returns the frames until the next window.
    #[allow(clippy::too_many_arguments)]
    fn emit(
        &mut self,
        decoded: &Decoded,
        slider: &Slider<'_>,
        seek: u64,
        left: usize,
        plan: &Plan<'_>,
        taps: &DigestTaps,
        summary: &mut Summary,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<usize, TranscribeError> {
        let tokens = &decoded.attempt.tokens;
        let split = segments::split(tokens, &self.specials, left);
        let mut advance = split.advance;
        let window_seconds = left as f64 / FRAMES_PER_SECOND as f64;
        let mut pieces = split.pieces;
        let mut words = vec![None; pieces.len()];
        if plan.options.word_timestamps {
            let clock = Instant::now();
            words = self.align_words(decoded, slider, left, plan, &mut pieces)?;
            summary.stats.align_seconds += clock.elapsed().as_secs_f64();
            if !split.complete
                && let Some(end) = words.iter().flatten().flatten().map(|word| word.end).next_back()
            {
                let frames = (end * FRAMES_PER_SECOND as f64).round() as usize;
                if (1..=left).contains(&frames) {
                    advance = frames;
                }
            }
        }
        let offset = seek as f64 / FRAMES_PER_SECOND as f64;
        for (piece, words) in pieces.into_iter().zip(words) {
            let own = &tokens[piece.tokens.clone()];
            let text = self.text(own)?;
            if piece.start == piece.end || !text.contains(char::is_alphanumeric) {
                continue;
            }
            let segment = Segment {
                id: summary.segments,
                seek,
                start: centiseconds(offset + piece.start.min(window_seconds)),
                end: centiseconds(offset + piece.end.min(window_seconds)),
                text,
                tokens: own.to_vec(),
                temperature: decoded.attempt.temperature,
                avg_logprob: decoded.attempt.avg_logprob,
                compression_ratio: decoded.compression_ratio,
                no_speech_prob: decoded.no_speech_prob,
                words: words.map(|words| words.into_iter().map(|word| shifted(word, offset)).collect()),
            };
            let words = segment.words.iter().flatten().map(|word| (word.start, word.end));
            let times = std::iter::once((segment.start, segment.end)).chain(words);
            taps.times(segment.id, times.map(|(start, end)| [hundredths(start), hundredths(end)]));
            on_told(Told::Segment(segment));
            summary.segments += 1;
        }
        Ok(advance)
    }

    /// Words of each piece, in seconds from the window's start; each piece with words takes its times from them.
    fn align_words(
        &mut self,
        decoded: &Decoded,
        slider: &Slider<'_>,
        left: usize,
        plan: &Plan<'_>,
        pieces: &mut [Piece],
    ) -> Result<Vec<Option<Vec<Word>>>, TranscribeError> {
        let eot = self.specials.eot;
        let spoken: Vec<usize> =
            pieces.iter().flat_map(|piece| piece.tokens.clone()).filter(|&i| decoded.attempt.tokens[i] < eot).collect();
        let text: Vec<u32> = spoken.iter().map(|&i| decoded.attempt.tokens[i]).collect();
        if text.is_empty() {
            return Ok(vec![Some(Vec::new()); pieces.len()]);
        }

        let firsts = self.first_seconds(&text, left, plan)?;
        let unspaced = plan.language.as_deref().is_some_and(super::languages::is_unspaced);
        let spans = words::split(self.tokenizer()?, &text, unspaced);
        let spans = words::merge_punctuation(spans);
        let mut times: Vec<Times> =
            spans.iter().map(|span| Times { start: firsts[span.tokens.start], end: firsts[span.tokens.end] }).collect();
        if plan.options.refine_words {
            self.envelope.measure(slider.window(left));
            refine::refine(&mut times, &self.envelope, &Refine::default());
        }

        let mut all = spans.into_iter().zip(times).peekable();
        let mut seen = 0;
        let mut result = Vec::with_capacity(pieces.len());
        for piece in pieces {
            seen += piece.tokens.clone().filter(|&i| decoded.attempt.tokens[i] < eot).count();
            let mut words = Vec::new();
            while let Some((span, times)) = all.next_if(|(span, _)| span.tokens.start < seen) {
                let logprobs = span.tokens.clone().map(|i| decoded.attempt.logprobs[spoken[i]]);
                let probability = logprobs.map(super::scores::exp).sum::<f32>() / span.tokens.len() as f32;
                words.push(Word { word: span.text, start: times.start, end: times.end, probability });
            }
            if let (Some(first), Some(last)) = (words.first(), words.last()) {
                piece.start = first.start;
                piece.end = last.end;
            }
            result.push(Some(words));
        }
        Ok(result)
    }

    /// When each text token starts, in seconds from the window's start, and at last when the text ends.
    fn first_seconds(&mut self, text: &[u32], left: usize, plan: &Plan<'_>) -> Result<Vec<f64>, TranscribeError> {
        let Self { engine, aligner, align_tokens: tokens, specials, config, .. } = self;
        tokens.clear();
        tokens.push(specials.sot);
        tokens.extend(plan.prompt.after.iter().filter(|&&token| token != specials.no_timestamps));
        tokens.push(specials.no_timestamps);
        let first_row = tokens.len() - 1;
        tokens.extend_from_slice(text);
        tokens.push(specials.eot);

        engine.align(tokens, &config.alignment_heads)?;
        let stride = engine.encoder_output().len() / engine.dims().d_model;
        let shape = Shape {
            tokens: tokens.len(),
            stride,
            positions: (left / FRAMES_PER_POSITION).clamp(1, stride),
            // The row of a token is that of the token before it, which predicts it; the last one predicts the end of text.
            rows: first_row..first_row + text.len() + 1,
        };
        let heads = config.alignment_heads.len();
        let firsts = aligner.first_positions(heads, &shape, |head, out| engine.head_weights(head, out))?;
        Ok(firsts.iter().map(|&position| position as f64 * SECONDS_PER_TIMESTAMP).collect())
    }
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

/// The one to keep: a repetitive text gives way to any other; otherwise the new one if it is good or likelier.
fn better(old: Decoded, new: Decoded, max_compression_ratio: f32) -> Decoded {
    let repetitive = |d: &Decoded| d.attempt.looped || d.compression_ratio > max_compression_ratio;
    let keep_old = new.verdict == Verdict::Retry
        && match (repetitive(&old), repetitive(&new)) {
            (false, true) => true,
            (true, false) => false,
            _ => old.attempt.avg_logprob >= new.attempt.avg_logprob,
        };
    if keep_old { old } else { new }
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
