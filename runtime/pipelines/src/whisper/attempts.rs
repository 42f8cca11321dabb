//! A window's text: attempts at it, and which one is kept.

use std::time::Instant;

use super::attempt::{self, Attempt};
use super::decode::probability;
use super::engine::Engine;
use super::error::TranscribeError;
use super::language;
use super::options::{Quality, Task};
use super::pipeline::{FRAMES_PER_POSITION, Pipeline, Plan, seconds};
use super::quality::{self, Verdict};
use super::sampling::Rng;
use super::slider::Slider;
use super::transcript::{DropReason, Stats};
use crate::digest::DigestTaps;

/// A window's text after all attempts, with what is known about it.
pub(super) struct Decoded {
    pub(super) attempt: Attempt,
    pub(super) compression_ratio: f32,
    pub(super) no_speech_prob: f32,
    pub(super) verdict: Verdict,
    /// Where the next window begins if the text was cut, in frames from the window's start.
    pub(super) ends_at: Option<usize>,
}

/// What came of a window.
pub(super) enum Outcome {
    /// A text.
    Text(Decoded),
    /// A text that is too doubtful.
    Dropped(Decoded, DropReason),
    /// A text that repeats itself; the window's parts may not. The first is this many frames long.
    Cut(usize),
}

impl<E: Engine> Pipeline<E> {
    /// Encodes and decodes one window of `left` frames.
    pub(super) fn decode_window(
        &mut self,
        slider: &Slider<'_>,
        left: usize,
        plan: &mut Plan<'_>,
        taps: &mut DigestTaps,
        stats: &mut Stats,
    ) -> Result<Outcome, TranscribeError> {
        plan.short_speech = slider.spoken(0, left).is_some_and(|(first, behind)| seconds(behind - first) < quality::SHORT_SPEECH_SECONDS);
        let short = self.config.short_windows;
        let mut frames = plan.options.window.frames(left, plan.options.timestamps, short);
        let mut retries = plan.options.window_retries;
        // The surest window counts: in a retried one there is more silence behind the sound.
        let mut no_speech_prob = 0.0f32;
        let mut decoded = loop {
            self.encode(slider, left, frames, taps, stats)?;
            plan.rules.set_window_end((frames / FRAMES_PER_POSITION) as u32);
            let of_window = self.start(plan, taps, stats)?;
            taps.no_speech(of_window);
            no_speech_prob = no_speech_prob.max(of_window);
            let decoded = self.attempt(plan, 0, no_speech_prob, taps, stats)?;
            let decoded = match decoded.verdict {
                Verdict::Silence => decoded,
                Verdict::Retry if !is_repetitive(&decoded, &plan.options.quality) => decoded,
                verdict => match self.parted(&decoded, slider, left, &plan.options.quality) {
                    Some(frames) => return Ok(Outcome::Cut(frames)),
                    None if verdict == Verdict::Keep => self.without_copies(decoded, left, plan)?,
                    None => self.said_again(decoded, left, plan, taps, stats)?,
                },
            };
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
        let one_language = !self.specials.multilingual;
        let reason = match decoded.verdict {
            Verdict::Keep => None,
            Verdict::Silence => Some(DropReason::NoSpeech),
            Verdict::Retry => quality::guess(&decoded.attempt, decoded.no_speech_prob, &plan.options.quality, one_language),
        };
        Ok(match reason {
            None => Outcome::Text(decoded),
            Some(reason) => Outcome::Dropped(decoded, reason),
        })
    }

    /// Encodes the window's first `left` frames in a window of `frames`.
    pub(super) fn encode(
        &mut self,
        slider: &Slider<'_>,
        left: usize,
        frames: usize,
        taps: &mut DigestTaps,
        stats: &mut Stats,
    ) -> Result<(), TranscribeError> {
        let clock = Instant::now();
        let bands = self.engine.dims().n_mels;
        self.mel.resize(frames * bands, 0.0);
        let (samples, start) = slider.around(left);
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
    pub(super) fn start(&mut self, plan: &mut Plan<'_>, taps: &mut DigestTaps, stats: &mut Stats) -> Result<f32, TranscribeError> {
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

    pub(super) fn attempt(
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
        let task = attempt::Task { rules: &plan.rules, eot: self.specials.eot, limits: plan.limits, temperature };
        let attempt = self.decoder.attempt(&mut self.engine, &task, &mut rng, taps)?;
        stats.decode_seconds += clock.elapsed().as_secs_f64();
        taps.attempt(index, &attempt.tokens, &attempt.logprobs, attempt.avg_logprob);
        let text = self.text(&attempt.tokens)?;
        let compression_ratio = self.compressor.ratio(text.trim());
        let verdict = quality::judge(&attempt, compression_ratio, no_speech_prob, quality, plan.short_speech);
        Ok(Decoded { attempt, compression_ratio, no_speech_prob, verdict, ends_at: None })
    }
}

fn is_repetitive(decoded: &Decoded, quality: &Quality) -> bool {
    decoded.attempt.looped || decoded.compression_ratio > quality.max_compression_ratio
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
