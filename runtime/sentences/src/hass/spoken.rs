//! Sentences as a network of bytes, for recognition: what may be said, however it is written.
//!
//! Lists are parts of their own that sentences call: a house's names stand in the network once for each choice of domains and not once
//! for each sentence. Free text cannot be recognised among closed sentences; sentences that need it are left out and counted.

use std::collections::HashMap;

use super::Intents;
use super::corpus::{Block, Condition};
use super::ops::{Op, Part32};
use super::program::{Body, Choice};

/// The most steps of a network.
pub(super) const MAX_STEPS: usize = 1 << 19;
/// The most steps made, those taken back counted.
const MAX_WORK: usize = 4 * MAX_STEPS;

pub(super) type Pc = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A byte of a letter, of either case if it is ASCII's.
    Byte { byte: u8, next: Pc },
    /// White space, one for all that stand together.
    Blank { next: Pc },
    /// White space that nothing else stands for.
    Space { next: Pc },
    /// Each of these.
    Split { start: u32, len: u32 },
    /// A list, and what follows it.
    Call { list: Pc, next: Pc },
    /// The end of a list.
    Return,
    /// The end of a sentence.
    Accept,
}

/// All sentences without free text.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) steps: Vec<Step>,
    targets: Vec<Pc>,
    pub(super) start: Pc,
    /// Sentences that need free text.
    pub(super) free: usize,
    /// Sentences beyond the limit.
    pub(super) beyond: usize,
}

impl Network {
    pub(super) fn new(intents: &Intents) -> Self {
        let network = Self { steps: Vec::new(), targets: Vec::new(), start: 0, free: 0, beyond: 0 };
        let mut builder = Builder { intents, network, lists: HashMap::new(), made: HashMap::new(), block: None, met_free: false, work: 0 };
        builder.build();
        builder.network
    }

    pub(super) fn targets(&self, start: u32, len: u32) -> &[Pc] {
        &self.targets[start as usize..][..len as usize]
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.steps.capacity() * size_of::<Step>() + self.targets.capacity() * size_of::<Pc>()
    }
}

struct Builder<'a> {
    intents: &'a Intents,
    network: Network,
    /// Where lists begin, by number and what of them counts.
    lists: HashMap<(u32, String), Option<Pc>>,
    /// Parts made before, by what follows them; of the block at work.
    made: HashMap<(Part32, Pc), Option<Pc>>,
    block: Option<&'a Block>,
    met_free: bool,
    work: usize,
}

impl<'a> Builder<'a> {
    fn build(&mut self) {
        let intents = self.intents;
        let accept = self.push(Step::Accept);
        let returned = self.push(Step::Return);
        let skip = self.skip_words(returned);
        // Skipped words may follow a sentence and go before one.
        let end = self.push(Step::Accept);
        if let Some(skip) = skip {
            let call = self.push(Step::Call { list: skip, next: end });
            let after = self.push(Step::Space { next: call });
            let split = self.split(&[accept, after]);
            self.network.steps[end as usize] = self.network.steps[split as usize];
        }
        let mut starts = Vec::new();
        for (i, sentence) in intents.program.sentences.iter().enumerate() {
            if self.work > MAX_WORK {
                self.network.beyond += intents.program.sentences.len() - i;
                break;
            }
            let block = &intents.corpus.intents[sentence.intent as usize].blocks[sentence.block as usize];
            if !self.block.is_some_and(|other| std::ptr::eq(other, block)) {
                self.made.clear();
                self.block = Some(block);
            }
            self.met_free = false;
            let mark = (self.network.steps.len(), self.network.targets.len());
            let start = self.emit(sentence.part, end);
            if self.network.steps.len() > MAX_STEPS {
                self.network.beyond += 1;
                self.network.steps.truncate(mark.0);
                self.network.targets.truncate(mark.1);
                self.made.clear();
                self.lists.retain(|_, list| list.is_none_or(|pc| (pc as usize) < mark.0));
                continue;
            }
            match start {
                Some(start) => starts.push(start),
                None => self.network.free += usize::from(self.met_free),
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let sentences = self.split(&starts);
        let start = self.push(Step::Space { next: sentences });
        if let Some(skip) = skip {
            let call = self.push(Step::Call { list: skip, next: start });
            let split = self.split(&[sentences, call]);
            self.network.steps[start as usize] = Step::Space { next: split };
        }
        self.network.start = start;
        self.network.steps.shrink_to_fit();
        self.network.targets.shrink_to_fit();
    }

    fn skip_words(&mut self, returned: Pc) -> Option<Pc> {
        let words = self.intents.corpus.skip_words.iter().map(|word| self.intents.program.folded(&word.text));
        let words: Vec<Box<[char]>> = words.filter(|word| !word.is_empty()).collect();
        let words: Vec<&[char]> = words.iter().map(|word| &word[..]).collect();
        self.trie(words, returned)
    }

    fn push(&mut self, step: Step) -> Pc {
        self.work += 1;
        self.network.steps.push(step);
        self.network.steps.len() as Pc - 1
    }

    fn split(&mut self, targets: &[Pc]) -> Pc {
        if let [only] = targets {
            return *only;
        }
        let start = self.network.targets.len() as u32;
        self.network.targets.extend_from_slice(targets);
        self.push(Step::Split { start, len: targets.len() as u32 })
    }

    /// Where `part` begins, given that `next` follows it; nothing if it cannot be said.
    fn emit(&mut self, part: Part32, next: Pc) -> Option<Pc> {
        if let Some(&made) = self.made.get(&(part, next)) {
            return made;
        }
        if self.network.steps.len() > MAX_STEPS || self.work > MAX_WORK + MAX_STEPS {
            return None;
        }
        let intents = self.intents;
        let made = match &intents.program.ops[part as usize] {
            Op::Text(text) => Some(text.iter().rev().fold(next, |next, &c| self.letter(c, next))),
            Op::Sequence(parts) => parts.iter().rev().try_fold(next, |next, &part| self.emit(part, next)),
            Op::Choice(parts) => {
                let mut ways: Vec<Pc> = parts.iter().filter_map(|&part| self.emit(part, next)).collect();
                ways.sort_unstable();
                ways.dedup();
                if ways.is_empty() { None } else { Some(self.split(&ways)) }
            }
            Op::Permutation(parts) => self.permutation(parts, next),
            Op::List { list, .. } => self.list(*list).map(|list| self.push(Step::Call { list, next })),
        };
        self.made.insert((part, next), made);
        made
    }

    fn permutation(&mut self, parts: &[Part32], next: Pc) -> Option<Pc> {
        // What is left to say decides what follows.
        let all = (1usize << parts.len()) - 1;
        let mut places = vec![Some(next); all + 1];
        for left in 1..=all {
            let mut ways = Vec::new();
            for (i, &part) in parts.iter().enumerate().filter(|(i, _)| left & 1 << i != 0) {
                if let Some(after) = places[left & !(1 << i)] {
                    ways.extend(self.emit(part, after));
                }
            }
            places[left] = if ways.is_empty() { None } else { Some(self.split(&ways)) };
        }
        places[all]
    }

    fn letter(&mut self, c: char, next: Pc) -> Pc {
        if c.is_whitespace() {
            // Skipped words are told by their blanks.
            return self.push(if self.block.is_none() { Step::Space { next } } else { Step::Blank { next } });
        }
        let lower = self.bytes(c, next);
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(upper), None) if !c.is_ascii() && upper != c => {
                let upper = self.bytes(upper, next);
                self.split(&[lower, upper])
            }
            _ => lower,
        }
    }

    fn bytes(&mut self, c: char, next: Pc) -> Pc {
        let mut buffer = [0; 4];
        c.encode_utf8(&mut buffer).bytes().rev().fold(next, |next, byte| self.push(Step::Byte { byte, next }))
    }

    /// Texts that share what they begin with.
    fn trie(&mut self, mut texts: Vec<&[char]>, end: Pc) -> Option<Pc> {
        texts.sort_unstable();
        texts.dedup();
        let mut ways = Vec::new();
        if texts.first().is_some_and(|text| text.is_empty()) {
            ways.push(end);
            texts.remove(0);
        }
        for same in texts.chunk_by(|a, b| a[0] == b[0]) {
            let next = self.trie(same.iter().map(|text| &text[1..]).collect(), end)?;
            ways.push(self.letter(same[0][0], next));
        }
        if ways.is_empty() { None } else { Some(self.split(&ways)) }
    }

    /// Where a list begins, as far as the block at work takes its values.
    fn list(&mut self, list: u32) -> Option<Pc> {
        let intents = self.intents;
        let block = self.block?;
        let body = &intents.program.lists[list as usize];
        let key = match body {
            Body::Wildcard => {
                self.met_free = true;
                return None;
            }
            Body::Values(values) if values.iter().any(|value| !value.context.is_empty()) => {
                let of = |conditions: &[Condition]| {
                    conditions.iter().map(|condition| format!("{}={};", condition.key, condition.values.join(","))).collect::<String>()
                };
                format!("{}!{}", of(&block.requires), of(&block.excludes))
            }
            _ => String::new(),
        };
        if let Some(&made) = self.lists.get(&(list, key.clone())) {
            return made;
        }
        const RETURN: Pc = 1;
        let made = match body {
            Body::Wildcard => None,
            Body::Range { range, words } => {
                let figures = range.numbers().filter(|_| range.figures).map(|tenths| {
                    let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
                    let sign = if tenths < 0 { "-" } else { "" };
                    let text = if tenth == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{tenth}") };
                    text.chars().collect::<Vec<char>>()
                });
                let figures: Vec<Vec<char>> = figures.collect();
                let words = words.values().flatten().map(|(word, _)| &word[..]);
                let texts: Vec<&[char]> = figures.iter().map(|text| &text[..]).chain(words).collect();
                self.trie(texts, RETURN)
            }
            Body::Values(values) => {
                let taken: Vec<&Choice> = values.iter().filter(|value| allowed(block, value)).collect();
                let plain = taken.iter().filter_map(|value| value.plain.as_deref()).filter(|text| !text.is_empty()).collect();
                let mut ways: Vec<Pc> = self.trie(plain, RETURN).into_iter().collect();
                // A list inside a list's value is nothing that can be called.
                let templates: Vec<Part32> = taken.iter().filter(|value| value.plain.is_none()).map(|value| value.part).collect();
                for part in templates {
                    let way = if self.calls(part) { None } else { self.emit(part, RETURN) };
                    ways.extend(way);
                }
                if ways.is_empty() { None } else { Some(self.split(&ways)) }
            }
        };
        self.lists.insert((list, key), made);
        made
    }

    fn calls(&self, part: Part32) -> bool {
        match &self.intents.program.ops[part as usize] {
            Op::Text(_) => false,
            Op::List { .. } => true,
            Op::Sequence(parts) | Op::Choice(parts) | Op::Permutation(parts) => parts.iter().any(|&part| self.calls(part)),
        }
    }
}

/// Whether the conditions of a block let a value be.
fn allowed(block: &Block, value: &Choice) -> bool {
    let holds = |condition: &Condition, meets: bool| {
        let known = value.context.iter().find(|(key, _)| *key == condition.key);
        known.is_none_or(|(_, known)| (condition.values.is_empty() || condition.values.contains(known)) == meets)
    };
    block.requires.iter().all(|condition| holds(condition, true)) && block.excludes.iter().all(|condition| holds(condition, false))
}
