//! The likeliest texts of an automaton: beam search over token paths.
//!
//! All hypotheses grow by a token a step and are scored by their log-probability under the whole vocabulary, so that one with a single way
//! on pays for what was not said. Only few logits are computed for that: those the automaton allows and those of the rivals, the tokens
//! that free decoding found likely anywhere in the recording; the rest of the vocabulary has no share in what was said.
//!
//! What costs is the decoder's work, a token of a lane at a time. What free decoding said costs none, as far as it is the beginning of a
//! sentence: it was decoded then, and hypotheses part from it anywhere. Of two hypotheses that may go on in the same ways only the better one
//! does, unless they are close; the other's text ends as that one's (recombination, as in word lattices: Ney and Ortmanns, "Dynamic
//! programming search for continuous speech recognition", 1999). It does not matter which of them has more tokens: a comma more is most of
//! what tells hypotheses apart.

mod first;

use super::automaton::Automaton;
use crate::whisper::engine::{Branch, EngineError, Lanes};
use crate::whisper::scores;

/// Bounds of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Hypotheses kept from step to step; held to 1 and what the engine has lanes for.
    pub beam: usize,
    /// First tokens that are followed by a second one before the beam closes; no more than the beam if less. Nothing before a first word says
    /// what it may be, so the right one is often far down.
    pub first_beam: usize,
    /// Hypotheses this much less likely (natural logarithm) than the best are given up.
    pub spread: f32,
    /// As `spread`, for hypotheses that may go on in the same ways as a better one; the bonus of tokens left out.
    pub same_spread: f32,
    /// Tokens of a text at most; held to what the engine's lanes have room for.
    pub max_tokens: usize,
    /// What each token adds to the logarithm of its text's probability when texts are compared: without it, the shorter of two wins too often
    /// where noise has made the rest unlikely.
    pub token_bonus: f32,
    /// Tokens of a text that add it: no more than were said, or longer texts would win for nothing.
    pub bonus_tokens: usize,
}

/// A beam of 8 within e^-5 of the best behind 16 first tokens, texts of at most 96 tokens, those that were said worth 1 each.
impl Default for Limits {
    fn default() -> Self {
        Self { beam: 8, first_beam: 16, spread: 5.0, same_spread: 0.5, max_tokens: 96, token_bonus: 1.0, bonus_tokens: 0 }
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
}

/// What is known of a recording before the search.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The logits of the whole vocabulary after the prompt.
    pub after_prompt: &'a [f32],
    /// Tokens that the engine has decoded behind the prompt, one by one since [`Lanes::start_lanes`].
    pub said: &'a [u32],
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
    /// Where the decoder has it; of a candidate, what it continues.
    branch: Branch,
    /// The last token's place in the history; of a candidate, that of the one before.
    step: usize,
    token: u32,
}

/// A state that hypotheses have come to, and the likeliest of them.
#[derive(Clone, Copy, Debug)]
struct Visit<S> {
    state: S,
    logprob: f32,
    /// Its last token's place in the history.
    step: usize,
}

/// A hypothesis that was given up for a likelier one that may go on in the same ways.
#[derive(Clone, Copy, Debug)]
struct Merge {
    /// The likelier one's last token's place in the history.
    winner: usize,
    /// Its own.
    loser: usize,
    /// By how much it was less likely.
    logprob: f32,
}

/// A complete text.
#[derive(Clone, Copy, Debug)]
struct End {
    step: usize,
    logprob: f32,
    score: f32,
}

/// Working memory of a search, reused from search to search.
#[derive(Debug)]
pub struct Search<S> {
    hypotheses: Vec<Hypothesis<S>>,
    /// Those of one token, while their lanes are gone.
    firsts: Vec<Hypothesis<S>>,
    candidates: Vec<Hypothesis<S>>,
    /// What was said, token by token, as far as it is the beginning of a sentence.
    text: Vec<Hypothesis<S>>,
    /// Candidates that part from it, with the number of tokens before theirs.
    parting: Vec<(usize, Hypothesis<S>)>,
    visits: Vec<Visit<S>>,
    /// Tokens of all hypotheses, each with the place of the one before it.
    history: Vec<(usize, u32)>,
    merges: Vec<Merge>,
    /// Of each place in the history, whether something may still come of it.
    alive: Vec<bool>,
    /// Best first.
    ends: Vec<End>,
    arcs: Vec<(u32, S)>,
    wanted: Vec<u32>,
    logits: Vec<f32>,
    branches: Vec<Branch>,
    tokens: Vec<u32>,
    /// Runs of the engine since the start.
    pub steps: usize,
    /// Tokens of lanes decoded since the start.
    pub lane_tokens: usize,
}

impl<S> Default for Search<S> {
    fn default() -> Self {
        Self {
            hypotheses: Vec::new(),
            firsts: Vec::new(),
            candidates: Vec::new(),
            text: Vec::new(),
            parting: Vec::new(),
            visits: Vec::new(),
            history: Vec::new(),
            merges: Vec::new(),
            alive: Vec::new(),
            ends: Vec::new(),
            arcs: Vec::new(),
            wanted: Vec::new(),
            logits: Vec::new(),
            branches: Vec::new(),
            tokens: Vec::new(),
            steps: 0,
            lane_tokens: 0,
        }
    }
}

/// No token before the first.
const NONE: usize = usize::MAX;

/// Most texts found.
const MAX_FOUND: usize = 12;

impl<S: Copy + PartialEq> Search<S> {
    /// The likeliest texts, best first, at most 12. The engine holds the prompt and behind it `heard.said`, which stay.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn run<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        heard: Heard<'_>,
        limits: Limits,
    ) -> Result<Vec<Found>, EngineError> {
        let beam = limits.beam.clamp(1, engine.max_lanes());
        let prompt = engine.position().saturating_sub(heard.said.len());
        let most = limits.max_tokens.min(engine.max_lane_tokens().saturating_sub(prompt));
        self.history.clear();
        self.visits.clear();
        self.merges.clear();
        self.ends.clear();
        self.hypotheses.clear();
        self.firsts.clear();
        self.follow_text(engine, automaton, heard, limits, prompt, most)?;
        for tokens in 0..most {
            if tokens < limits.bonus_tokens {
                for candidate in &mut self.candidates {
                    candidate.score += limits.token_bonus;
                }
            }
            self.candidates.extend(self.parting.iter().filter(|(before, _)| *before == tokens).map(|(_, candidate)| *candidate));
            if tokens == 0 && limits.first_beam > beam {
                self.follow_firsts(engine, automaton, heard, limits)?;
                continue;
            }
            self.select(tokens, beam, limits);
            self.decode_firsts_again(engine)?;
            self.advance(engine)?;
            for lane in 0..self.hypotheses.len() {
                if let Some(end) = self.expand(engine, automaton, self.hypotheses[lane], heard)? {
                    self.end(end);
                }
            }
            if self.hypotheses.is_empty() && self.parting.iter().all(|(before, _)| *before <= tokens) {
                break;
            }
        }
        Ok(self.found())
    }

    /// Takes what was said as a hypothesis as far as it is the beginning of a sentence, at most `most` tokens, and gathers what parts from it.
    fn follow_text<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        heard: Heard<'_>,
        limits: Limits,
        prompt: usize,
        most: usize,
    ) -> Result<(), EngineError> {
        self.text.clear();
        self.parting.clear();
        self.candidates.clear();
        let start = Hypothesis { state: automaton.start(), logprob: 0.0, score: 0.0, branch: Branch::Text(prompt), step: NONE, token: 0 };
        self.logits.clear();
        self.logits.extend_from_slice(heard.after_prompt);
        self.expand_all(engine.isa(), automaton, start, heard);
        for tokens in 0..most {
            let bonus = if tokens < limits.bonus_tokens { limits.token_bonus } else { 0.0 };
            let said = heard.said.get(tokens);
            let next = self.candidates.iter().find(|candidate| Some(&candidate.token) == said).copied();
            // What is far below the text would not be followed.
            let least = next.map_or(f32::NEG_INFINITY, |next| next.score - limits.spread);
            let others = self.candidates.drain(..).filter(|other| Some(&other.token) != said && other.score > least);
            self.parting.extend(others.map(|other| (tokens, Hypothesis { score: other.score + bonus, ..other })));
            let Some(next) = next else { break };
            let step = self.history.len();
            self.history.push((next.step, next.token));
            let next = Hypothesis { score: next.score + bonus, branch: Branch::Text(prompt + tokens + 1), step, ..next };
            self.text.push(next);
            self.visits.push(Visit { state: next.state, logprob: next.logprob, step });
            if let Some(end) = self.expand(engine, automaton, next, heard)? {
                self.end(end);
            }
        }
        // Candidates behind `most` tokens.
        self.candidates.clear();
        Ok(())
    }

    /// Keeps the best candidates, which have as many tokens and one more, as hypotheses and writes their tokens down.
    fn select(&mut self, tokens: usize, beam: usize, limits: Limits) {
        // Stable: of equals the first, which is the same everywhere.
        self.candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        let text = self.text.get(tokens).map(|text| text.score);
        let best = self.candidates.first().map_or(f32::NEG_INFINITY, |best| best.score).max(text.unwrap_or(f32::NEG_INFINITY));
        // A hypothesis may still gain the bonus of the tokens that it lacks.
        let gain = limits.token_bonus * limits.bonus_tokens.saturating_sub(tokens + 1) as f32;
        let best = self.ends.first().map_or(best, |end| best.max(end.score - gain));
        let hopeful = self.candidates.partition_point(|candidate| candidate.score > best - limits.spread);
        self.candidates.truncate(hopeful);
        self.forget_dead_visits(tokens);
        let Self { hypotheses, candidates, visits, history, merges, .. } = self;
        let room = beam - usize::from(text.is_some());
        let (old_merges, mut given_up) = (merges.len(), false);
        hypotheses.clear();
        for candidate in candidates.drain(..) {
            let Hypothesis { state, logprob, .. } = candidate;
            let visit = visits.iter_mut().find(|visit| visit.state == state);
            let behind = visit.as_ref().is_some_and(|visit| visit.logprob > logprob + limits.same_spread);
            if !behind && hypotheses.len() >= room {
                continue;
            }
            let step = history.len();
            history.push((candidate.step, candidate.token));
            match visit {
                Some(visit) if behind => {
                    merges.push(Merge { winner: visit.step, loser: step, logprob: visit.logprob - logprob });
                    continue;
                }
                Some(visit) if logprob > visit.logprob => {
                    if logprob > visit.logprob + limits.same_spread {
                        merges.push(Merge { winner: step, loser: visit.step, logprob: logprob - visit.logprob });
                        given_up = true;
                    }
                    *visit = Visit { state, logprob, step };
                }
                Some(_) => {}
                None => visits.push(Visit { state, logprob, step }),
            }
            hypotheses.push(Hypothesis { step, ..candidate });
        }
        if given_up {
            let losers = &merges[old_merges..];
            let lost = |mut step: usize| {
                while let Some(&(before, _)) = history.get(step) {
                    if losers.iter().any(|merge| merge.loser == step) {
                        return true;
                    }
                    step = before;
                }
                false
            };
            hypotheses.retain(|hypothesis| !lost(hypothesis.step));
        }
    }

    /// Forgets the visits that nothing has come of: not a candidate, nor what parts from the text later, nor a complete text.
    fn forget_dead_visits(&mut self, tokens: usize) {
        let Self { candidates, parting, visits, ends, history, alive, .. } = self;
        alive.clear();
        alive.resize(history.len(), false);
        let parting = parting.iter().filter(|(before, _)| *before > tokens).map(|(_, candidate)| candidate.step);
        for mut step in candidates.iter().map(|candidate| candidate.step).chain(parting).chain(ends.iter().map(|end| end.step)) {
            while let Some(alive) = alive.get_mut(step).filter(|alive| !**alive) {
                *alive = true;
                step = history[step].0;
            }
        }
        visits.retain(|visit| alive[visit.step]);
    }

    /// Decodes the tokens of the hypotheses.
    fn advance<E: Lanes>(&mut self, engine: &mut E) -> Result<(), EngineError> {
        if self.hypotheses.is_empty() {
            return Ok(());
        }
        self.branches.clear();
        self.tokens.clear();
        for (lane, hypothesis) in self.hypotheses.iter_mut().enumerate() {
            self.branches.push(std::mem::replace(&mut hypothesis.branch, Branch::Lane(lane)));
            self.tokens.push(hypothesis.token);
        }
        self.steps += 1;
        self.lane_tokens += self.tokens.len();
        engine.decode_lanes(&self.branches, &self.tokens)
    }

    /// Takes a text in.
    fn end(&mut self, end: End) {
        let place = self.ends.partition_point(|other| other.score >= end.score);
        self.ends.insert(place, end);
        self.ends.truncate(MAX_FOUND);
    }

    /// Adds what may follow a hypothesis to the candidates; gives its text if it may end here.
    fn expand<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        hypothesis: Hypothesis<S>,
        heard: Heard<'_>,
    ) -> Result<Option<End>, EngineError> {
        let Hypothesis { state, branch, .. } = hypothesis;
        if automaton.allows_text(state) {
            engine.lane_vocabulary(branch, &mut self.logits)?;
            return Ok(self.expand_all(engine.isa(), automaton, hypothesis, heard));
        }
        self.arcs.clear();
        automaton.arcs(state, &mut self.arcs);
        self.wanted.clear();
        self.wanted.push(heard.eot);
        self.wanted.extend_from_slice(heard.rivals);
        self.wanted.extend(self.arcs.iter().map(|arc| arc.0).filter(|token| heard.suppressed.binary_search(token).is_err()));
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.logits.resize(self.wanted.len(), 0.0);
        engine.lane_logits(branch, &self.wanted, &mut self.logits)?;
        let total = scores::log_sum_exp(engine.isa(), &self.logits);
        let Self { arcs, wanted, logits, candidates, .. } = self;
        let logprob = |token: u32| wanted.binary_search(&token).map_or(f32::NEG_INFINITY, |place| logits[place] - total);
        for &(token, state) in &*arcs {
            candidates.extend(follow(hypothesis, token, state, logprob(token)));
        }
        let end = logprob(heard.eot);
        Ok(automaton.accepts(state).then(|| hypothesis.ended(end)))
    }

    /// As [`expand`](Self::expand), from the logits of the whole vocabulary.
    fn expand_all<A: Automaton<State = S>>(
        &mut self,
        isa: ossicle_kernels::simd::Isa,
        automaton: &A,
        hypothesis: Hypothesis<S>,
        heard: Heard<'_>,
    ) -> Option<End> {
        let state = hypothesis.state;
        self.logits.truncate(heard.eot as usize + 1);
        for &token in heard.suppressed {
            self.logits[token as usize] = f32::NEG_INFINITY;
        }
        let total = scores::log_sum_exp(isa, &self.logits);
        self.arcs.clear();
        automaton.arcs(state, &mut self.arcs);
        let Self { arcs, logits, candidates, .. } = self;
        for &(token, state) in &*arcs {
            candidates.extend(follow(hypothesis, token, state, logits[token as usize] - total));
        }
        if automaton.allows_text(state) {
            // Most of the vocabulary is hopeless: what is far below the best never enters the beam.
            let text = &logits[..heard.eot as usize];
            let hopeful = scores::max(isa, text) - TEXT_SPREAD;
            for (token, &logit) in (0..).zip(text).filter(|(_, logit)| **logit > hopeful) {
                if arcs.binary_search_by_key(&token, |arc| arc.0).is_err()
                    && let Some(next) = automaton.next(state, token)
                {
                    candidates.extend(follow(hypothesis, token, next, logit - total));
                }
            }
        }
        let end = logits[heard.eot as usize] - total;
        automaton.accepts(state).then(|| hypothesis.ended(end))
    }

    /// The texts that ended, and those that were given up for one on the way of which they might have ended.
    fn found(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for &End { step, logprob, score } in &self.ends {
            let path = self.path(step);
            found.push(Found { tokens: path.iter().map(|&step| self.history[step].1).collect(), logprob, score });
            for merge in &self.merges {
                if let Some(place) = path.iter().position(|&step| step == merge.winner) {
                    let tokens = self.path(merge.loser).into_iter().chain(path[place + 1..].iter().copied());
                    let tokens = tokens.map(|step| self.history[step].1).collect();
                    found.push(Found { tokens, logprob: logprob - merge.logprob, score: score - merge.logprob });
                }
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MAX_FOUND);
        found
    }

    /// The places in the history that lead to `step`.
    fn path(&self, mut step: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while let Some(&(before, _)) = self.history.get(step) {
            path.push(step);
            step = before;
        }
        path.reverse();
        path
    }
}

/// How far below the best token of free text another may be.
const TEXT_SPREAD: f32 = 6.0;

impl<S> Hypothesis<S> {
    /// Its text, with the logarithm of the probability that it ends here.
    fn ended(&self, logprob: f32) -> End {
        End { step: self.step, logprob: self.logprob + logprob, score: self.score + logprob }
    }
}

fn follow<S: Copy>(from: Hypothesis<S>, token: u32, state: S, logprob: f32) -> Option<Hypothesis<S>> {
    let next = Hypothesis { state, logprob: from.logprob + logprob, score: from.score + logprob, token, ..from };
    (logprob > f32::NEG_INFINITY).then_some(next)
}

#[cfg(test)]
mod tests;
