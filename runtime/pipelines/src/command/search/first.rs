//! The first tokens of texts, more of them than the engine has lanes.

use super::super::automaton::Automaton;
use super::{Heard, Hypothesis, Limits, Search};
use crate::whisper::engine::{Branch, EngineError, Lanes};

/// How much wider than later ones the first selection is.
const WIDER: f32 = 2.0;

impl<S: Copy + PartialEq> Search<S> {
    /// Takes the best first tokens and what may follow each of them, as many at a time as there are lanes.
    pub(super) fn follow_firsts<E: Lanes, A: Automaton<State = S>>(
        &mut self,
        engine: &mut E,
        automaton: &A,
        heard: Heard<'_>,
        limits: Limits,
    ) -> Result<(), EngineError> {
        self.select(0, limits.first_beam, Limits { spread: WIDER * limits.spread, ..limits });
        let lanes = engine.max_lanes();
        let mut firsts = std::mem::replace(&mut self.hypotheses, std::mem::take(&mut self.firsts));
        for some in firsts.chunks(lanes) {
            self.hypotheses.clear();
            self.hypotheses.extend_from_slice(some);
            self.advance(engine)?;
            for lane in 0..self.hypotheses.len() {
                if let Some(end) = self.expand(engine, automaton, self.hypotheses[lane], heard)? {
                    self.end(end);
                }
            }
        }
        if firsts.len() <= lanes {
            // All are still in their lanes.
            firsts.clear();
        }
        self.firsts = firsts;
        Ok(())
    }

    /// Decodes the first tokens of the hypotheses once more where others have taken their lanes since.
    pub(super) fn decode_firsts_again<E: Lanes>(&mut self, engine: &mut E) -> Result<(), EngineError> {
        if self.firsts.is_empty() {
            return Ok(());
        }
        let Self { hypotheses, firsts, history, branches, tokens, .. } = self;
        let goes_on = |hypothesis: &Hypothesis<S>, first: &Hypothesis<S>| {
            matches!(hypothesis.branch, Branch::Lane(_)) && history[hypothesis.step].0 == first.step
        };
        firsts.retain(|first| hypotheses.iter().any(|hypothesis| goes_on(hypothesis, first)));
        branches.clear();
        tokens.clear();
        branches.extend(firsts.iter().map(|first| first.branch));
        tokens.extend(firsts.iter().map(|first| first.token));
        for hypothesis in &mut *hypotheses {
            if let Some(lane) = firsts.iter().position(|first| goes_on(hypothesis, first)) {
                hypothesis.branch = Branch::Lane(lane);
            }
        }
        firsts.clear();
        if tokens.is_empty() {
            return Ok(());
        }
        self.steps += 1;
        self.lane_tokens += self.tokens.len();
        engine.decode_lanes(&self.branches, &self.tokens)
    }
}
