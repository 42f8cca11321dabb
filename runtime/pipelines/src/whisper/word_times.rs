//! Times of words, from the decoder's cross-attention.

use super::align::Shape;
use super::attempts::Decoded;
use super::engine::Engine;
use super::error::TranscribeError;
use super::languages;
use super::pipeline::{FRAMES_PER_POSITION, Pipeline, Plan};
use super::refine::{self, Refine, Times};
use super::segments::Piece;
use super::slider::Slider;
use super::specials::SECONDS_PER_TIMESTAMP;
use super::transcript::Word;
use super::{scores, words};

impl<E: Engine> Pipeline<E> {
    /// Words of each piece, in seconds from the window's start; each piece with words takes its times from them.
    pub(super) fn align_words(
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
        let unspaced = plan.language.as_deref().is_some_and(languages::is_unspaced);
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
                let probability = logprobs.map(scores::exp).sum::<f32>() / span.tokens.len() as f32;
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
    pub(super) fn first_seconds(&mut self, text: &[u32], left: usize, plan: &Plan<'_>) -> Result<Vec<f64>, TranscribeError> {
        let first_row = self.align(text, plan)?;
        let Self { engine, aligner, align_tokens: tokens, config, .. } = self;
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

    /// Feeds text to be aligned; gives the row that predicts its first token.
    pub(super) fn align(&mut self, text: &[u32], plan: &Plan<'_>) -> Result<usize, TranscribeError> {
        let Self { engine, align_tokens: tokens, specials, config, .. } = self;
        tokens.clear();
        tokens.push(specials.sot);
        tokens.extend(plan.prompt.after.iter().filter(|&&token| token != specials.no_timestamps));
        tokens.push(specials.no_timestamps);
        let first_row = tokens.len() - 1;
        tokens.extend_from_slice(text);
        tokens.push(specials.eot);
        engine.align(tokens, &config.alignment_heads)?;
        Ok(first_row)
    }
}
