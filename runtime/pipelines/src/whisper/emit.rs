//! What becomes of a window's text: segments with their times, or a word on why there are none.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::attempts::Decoded;
use super::engine::Engine;
use super::error::TranscribeError;
use super::language;
use super::memory::ALIGNED_PROMPT;
use super::options::Quality;
use super::pipeline::{Pipeline, Plan, seconds};
use super::quality;
use super::segments::{self, Piece, Split};
use super::short_windows::FRAMES_PER_SECOND;
use super::slider::Slider;
use super::transcript::{DropReason, Dropped, Segment, Summary, Told, Word};
use crate::digest::DigestTaps;

/// One recording on its way.
pub(super) struct Run<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) taps: DigestTaps,
    pub(super) summary: Summary,
    pub(super) likelihood: Likelihood,
    /// What nobody has taken yet.
    pub(super) told: VecDeque<Told>,
}

/// How likely a recording's text is.
#[derive(Default)]
pub(super) struct Likelihood {
    sum: f64,
    tokens: usize,
}

impl Likelihood {
    fn add(&mut self, avg_logprob: f32, tokens: usize) {
        self.sum += f64::from(avg_logprob) * tokens as f64;
        self.tokens += tokens;
    }

    pub(super) fn doubts_language(&self, quality: &Quality) -> bool {
        quality::doubts_language((self.sum / self.tokens.max(1) as f64) as f32, self.tokens, quality)
    }
}

impl<E: Engine> Pipeline<E> {
    /// Reports a text that is not in the transcript, if it has any words.
    pub(super) fn drop_text(
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

    /// Hands out the window's segments; returns the frames until the next window.
    pub(super) fn emit(
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
        let fits = text.len() + ALIGNED_PROMPT <= self.engine.dims().max_tokens;
        if !unclosed || text.is_empty() || !fits || self.config.alignment_heads.is_empty() {
            return Ok(end);
        }
        Ok(self.first_seconds(&text, left, &run.plan)?.last().map_or(end, |&said| end.min(said)))
    }
}

/// Reports a text that is not in the transcript.
fn tell_dropped(decoded: &Decoded, reason: DropReason, text: String, seek: u64, frames: Range<usize>, run: &mut Run<'_>) {
    let [start, end] = [frames.start, frames.end].map(|frame| centiseconds(seconds(seek as usize + frame)));
    let Decoded { no_speech_prob, ref attempt, .. } = *decoded;
    run.told.push_back(Told::Dropped(Dropped { start, end, reason, text, avg_logprob: attempt.avg_logprob, no_speech_prob }));
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
    run.told.push_back(Told::Segment(segment));
    run.summary.segments += 1;
}

fn in_frames(seconds: f64) -> usize {
    (seconds * FRAMES_PER_SECOND as f64).round() as usize
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
