//! Second choices: a greedy text is decoded again from its most doubtful word with the word that came second there, and the likelier text is
//! kept.
//!
//! This is limited discrepancy search (W. D. Harvey and M. L. Ginsberg, Limited discrepancy search, IJCAI 1995) over a decoder: where a greedy
//! choice was wrong, the words after it become unlikely, and the text as a whole tells. It costs less than a beam, because clear words are
//! decoded once, and most second choices are given up after a few words.

use ossicle_kernels::simd::Isa;

use super::decode::{Attempt, Decoder, Task};
use super::engine::{Engine, EngineError};
use super::sampling::Rng;
use super::scores;
use crate::digest::DigestTaps;

/// A second choice is tried if its logit is less than this below the first's.
const MOST_MARGIN: f32 = 1.0;
/// A token likelier than this has no second choice so close: `-ln(1 + exp(-MOST_MARGIN))`.
pub(super) const DOUBTFUL_LOGPROB: f32 = -0.313;
/// A text that says as many tokens as the other one in a row has come back to it.
const REJOINED: usize = 2;

/// A place in a greedy text where another token was nearly as likely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Doubt {
    /// Tokens before it.
    at: usize,
    /// The second choice.
    token: u32,
    logprob: f32,
    /// By how much the first choice was likelier.
    margin: f32,
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
    from: &'a Attempt,
    doubt: Doubt,
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

impl Decoder {
    /// Tries the second choices of a greedy text, the closest first; keeps the likelier text each time.
    pub(super) fn reconsider<E: Engine>(
        &mut self,
        engine: &mut E,
        task: &Task<'_>,
        first: Attempt,
        rng: &mut Rng,
        taps: &mut DigestTaps,
    ) -> Result<Attempt, EngineError> {
        let mut best = first;
        let mut doubts = std::mem::take(&mut self.doubts);
        for _ in 0..task.limits.second_choices {
            if !best.finished {
                break;
            }
            let Some(closest) = (0..doubts.len()).min_by(|&a, &b| doubts[a].margin.total_cmp(&doubts[b].margin)) else { break };
            let doubt = doubts.remove(closest);
            let next = self.produce(engine, task, Some(&Detour { from: &best, doubt }), rng, taps)?;
            if next.finished && next.avg_logprob > best.avg_logprob {
                doubts.retain(|earlier| earlier.at < doubt.at);
                doubts.append(&mut self.doubts);
                best = next;
            }
        }
        self.doubts = doubts;
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Limits, Prompt};
    use super::super::fake::{Fake, Script};
    use super::super::rules::Rules;
    use super::super::specials::Specials;
    use super::super::specials::tests::{SMALL_VOCAB, small};
    use super::*;

    const EOT: u32 = 50;
    const FIRST: [u32; 8] = [1, 2, 3, 4, 5, 6, 10, 11];

    /// The text of a script, and how many decoder steps it took.
    fn decoded(script: Script, second_choices: usize) -> (Attempt, usize) {
        let rules = Rules::new(&Specials::new(&small(), SMALL_VOCAB).unwrap(), &[], &[], None);
        let limits = Limits { max_new_tokens: 224, loop_guard: true, second_choices };
        let task = Task { rules: &rules, eot: EOT, limits, temperature: 0.0 };
        let (mut engine, mut decoder, taps) = (Fake::new(vec![script]), Decoder::default(), &mut DigestTaps::new(false));
        engine.encode(&vec![0.0; 3000 * 80], 3000).unwrap();
        decoder.prompt(&mut engine, &Prompt { before: vec![], sot: 51, after: vec![52, 55] }, taps).unwrap();
        let attempt = decoder.attempt(&mut engine, &task, &mut Rng::new(1), taps).unwrap();
        (attempt, decoder.steps)
    }

    /// Each word of the first text has a probability of 0.63; the second choice is nearly as likely, and what follows it is certain.
    fn wrong_turn() -> Script {
        Script::says(&FIRST).confidence(4.5).or(2, 4.0, &[1, 2, 20, 21, 22, 23], 30.0)
    }

    #[test]
    fn the_likelier_text_wins_where_the_first_choice_was_wrong() {
        assert_eq!(decoded(wrong_turn(), 0).0.tokens, FIRST);
        let (attempt, _) = decoded(wrong_turn(), 1);
        assert_eq!(attempt.tokens, [1, 2, 20, 21, 22, 23]);
        assert!(attempt.finished);
        assert_eq!(attempt.logprobs.len(), 6);
        let sum: f32 = attempt.logprobs.iter().sum();
        assert!((attempt.avg_logprob - sum / 7.0).abs() < 1e-3, "the end of text is as good as certain here");
    }

    #[test]
    fn a_second_choice_that_leads_nowhere_is_given_up_early() {
        let sure = decoded(Script::says(&FIRST).confidence(4.5).or(2, 4.0, &[1, 2, 20, 21, 22, 23, 24, 25], 2.0), 1);
        assert_eq!(sure.0.tokens, FIRST);
        let (first, all) = (decoded(wrong_turn(), 0).1, decoded(wrong_turn(), 1).1);
        assert!(sure.1 - first < all - first, "{} {first} {all}", sure.1);
    }

    #[test]
    fn a_text_that_comes_back_to_the_first_is_not_decoded_to_its_end() {
        let long: Vec<u32> = (0..40).map(|i| i % 49).collect();
        let mut other = long.clone();
        other[2] = 45;
        let steps = |n| decoded(Script::says(&long).confidence(4.5).or(2, 4.0, &other, 4.5), n);
        assert_eq!(steps(1).0.tokens, long);
        assert_eq!(steps(1).1 - steps(0).1, 1 + REJOINED - 1);
    }

    #[test]
    fn what_is_certain_or_far_apart_is_not_tried() {
        for (confidence, second) in [(30.0, 28.0), (4.5, 3.4)] {
            let script = Script::says(&FIRST).confidence(confidence).or(2, second, &[1, 2, 20, 21, 22, 23], 30.0);
            assert_eq!(decoded(script.clone(), 4), decoded(script, 0));
        }
    }

    #[test]
    fn a_second_choice_goes_on_from_its_own_text_after_another_was_given_up() {
        // The closest one, at 2, leads nowhere; what it left in the cache must not be taken for the words before the one at 5, which wins.
        let script = Script::says(&FIRST).confidence(4.5).or(2, 4.2, &[1, 2, 20, 21, 22, 23, 24, 25], 2.0);
        let script = script.or(5, 4.0, &[1, 2, 3, 4, 5, 30, 31, 32], 30.0);
        assert_eq!(decoded(script.clone(), 1).0.tokens, FIRST);
        assert_eq!(decoded(script, 2).0.tokens, [1, 2, 3, 4, 5, 30, 31, 32]);
    }
}
