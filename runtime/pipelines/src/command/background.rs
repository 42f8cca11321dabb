//! What was said, whatever it was: free decoding, against which the sentences have to hold their own.

use crate::whisper::engine::{Engine, EngineError, LogitsFor};
use crate::whisper::repetition::ends_in_loop;
use crate::whisper::scores;

/// Tokens of one step that count as likely: this far below the best (natural logarithm) ...
const LIKELY: f32 = 6.0;
/// ... and at most this many.
const LIKELY_TOKENS: usize = 12;

/// The greedy text of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Background {
    /// Tokens, the end of text left out.
    pub tokens: Vec<u32>,
    /// Natural logarithm of the text's probability, its end included if it came.
    pub logprob: f32,
    /// Tokens that were likely at any step, sorted.
    pub rivals: Vec<u32>,
    /// Whether the end of text came.
    pub finished: bool,
}

/// Decodes greedily after the prompt, whose logits were `after_prompt`; tokens above `eot` play no part,
/// `suppressed` ones never come, `eot` not at once.
///
/// # Errors
/// If the engine fails.
pub fn decode<E: Engine>(
    engine: &mut E,
    after_prompt: &[f32],
    eot: u32,
    suppressed: &[u32],
    max_tokens: usize,
) -> Result<Background, EngineError> {
    let isa = engine.isa();
    let room = engine.dims().max_tokens.saturating_sub(engine.position());
    let last = eot as usize + 1;
    let mut logits = after_prompt[..last].to_vec();
    let mut background = Background::default();
    for _ in 0..max_tokens.min(room) {
        for &token in suppressed {
            logits[token as usize] = f32::NEG_INFINITY;
        }
        collect_likely(isa, &logits, &mut background.rivals);
        let total = scores::log_sum_exp(isa, &logits);
        if background.tokens.is_empty() {
            logits[eot as usize] = f32::NEG_INFINITY;
        }
        let token = scores::argmax(isa, &logits);
        let logprob = logits[token] - total;
        background.logprob += logprob;
        if token as u32 == eot {
            background.finished = true;
            break;
        }
        background.tokens.push(token as u32);
        if ends_in_loop(&background.tokens) {
            break;
        }
        let next = engine.decode(&[token as u32], LogitsFor::Last)?;
        logits.copy_from_slice(&next[..last]);
    }
    background.rivals.sort_unstable();
    background.rivals.dedup();
    Ok(background)
}

fn collect_likely(isa: ossicle_kernels::simd::Isa, logits: &[f32], out: &mut Vec<u32>) {
    let hopeful = scores::max(isa, logits) - LIKELY;
    let first = out.len();
    out.extend((0..).zip(logits).filter(|(_, logit)| **logit > hopeful).map(|(token, _)| token));
    let mut likely = out.split_off(first);
    likely.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    likely.truncate(LIKELY_TOKENS);
    out.extend(likely);
}
