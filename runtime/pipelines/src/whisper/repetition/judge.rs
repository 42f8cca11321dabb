//! Texts that repeat themselves, judged by where in the recording the copies lie.

use super::super::align::Shape;
use super::super::attempt::Attempt;
use super::super::attempts::Decoded;
use super::super::engine::Engine;
use super::super::error::TranscribeError;
use super::super::memory::ALIGNED_PROMPT;
use super::super::options::Quality;
use super::super::pipeline::{FRAMES_PER_POSITION, Pipeline, Plan};
use super::super::quality::{self, Verdict};
use super::super::slider::Slider;
use super::super::transcript::Stats;
use super::copies;
use crate::digest::DigestTaps;

/// Positions of 20 ms from where a token's attention is largest to its end, about.
const TOKEN_POSITIONS: usize = 10;

/// A token in a text, and the position where what comes before it ends.
struct Place {
    token: usize,
    position: usize,
}

impl<E: Engine> Pipeline<E> {
    /// Where to part a window whose text says a phrase over and over: with fewer repeats the decoder keeps count.
    pub(in super::super) fn parted(&self, decoded: &Decoded, slider: &Slider<'_>, left: usize, quality: &Quality) -> Option<usize> {
        let counts = decoded.verdict == Verdict::Retry || quality.loop_guard && copies::says_thrice(&self.spoken(&decoded.attempt));
        counts.then(|| slider.pause(left)).flatten()
    }

    fn spoken(&self, attempt: &Attempt) -> Vec<u32> {
        attempt.tokens.iter().copied().filter(|&token| token < self.specials.eot).collect()
    }

    /// Judges a text that repeats itself by where its copies lie: what is said again is kept, however often.
    pub(in super::super) fn said_again(
        &mut self,
        decoded: Decoded,
        left: usize,
        plan: &mut Plan<'_>,
        taps: &mut DigestTaps,
        stats: &mut Stats,
    ) -> Result<Decoded, TranscribeError> {
        // Where perhaps nobody speaks, the attention has nothing to lie on and says nothing.
        let doubtful = quality::is_doubtful(decoded.no_speech_prob, &plan.options.quality);
        if doubtful || self.config.alignment_heads.is_empty() {
            return Ok(decoded);
        }
        let first_false = self.first_false(&decoded.attempt, left, plan)?;
        self.start(plan, taps, stats)?;
        let mut decoded = match first_false {
            None if decoded.attempt.looped => {
                let guarded = std::mem::replace(&mut plan.limits.loop_guard, false);
                let whole = self.attempt(plan, 0, decoded.no_speech_prob, taps, stats);
                plan.limits.loop_guard = guarded;
                let whole = whole?;
                let first_false = self.first_false(&whole.attempt, left, plan)?;
                self.start(plan, taps, stats)?;
                self.cut(whole, first_false, plan.options.timestamps)
            }
            None => decoded,
            Some(_) => return Ok(decoded),
        };
        let quality = &plan.options.quality;
        let ratio = decoded.compression_ratio.min(quality.max_compression_ratio);
        decoded.verdict = quality::judge(&decoded.attempt, ratio, decoded.no_speech_prob, quality, plan.short_speech);
        Ok(decoded)
    }

    /// The text as far as it does not say again what lies on the same sound.
    pub(in super::super) fn without_copies(&mut self, decoded: Decoded, left: usize, plan: &Plan<'_>) -> Result<Decoded, TranscribeError> {
        if !copies::has_copy(&self.spoken(&decoded.attempt)) || !plan.options.quality.loop_guard || self.config.alignment_heads.is_empty() {
            return Ok(decoded);
        }
        let first_false = self.first_false(&decoded.attempt, left, plan)?;
        Ok(self.cut(decoded, first_false, plan.options.timestamps))
    }

    /// The text up to a place, closed there by a timestamp if it has any.
    fn cut(&self, mut decoded: Decoded, at: Option<Place>, timestamps: bool) -> Decoded {
        let Some(Place { token, position }) = at else { return decoded };
        let begin = self.specials.timestamp_begin;
        let attempt = &mut decoded.attempt;
        let is_timestamp = |token: u32| self.specials.is_timestamp(token);
        let time = |token: u32| (token - begin) as usize;
        // Of two timestamps that meet there, the first one closes the text.
        let text = token - attempt.tokens[..token].iter().rev().take_while(|&&token| is_timestamp(token)).count();
        let end = match attempt.tokens[text..token].first() {
            Some(&closing) => time(closing),
            None => {
                // The attention is not exact: the text ends after what has been closed before.
                let before = attempt.tokens[..token].iter().rev().find(|&&token| is_timestamp(token)).map_or(0, |&token| time(token) + 1);
                position.max(before)
            }
        };
        attempt.tokens.truncate(text);
        attempt.logprobs.truncate(text);
        attempt.avg_logprob = attempt.logprobs.iter().sum::<f32>() / attempt.logprobs.len().max(1) as f32;
        if timestamps {
            attempt.tokens.push(begin + end as u32);
            attempt.logprobs.push(0.0);
        }
        attempt.finished = true;
        decoded.ends_at = Some(end * FRAMES_PER_POSITION);
        decoded
    }

    /// The first token of a phrase that repeats another on the same sound, and the position where the text before it ends.
    fn first_false(&mut self, attempt: &Attempt, left: usize, plan: &Plan<'_>) -> Result<Option<Place>, TranscribeError> {
        let eot = self.specials.eot;
        let spoken: Vec<usize> = (0..attempt.tokens.len()).filter(|&i| attempt.tokens[i] < eot).collect();
        let text: Vec<u32> = spoken.iter().map(|&i| attempt.tokens[i]).collect();
        let fits = text.len() + ALIGNED_PROMPT <= self.engine.dims().max_tokens;
        if text.is_empty() || !fits {
            return Ok(None);
        }
        let first_row = self.align(&text, plan)?;
        let Self { engine, aligner, align_tokens, config, .. } = self;
        let stride = engine.encoder_output().len() / engine.dims().d_model;
        let positions = (left / FRAMES_PER_POSITION).clamp(1, stride);
        // The row of a token is that of the token before it, which predicts it.
        let shape = Shape { tokens: align_tokens.len(), stride, positions, rows: first_row..first_row + text.len() };
        let heads = config.alignment_heads.len();
        let peaks = aligner.peaks(heads, &shape, |head, out| engine.head_weights(head, out))?;
        let found = copies::first_false(&text, &peaks);
        let end = |i: usize| peaks[..i].last().map_or(0, |&last| (last + TOKEN_POSITIONS).min(positions));
        Ok(found.map(|i| Place { token: spoken[i], position: end(i) }))
    }
}
