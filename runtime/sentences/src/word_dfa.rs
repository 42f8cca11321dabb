//! The minimal deterministic automaton over words. Sentences are finite but for skipped words, which are not part of it, so it has no
//! circles and one pass from its ends joins equal states (Revuz 1992).

use std::collections::HashMap;

use crate::program::{Instruction, Pc, Program};

/// Symbols from here on are free text; the rest says of how many tokens at most.
const ANY: u32 = 1 << 30;

/// What an arc reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Word(u32),
    Any { max_tokens: u32 },
}

impl Symbol {
    fn from_code(code: u32) -> Self {
        if code >= ANY { Self::Any { max_tokens: code - ANY } } else { Self::Word(code) }
    }
}

#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct State {
    accepting: bool,
    /// Symbol codes and targets, sorted.
    arcs: Vec<(u32, u32)>,
}

#[derive(Debug)]
pub(crate) struct WordDfa {
    states: Vec<State>,
    pub(crate) start: u32,
}

impl WordDfa {
    /// Nothing if it would have more than `max_states`, or if more than `max_places` of the program would be visited.
    pub(crate) fn new(program: &Program, max_states: usize, max_places: usize) -> Option<Self> {
        let (states, start) = Determiniser::new(program, max_states, max_places).run()?;
        Some(minimise(&states, start))
    }

    pub(crate) fn accepts(&self, state: u32) -> bool {
        self.states[state as usize].accepting
    }

    pub(crate) fn arcs(&self, state: u32) -> impl Iterator<Item = (Symbol, u32)> {
        self.states[state as usize].arcs.iter().map(|&(code, to)| (Symbol::from_code(code), to))
    }
}

/// The subset construction.
struct Determiniser<'a> {
    program: &'a Program,
    /// The round in which each place was last reached.
    reached: Vec<u32>,
    round: u32,
    ids: HashMap<Box<[Pc]>, u32>,
    pending: Vec<Box<[Pc]>>,
    /// Places visited so far.
    places: usize,
    max_states: usize,
    max_places: usize,
}

impl<'a> Determiniser<'a> {
    fn new(program: &'a Program, max_states: usize, max_places: usize) -> Self {
        let reached = vec![0; program.instructions.len()];
        Self { program, reached, round: 0, ids: HashMap::new(), pending: Vec::new(), places: 0, max_states, max_places }
    }

    /// Nothing past the limits.
    fn run(&mut self) -> Option<(Vec<State>, u32)> {
        let mut states: Vec<State> = Vec::new();
        let start = self.id(&[self.program.start])?;
        while let Some(set) = self.pending.get(states.len()).cloned() {
            states.push(self.state(&set)?);
        }
        Some((states, start))
    }

    /// The number of the set of places that `from` reach without reading.
    fn id(&mut self, from: &[Pc]) -> Option<u32> {
        self.round += 1;
        let mut stack = from.to_vec();
        let mut set = Vec::new();
        while let Some(pc) = stack.pop() {
            self.places += 1;
            if self.places > self.max_places {
                return None;
            }
            if std::mem::replace(&mut self.reached[pc as usize], self.round) == self.round {
                continue;
            }
            match self.program.instructions[pc as usize] {
                Instruction::Split { start, len } => stack.extend_from_slice(self.program.targets(start, len)),
                Instruction::Open { next, .. } | Instruction::Close { next, .. } => stack.push(next),
                Instruction::Word { .. } | Instruction::Any { .. } | Instruction::Accept { .. } => set.push(pc),
            }
        }
        set.sort_unstable();
        let set = set.into_boxed_slice();
        if let Some(&id) = self.ids.get(&set) {
            return Some(id);
        }
        if self.pending.len() == self.max_states {
            return None;
        }
        let id = self.pending.len() as u32;
        self.ids.insert(set.clone(), id);
        self.pending.push(set);
        Some(id)
    }

    fn state(&mut self, set: &[Pc]) -> Option<State> {
        let mut accepting = false;
        let mut reads: Vec<(u32, Pc)> = Vec::new();
        for &pc in set {
            match self.program.instructions[pc as usize] {
                Instruction::Word { word, next } => reads.push((word, next)),
                Instruction::Any { max_tokens, next } => reads.push((ANY + max_tokens, next)),
                _ => accepting = true,
            }
        }
        reads.sort_unstable();
        let mut arcs = Vec::new();
        for group in reads.chunk_by(|a, b| a.0 == b.0) {
            let targets: Vec<Pc> = group.iter().map(|&(_, next)| next).collect();
            arcs.push((group[0].0, self.id(&targets)?));
        }
        Some(State { accepting, arcs })
    }
}

fn minimise(states: &[State], start: u32) -> WordDfa {
    let mut classes: HashMap<State, u32> = HashMap::new();
    let mut class_of = vec![u32::MAX; states.len()];
    for state in ends_first(states, start) {
        let State { accepting, arcs } = &states[state as usize];
        let arcs = arcs.iter().map(|&(code, to)| (code, class_of[to as usize])).collect();
        let id = classes.len() as u32;
        class_of[state as usize] = *classes.entry(State { accepting: *accepting, arcs }).or_insert(id);
    }
    let mut minimal: Vec<(u32, State)> = classes.into_iter().map(|(state, id)| (id, state)).collect();
    minimal.sort_unstable_by_key(|&(id, _)| id);
    WordDfa { states: minimal.into_iter().map(|(_, state)| state).collect(), start: class_of[start as usize] }
}

/// The states in an order in which each stands behind all it leads to.
fn ends_first(states: &[State], start: u32) -> Vec<u32> {
    let mut order = Vec::with_capacity(states.len());
    let mut seen = vec![false; states.len()];
    let mut stack = vec![(start, 0)];
    seen[start as usize] = true;
    while let Some((state, arc)) = stack.pop() {
        let Some(&(_, to)) = states[state as usize].arcs.get(arc) else {
            order.push(state);
            continue;
        };
        stack.push((state, arc + 1));
        if !std::mem::replace(&mut seen[to as usize], true) {
            stack.push((to, 0));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Grammar;

    /// One state that leads to many sets of many places stops on the way to them.
    #[test]
    fn limits_hold_inside_a_state() {
        let words: String = (0..1000).map(|i| format!("[w{i}x] ")).collect();
        let file = format!("language: en\nintents: {{A: {{data: [{{sentences: [\"go {words}\"]}}]}}}}\n");
        let grammar = Grammar::parse("x.yaml", &file).unwrap();
        for (max_states, max_places) in [(usize::MAX, 10_000), (10, usize::MAX)] {
            let mut determiniser = Determiniser::new(&grammar.program, max_states, max_places);
            assert!(determiniser.run().is_none());
            assert!(determiniser.places <= max_places.saturating_add(1));
            assert!(determiniser.pending.len() <= max_states);
        }
        assert!(WordDfa::new(&grammar.program, 1 << 18, 1 << 24).is_some());
    }
}
