//! Attempts, and their second choices.

use super::attempt::{Attempt, Task};
use super::decode::Decoder;
use super::engine::{Engine, EngineError};
use super::sampling::Rng;
use super::second_choice::Detour;
use crate::digest::DigestTaps;

impl Decoder {
    /// Produces text after the prompt; may be called again for another attempt on the same window.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn attempt<E: Engine>(
        &mut self,
        engine: &mut E,
        task: &Task<'_>,
        rng: &mut Rng,
        taps: &mut DigestTaps,
    ) -> Result<Attempt, EngineError> {
        let first = self.produce(engine, task, None, rng, taps)?;
        if task.temperature > 0.0 { Ok(first) } else { self.reconsider(engine, task, first, rng, taps) }
    }

    /// Tries the second choices of a greedy text, the closest first; keeps the likelier text each time.
    fn reconsider<E: Engine>(
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
    use super::super::attempt::Limits;
    use super::super::decode::Prompt;
    use super::super::fake::{Fake, Script};
    use super::super::rules::Rules;
    use super::super::second_choice::REJOINED;
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
