//! Second choices: a greedy text is decoded again from its most doubtful word with the word that came second there, and the likelier text is
//! kept.
//!
//! This is limited discrepancy search (W. D. Harvey and M. L. Ginsberg, Limited discrepancy search, IJCAI 1995) over a decoder: where a greedy
//! choice was wrong, the words after it become unlikely, and the text as a whole tells. It costs less than a beam, because clear words are
//! decoded once, and most second choices are given up after a few words.

use ossicle_kernels::simd::Isa;

use super::attempt::Attempt;
use super::scores;

/// A second choice is tried if its logit is less than this below the first's.
const MOST_MARGIN: f32 = 1.0;
/// A token likelier than this has no second choice so close: `-ln(1 + exp(-MOST_MARGIN))`.
pub(super) const DOUBTFUL_LOGPROB: f32 = -0.313;
/// A text that says as many tokens as the other one in a row has come back to it.
pub(super) const REJOINED: usize = 2;

/// A place in a greedy text where another token was nearly as likely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Doubt {
    /// Tokens before it.
    pub(super) at: usize,
    /// The second choice.
    token: u32,
    logprob: f32,
    /// By how much the first choice was likelier.
    pub(super) margin: f32,
}

impl Doubt {
    /// The second choice to `token`, if it is a word (below `eot`) and close. The logits are as before on return.
    pub(super) fn at(at: usize, isa: Isa, logits: &mut [f32], token: usize, logprob: f32, eot: u32) -> Option<Self> {
        let first = std::mem::replace(&mut logits[token], f32::NEG_INFINITY);
        let second = scores::argmax(isa, logits);
        logits[token] = first;
        let margin = first - logits[second];
        let second = second as u32;
        (second < eot && margin < MOST_MARGIN).then_some(Self { at, token: second, logprob: logprob - margin, margin })
    }
}

/// Another text from a doubt on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detour<'a> {
    pub(super) from: &'a Attempt,
    pub(super) doubt: Doubt,
}

impl Detour<'_> {
    /// Fills an attempt with the words before the doubt, and the second choice.
    pub(super) fn begin(&self, attempt: &mut Attempt) {
        let Doubt { at, token, logprob, .. } = self.doubt;
        attempt.tokens.extend_from_slice(&self.from.tokens[..at]);
        attempt.logprobs.extend_from_slice(&self.from.logprobs[..at]);
        attempt.tokens.push(token);
        attempt.logprobs.push(logprob);
    }

    /// Whether this text will hardly be likelier than the other: it could not be even if all that is to come were certain, or it has come
    /// back to the other's words and was less likely so far.
    pub(super) fn is_lost(&self, attempt: &Attempt, sum_logprob: f32) -> bool {
        let (tokens, from) = (&attempt.tokens, &self.from.tokens);
        if sum_logprob / (tokens.len().max(from.len()) + 1) as f32 <= self.from.avg_logprob {
            return true;
        }
        let said = tokens.len() - self.doubt.at - 1;
        if said < REJOINED {
            return false;
        }
        let last = &tokens[tokens.len() - REJOINED..];
        let mut behind = self.doubt.at + 1;
        let meets = from[behind..].windows(REJOINED).position(|words| words == last);
        let Some(position) = meets else { return false };
        behind += position + REJOINED;
        let mean = |logprobs: &[f32]| logprobs.iter().sum::<f32>() / logprobs.len() as f32;
        mean(&attempt.logprobs) <= mean(&self.from.logprobs[..behind])
    }
}
