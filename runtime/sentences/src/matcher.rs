//! Which sentences a text can be.
//!
//! A backtracking run of the word program that visits each place with each slot history at most once, so that its cost is bounded by the
//! number of different answers and not by the number of ways to reach them; and by a number of steps in any case.

use std::collections::{HashMap, HashSet};

use crate::lattice::Lattice;
use crate::program::{Instruction, Pc, Program};

/// The longest text matched, in words.
pub(crate) const MAX_WORDS: usize = 256;
/// The most steps of threads.
const MAX_STEPS: usize = 1 << 20;
/// The most answers.
const MAX_ANSWERS: usize = 16;

/// A sentence, and the slots that its words filled: slot, value, first place, place after the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) sentence: u32,
    pub(crate) slots: Vec<Captured>,
    /// Words taken by free text.
    pub(crate) free_words: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Captured {
    pub(crate) slot: u32,
    pub(crate) value: Option<u32>,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A link of a slot history, which threads share.
#[derive(Clone, Copy, Debug)]
struct Link {
    captured: Captured,
    open: bool,
    before: u32,
}

const NO_LINK: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Thread {
    pc: Pc,
    at: u32,
    history: u32,
    free_words: u32,
}

/// The answers for a text's words, at most [`MAX_ANSWERS`]: fewest free words first, then as the file lists them.
pub(crate) fn answers(program: &Program, skip: &[Vec<u32>], text: &Lattice) -> Vec<Answer> {
    if text.words() > MAX_WORDS {
        return Vec::new();
    }
    Run::new(program, skip, text).run()
}

struct Run<'a> {
    program: &'a Program,
    text: &'a Lattice,
    /// At each place the ends of the skipped phrases that stand there, each once.
    skips: Vec<Vec<u32>>,
    /// Whether a skipped phrase ends at each place.
    skipped_to: Vec<bool>,
    links: Vec<Link>,
    /// Histories that are equal have one number, so that threads can be compared.
    same: HashMap<(Captured, bool, u32), u32>,
    stack: Vec<Thread>,
    steps: usize,
}

impl<'a> Run<'a> {
    fn new(program: &'a Program, skip: &[Vec<u32>], text: &'a Lattice) -> Self {
        let mut skipped_to = vec![false; text.places()];
        let skips = (0..text.places() as u32).map(|at| {
            let mut ends: Vec<u32> = skip.iter().flat_map(|phrase| ends(text, phrase, at)).collect();
            ends.sort_unstable();
            ends.dedup();
            ends.iter().for_each(|&end| skipped_to[end as usize] = true);
            ends
        });
        let skips = skips.collect();
        Self { program, text, skips, skipped_to, links: Vec::new(), same: HashMap::new(), stack: Vec::new(), steps: 0 }
    }

    fn run(&mut self) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut visited = HashSet::new();
        self.stack.push(Thread { pc: self.program.start, at: 0, history: NO_LINK, free_words: 0 });
        while let Some(thread) = self.stack.pop() {
            if self.steps == MAX_STEPS {
                break;
            }
            self.steps += 1;
            // What takes no fewer free words than the answers known is not among the first.
            if answers.len() == MAX_ANSWERS && answers.last().is_some_and(|last| thread.free_words >= last.free_words) {
                continue;
            }
            // Threads meet where something branches or ends, and where phrases were skipped in several ways; elsewhere looking would cost
            // more than it saves.
            let meets = match self.program.instructions[thread.pc as usize] {
                Instruction::Split { .. } | Instruction::Any { .. } | Instruction::Accept { .. } => true,
                Instruction::Word { .. } => self.skipped_to[thread.at as usize] || self.text.rejoins(thread.at),
                Instruction::Open { .. } | Instruction::Close { .. } => false,
            };
            if meets && !visited.insert((thread.pc, thread.at, thread.history)) {
                continue;
            }
            if let Some(answer) = self.step(thread) {
                let at = answers.partition_point(|other| other.free_words <= answer.free_words);
                answers.insert(at, answer);
                answers.truncate(MAX_ANSWERS);
            }
        }
        answers
    }

    /// Continues a thread; what is pushed last runs first.
    fn step(&mut self, thread: Thread) -> Option<Answer> {
        let Thread { pc, at, history, free_words } = thread;
        match self.program.instructions[pc as usize] {
            Instruction::Split { start, len } => {
                let program = self.program;
                let skips = !self.skips[at as usize].is_empty();
                let targets = program.targets(start, len).iter().rev().filter(|&&pc| skips || self.can_begin(pc, at));
                let targets: Vec<Thread> = targets.map(|&pc| Thread { pc, ..thread }).collect();
                self.stack.extend(targets);
            }
            Instruction::Open { slot, next } => {
                let history = self.link(Captured { slot, value: None, start: at, end: at }, true, history);
                self.stack.push(Thread { pc: next, history, ..thread });
            }
            Instruction::Close { value, next } => {
                let Link { captured, before, .. } = self.links[history as usize];
                let history = self.link(Captured { value, end: at, ..captured }, false, before);
                self.stack.push(Thread { pc: next, history, ..thread });
            }
            Instruction::Accept { sentence } => {
                if self.text.is_end(at) {
                    return Some(Answer { sentence, slots: self.slots(history), free_words });
                }
                self.skip(thread);
            }
            Instruction::Word { word, next } => {
                self.skip(thread);
                let steps = self.text.steps(at).iter().rev().filter(|step| step.word == word);
                self.stack.extend(steps.map(|step| Thread { pc: next, at: step.to, ..thread }));
            }
            Instruction::Any { next, .. } => {
                let ends = self.text.after_words(at).rev();
                self.stack.extend(ends.map(|(at, words)| Thread { pc: next, at, history, free_words: free_words + words }));
            }
        }
        None
    }

    /// Whether the word at `at` may be the first from `pc` on. Most branches of a long list end here, before they cost anything.
    fn can_begin(&self, pc: Pc, at: u32) -> bool {
        match self.program.instructions[pc as usize] {
            Instruction::Word { word, .. } => self.text.steps(at).iter().any(|step| step.word == word),
            Instruction::Open { next, .. } => self.can_begin(next, at),
            _ => true,
        }
    }

    /// Lets skipped phrases pass before the thread goes on. At the end of a slot they belong to what follows it.
    fn skip(&mut self, thread: Thread) {
        let ends = &self.skips[thread.at as usize];
        self.stack.extend(ends.iter().map(|&at| Thread { at, ..thread }));
    }

    fn link(&mut self, captured: Captured, open: bool, before: u32) -> u32 {
        let links = &mut self.links;
        *self.same.entry((captured, open, before)).or_insert_with(|| {
            links.push(Link { captured, open, before });
            links.len() as u32 - 1
        })
    }

    fn slots(&self, mut history: u32) -> Vec<Captured> {
        let mut slots = Vec::new();
        while history != NO_LINK {
            let link = self.links[history as usize];
            debug_assert!(!link.open, "a slot never ends");
            slots.push(link.captured);
            history = link.before;
        }
        slots.reverse();
        slots
    }
}

/// Where a phrase that begins at `at` may end.
fn ends(text: &Lattice, phrase: &[u32], at: u32) -> Vec<u32> {
    phrase.iter().fold(vec![at], |from, &word| {
        let steps = from.into_iter().flat_map(|at| text.steps(at)).filter(|step| step.word == word);
        steps.map(|step| step.to).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Grammar;
    use crate::lexicon::UNKNOWN;

    /// The answers for `text`, and the steps it took to find them.
    fn run(skip_words: &str, text: &str) -> (usize, usize) {
        let file = format!(
            "language: en\nintents: {{A: {{data: [{{sentences: [\"go [now] {{n}}\"]}}]}}}}\nlists: {{n: {{values: [home, on]}}}}\nskip_words: [{skip_words}]\n"
        );
        let grammar = Grammar::parse("x.yaml", &file).unwrap();
        let words: Vec<u32> = text.split(' ').map(|word| grammar.lexicon.find(word).unwrap_or(UNKNOWN)).collect();
        let lattice = Lattice::plain(&words);
        let mut run = Run::new(&grammar.program, &grammar.skip_phrases, &lattice);
        (run.run().len(), run.steps)
    }

    #[test]
    fn skipped_phrases_cost_no_more_than_their_words() {
        for skip_words in ["um", "um, um", "um, um um, um um um", "\"um [um]\", \"(um|um um)\""] {
            let ums = "um ".repeat(80);
            for (text, answers) in [(format!("{ums}go {ums}home"), 1), (format!("go {ums}"), 0), (format!("{ums}go {ums}on {ums}go"), 0)] {
                let (found, steps) = run(skip_words, text.trim());
                assert_eq!(found, answers, "{skip_words}");
                assert!(steps < 20 * 250, "{steps} steps with {skip_words}");
            }
        }
    }
}
