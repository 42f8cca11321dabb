//! The likeliest texts of an automaton: beam search over token paths.
//!
//! All hypotheses grow by a token a step and are scored by their log-probability under the whole vocabulary, so that one with a single way
//! on pays for what was not said. Only few logits are computed for that: those the automaton allows and those of the rivals, the tokens
//! that free decoding found likely anywhere in the recording; the rest of the vocabulary has no share in what was said.

use super::automaton::Automaton;
use crate::whisper::engine::{EngineError, Lanes};
use crate::whisper::scores;

/// Bounds of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Hypotheses kept from step to step; held to 1 and what the engine has lanes for.
    pub beam: usize,
    /// Hypotheses this much less likely (natural logarithm) than the best are given up.
    pub spread: f32,
    /// Tokens of a text at most.
    pub max_tokens: usize,
    /// What each token adds to the logarithm of its text's probability when texts are compared: without it, the shorter of two wins too often
    /// where noise has made the rest unlikely.
    pub token_bonus: f32,
    /// Tokens of a text that add it: no more than were said, or longer texts would win for nothing.
    pub bonus_tokens: usize,
}

/// A beam of 8 within e^-5 of the best, texts of at most 96 tokens, those that were said worth 1 each.
impl Default for Limits {
    fn default() -> Self {
        Self { beam: 8, spread: 5.0, max_tokens: 96, token_bonus: 1.0, bonus_tokens: 0 }
    }
}

/// A complete text of the automaton.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Tokens, the end of text left out.
    pub tokens: Vec<u32>,
    /// Natural logarithm of the text's probability, its end included.
    pub logprob: f32,
    /// [`logprob`](Self::logprob) and the bonus of its tokens.
    pub score: f32,
    /// The least likely token's.
    pub least: f32,
}

/// Tokens that matter beside those of the automaton.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// The end of text; all tokens of text are below it, and those above play no part.
    pub eot: u32,
    /// Never allowed, sorted, below the end of text.
    pub suppressed: &'a [u32],
    /// Likely somewhere in the recording, sorted, none suppressed.
    pub rivals: &'a [u32],
}

#[derive(Clone, Copy, Debug)]
struct Hypothesis<S> {
    state: S,
    logprob: f32,
    /// With the bonus of its tokens.
    score: f32,
    least: f32,
    /// The lane that this continues.
    parent: usize,
    /// The last token's place in the history.
    step: usize,
    token: u32,
}

/// Working memory of a search, reused from search to search.
#[derive(Debug)]
pub struct Search<S> {
    hypotheses: Vec<Hypothesis<S>>,
    candidates: Vec<Hypothesis<S>>,
    /// Tokens of all hypotheses, each with the place of the one before it.
    history: Vec<(usize, u32)>,
    arcs: Vec<(u32, S)>,
    wanted: Vec<u32>,
    logits: Vec<f32>,
    parents: Vec<usize>,
    tokens: Vec<u32>,
    /// Steps of the engine since the start.
    pub steps: usize,
}

impl<S> Default for Search<S> {
    fn default() -> Self {
        Self {
            hypotheses: Vec::new(),
            candidates: Vec::new(),
            history: Vec::new(),
            arcs: Vec::new(),
            wanted: Vec::new(),
            logits: Vec::new(),
            parents: Vec::new(),
            tokens: Vec::new(),
            steps: 0,
        }
    }
}

/// No token before the first.
const NONE: usize = usize::MAX;

impl<S: Copy> Search<S> {
    /// The likeliest texts, best first, at most `limits.beam` of them; the engine has just been fed the prompt, after which it gave
    /// `after_prompt` for the whole vocabulary.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn run<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        after_prompt: &[f32],
        tokens: Tokens<'_>,
        limits: Limits,
    ) -> Result<Vec<Found>, EngineError> {
        let beam = limits.beam.clamp(1, engine.max_lanes());
        let room = engine.dims().max_tokens.saturating_sub(engine.position());
        let mut found: Vec<Found> = Vec::new();
        self.history.clear();
        self.hypotheses.clear();
        self.candidates.clear();
        let start = Hypothesis { state: automaton.start(), logprob: 0.0, score: 0.0, least: 0.0, parent: 0, step: NONE, token: 0 };
        self.logits.clear();
        self.logits.extend_from_slice(after_prompt);
        self.expand_all(engine.isa(), automaton, start, 0, tokens);
        engine.start_lanes()?;
        for step in 0..limits.max_tokens.min(room) {
            if step < limits.bonus_tokens {
                for candidate in &mut self.candidates {
                    candidate.score += limits.token_bonus;
                }
            }
            self.select(beam, limits.spread, found.first());
            if self.hypotheses.is_empty() {
                break;
            }
            self.advance(engine)?;
            for lane in 0..self.hypotheses.len() {
                let hypothesis = self.hypotheses[lane];
                if let Some(text) = self.expand(engine, automaton, hypothesis, lane, tokens)? {
                    let place = found.partition_point(|other| other.score >= text.score);
                    found.insert(place, text);
                    found.truncate(limits.beam);
                }
            }
        }
        Ok(found)
    }

    /// Keeps the best candidates as hypotheses and writes their tokens down.
    fn select(&mut self, beam: usize, spread: f32, found: Option<&Found>) {
        // Stable: of equals the first, which is the same everywhere.
        self.candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.candidates.truncate(beam);
        let best = self.candidates.first().map_or(f32::NEG_INFINITY, |best| best.score);
        let best = found.map_or(best, |found| best.max(found.score));
        self.candidates.retain(|candidate| candidate.score > best - spread);
        self.hypotheses.clear();
        for candidate in self.candidates.drain(..) {
            self.history.push((candidate.step, candidate.token));
            self.hypotheses.push(Hypothesis { step: self.history.len() - 1, ..candidate });
        }
    }

    fn advance<E: Lanes>(&mut self, engine: &mut E) -> Result<(), EngineError> {
        self.parents.clear();
        self.parents.extend(self.hypotheses.iter().map(|hypothesis| hypothesis.parent));
        self.tokens.clear();
        self.tokens.extend(self.hypotheses.iter().map(|hypothesis| hypothesis.token));
        self.steps += 1;
        engine.decode_lanes(&self.parents, &self.tokens)
    }

    /// Adds what may follow a hypothesis to the candidates; gives its text if it may end here.
    fn expand<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        hypothesis: Hypothesis<S>,
        lane: usize,
        tokens: Tokens<'_>,
    ) -> Result<Option<Found>, EngineError> {
        let state = hypothesis.state;
        if automaton.allows_text(state) {
            engine.lane_vocabulary(lane, &mut self.logits)?;
            return Ok(self.expand_all(engine.isa(), automaton, hypothesis, lane, tokens));
        }
        self.arcs.clear();
        automaton.arcs(state, &mut self.arcs);
        self.wanted.clear();
        self.wanted.push(tokens.eot);
        self.wanted.extend_from_slice(tokens.rivals);
        self.wanted.extend(self.arcs.iter().map(|arc| arc.0).filter(|token| tokens.suppressed.binary_search(token).is_err()));
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.logits.resize(self.wanted.len(), 0.0);
        engine.lane_logits(lane, &self.wanted, &mut self.logits)?;
        let total = scores::log_sum_exp(engine.isa(), &self.logits);
        let Self { arcs, wanted, logits, candidates, .. } = self;
        let logprob = |token: u32| wanted.binary_search(&token).map_or(f32::NEG_INFINITY, |place| logits[place] - total);
        for &(token, state) in &*arcs {
            candidates.extend(follow(hypothesis, lane, token, state, logprob(token)));
        }
        let end = logprob(tokens.eot);
        Ok(automaton.accepts(state).then(|| self.found(hypothesis, end)))
    }

    /// As [`expand`](Self::expand), from the logits of the whole vocabulary.
    fn expand_all<A: Automaton<State = S>>(
        &mut self,
        isa: ossicle_kernels::simd::Isa,
        automaton: &A,
        hypothesis: Hypothesis<S>,
        lane: usize,
        tokens: Tokens<'_>,
    ) -> Option<Found> {
        let state = hypothesis.state;
        self.logits.truncate(tokens.eot as usize + 1);
        for &token in tokens.suppressed {
            self.logits[token as usize] = f32::NEG_INFINITY;
        }
        let total = scores::log_sum_exp(isa, &self.logits);
        self.arcs.clear();
        automaton.arcs(state, &mut self.arcs);
        let Self { arcs, logits, candidates, .. } = self;
        for &(token, state) in &*arcs {
            candidates.extend(follow(hypothesis, lane, token, state, logits[token as usize] - total));
        }
        if automaton.allows_text(state) {
            // Most of the vocabulary is hopeless: what is far below the best never enters the beam.
            let text = &logits[..tokens.eot as usize];
            let hopeful = scores::max(isa, text) - TEXT_SPREAD;
            for (token, &logit) in (0..).zip(text).filter(|(_, logit)| **logit > hopeful) {
                if arcs.binary_search_by_key(&token, |arc| arc.0).is_err()
                    && let Some(next) = automaton.text(state, token)
                {
                    candidates.extend(follow(hypothesis, lane, token, next, logit - total));
                }
            }
        }
        let end = logits[tokens.eot as usize] - total;
        automaton.accepts(state).then(|| self.found(hypothesis, end))
    }

    fn found(&self, hypothesis: Hypothesis<S>, end: f32) -> Found {
        let mut tokens = Vec::new();
        let mut step = hypothesis.step;
        while let Some(&(before, token)) = self.history.get(step) {
            tokens.push(token);
            step = before;
        }
        tokens.reverse();
        Found { tokens, logprob: hypothesis.logprob + end, score: hypothesis.score + end, least: hypothesis.least.min(end) }
    }
}

/// How far below the best token of free text another may be.
const TEXT_SPREAD: f32 = 6.0;

fn follow<S: Copy>(from: Hypothesis<S>, lane: usize, token: u32, state: S, logprob: f32) -> Option<Hypothesis<S>> {
    let least = from.least.min(logprob);
    let next =
        Hypothesis { state, logprob: from.logprob + logprob, score: from.score + logprob, least, parent: lane, step: from.step, token };
    (logprob > f32::NEG_INFINITY).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::super::automaton::tests::Trie;
    use super::super::background;
    use super::*;
    use crate::whisper::engine::{Engine, LogitsFor};
    use crate::whisper::fake::{Fake, Script};

    const EOT: u32 = 50;

    /// The best texts of `sentences` when `said` is said, each step's token with a logit of `confidence` among 0s.
    fn search(said: &[u32], confidence: f32, sentences: &[&[u32]], free: Option<u32>) -> (Vec<Found>, background::Background) {
        let mut engine = Fake::new(vec![Script::says(said).confidence(confidence)]);
        engine.encode(&[0.0; 200 * 80], 200).unwrap();
        let after_prompt = engine.decode(&[51, 52, 55], LogitsFor::Last).unwrap().to_vec();
        let suppressed = [7, 8];
        let background = background::decode(&mut engine, &after_prompt, EOT, &suppressed, 30).unwrap();
        engine.rewind(3);
        let tokens = Tokens { eot: EOT, suppressed: &suppressed, rivals: &background.rivals };
        let trie = Trie::new(sentences, free);
        let limits = Limits { bonus_tokens: background.tokens.len(), spread: 12.0, ..Limits::default() };
        (Search::default().run(&mut engine, &trie, &after_prompt, tokens, limits).unwrap(), background)
    }

    #[test]
    fn what_was_said_wins_and_is_as_likely_as_when_decoded_freely() {
        let sentences: [&[u32]; 4] = [&[1, 2, 3], &[1, 2, 4], &[1, 2], &[5, 2, 3]];
        let (found, background) = search(&[1, 2, 4], 9.0, &sentences, None);
        assert_eq!(found[0].tokens, [1, 2, 4]);
        assert_eq!(background.tokens, [1, 2, 4]);
        // Of the tokens that nobody expects only the rest's small share is missing.
        assert!((found[0].logprob - background.logprob).abs() < 0.1, "{} {}", found[0].logprob, background.logprob);
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert_eq!(found[1].tokens, [1, 2, 3], "one token off");
        let most = background.tokens.len();
        assert_eq!(found[2].tokens, [1, 2], "one token short");
        let bonus = Limits::default().token_bonus;
        assert!(found.iter().all(|found| (found.score - found.logprob - bonus * found.tokens.len().min(most) as f32).abs() < 1e-4));
    }

    #[test]
    fn a_sentence_with_one_way_on_pays_for_what_was_not_said() {
        let (found, background) = search(&[1, 30, 31, 32], 9.0, &[&[1, 2, 3, 4]], None);
        assert_eq!(background.tokens, [1, 30, 31, 32]);
        let ratio = found.first().map_or(f32::NEG_INFINITY, |found| found.logprob - background.logprob);
        assert!(ratio < -20.0, "{ratio}");
    }

    #[test]
    fn suppressed_tokens_never_come() {
        let (found, background) = search(&[7, 2], 9.0, &[&[7, 2], &[3, 2]], None);
        assert_eq!(background.tokens[1..], [2]);
        assert!(found.iter().all(|found| found.tokens == [3, 2]));
    }

    #[test]
    fn free_text_takes_what_was_said() {
        let (found, _) = search(&[1, 20, 33, 21], 9.0, &[&[1], &[2]], Some(1));
        assert_eq!(found[0].tokens, [1, 20, 33, 21]);
    }

    #[test]
    fn nothing_of_an_empty_set() {
        let (found, _) = search(&[1], 9.0, &[], None);
        assert_eq!(found, []);
    }
}
