//! A network of sentences read in a model's tokens, made deterministic as far as a search comes.
//!
//! A house multiplies out: all sentences with all names would be millions of states, of which an utterance passes a few hundred. So
//! states are made when they are reached and kept while there is room.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Intents;
use super::spoken::{Network, Pc, Step};
use crate::vocabulary::Vocabulary;

/// What is kept from search to search, in bytes.
const KEPT: usize = 4 << 20;
/// What one search may make, in bytes. Past that, states lead nowhere.
const MOST: usize = 6 << 20;
/// The most places one search may pass on its way, which bounds its time.
const MAX_PLACES: usize = 1 << 25;
/// The most places of one state.
const MAX_SET: usize = 1 << 16;

/// A state of a [`SpeechAutomaton`], good until its next [`start`](SpeechAutomaton::start).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpeechState(u32);

/// Which tokens may come next, for sentences and a house.
#[derive(Debug)]
pub struct SpeechAutomaton {
    shared: Arc<Shared>,
    made: RefCell<Made>,
}

#[derive(Debug)]
struct Shared {
    network: Network,
    tokens: Tokens,
}

/// The same sentences, with nothing made yet: a search of its own needs an automaton of its own.
impl Clone for SpeechAutomaton {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), made: RefCell::default() }
    }
}

impl SpeechAutomaton {
    /// The sentences of `intents` that can be recognised, in the tokens of a vocabulary.
    #[must_use]
    pub fn new(intents: &Intents, vocabulary: &impl Vocabulary) -> Self {
        let shared = Shared { network: Network::new(intents), tokens: Tokens::new(vocabulary) };
        Self { shared: Arc::new(shared), made: RefCell::default() }
    }

    /// What was left out, in one line; nothing if nothing was.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let Network { free, beyond, .. } = self.shared.network;
        let mut parts = Vec::new();
        if free > 0 {
            parts.push(format!("{free} sentences with free text, which recognition leaves out"));
        }
        if beyond > 0 {
            parts.push(format!("{beyond} sentences beyond the limit of {} steps", super::spoken::MAX_STEPS));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Bytes of memory held now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.network.bytes() + self.shared.tokens.bytes() + self.made.borrow().bytes
    }

    /// The state before the first token of text.
    pub fn start(&self) -> SpeechState {
        let made = &mut *self.made.borrow_mut();
        if made.bytes > KEPT {
            *made = Made::default();
        }
        made.limit = made.bytes + MOST;
        made.places = 0;
        if made.sets.is_empty() {
            let start = Place { pc: self.shared.network.start, returns: NOWHERE, gap: Gap::Start };
            let set = made.closure(&self.shared.network, vec![start]);
            made.id(set);
        }
        SpeechState(0)
    }

    /// Tells the tokens that may come next, in rising order, with where they lead.
    pub fn arcs(&self, state: SpeechState, mut tell: impl FnMut(u32, SpeechState)) {
        let made = &mut *self.made.borrow_mut();
        if let Some(arcs) = made.arcs.get(&state.0) {
            return arcs.iter().for_each(|&(token, to)| tell(token, SpeechState(to)));
        }
        let mut arcs = Vec::new();
        let tokens = &self.shared.tokens;
        tokens.walk(0..tokens.order.len(), 0, state.0, &mut |state, byte| made.next(&self.shared.network, state, byte), &mut arcs);
        arcs.sort_unstable();
        arcs.iter().for_each(|&(token, to)| tell(token, SpeechState(to)));
        if !made.is_full() {
            made.bytes += arcs.len() * size_of::<(u32, u32)>() + 48;
            made.arcs.insert(state.0, arcs.into());
        }
    }

    /// Whether a sentence may end here.
    pub fn accepts(&self, state: SpeechState) -> bool {
        let made = self.made.borrow();
        let ends = |place: &Place| place.returns == NOWHERE && matches!(self.shared.network.steps[place.pc as usize], Step::Accept);
        made.sets.get(state.0 as usize).is_some_and(|set| set.iter().any(ends))
    }

    /// The state after `token`, if it may come next.
    pub fn next(&self, state: SpeechState, token: u32) -> Option<SpeechState> {
        let made = &mut *self.made.borrow_mut();
        let mut at = state.0;
        for &byte in self.shared.tokens.bytes_of(token)? {
            at = made.next(&self.shared.network, at, byte)?;
        }
        Some(SpeechState(at))
    }
}

/// What was read last, and so what may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Gap {
    /// Nothing: a blank may come, or a word.
    Start,
    /// A word; a blank must come before the next.
    Blank,
    /// As that, and no hyphen: beside skipped words.
    Apart,
    /// As that, and a sign.
    Sign,
    /// A blank: a word begins.
    First,
    /// A hyphen for a blank: a word begins, but no figures, before which it would be a minus sign.
    Joined,
    /// A small letter of a word, after which no capitals come.
    Small,
    /// A word's first capital.
    Capital,
    /// So many capitals: two, three.
    Two,
    Three,
}

impl Gap {
    /// What a byte of a word makes of it; nothing if nobody writes it so: `Tv` and `TV`, not `tV`.
    fn letter(self, byte: u8) -> Option<Self> {
        let capital = byte.is_ascii_uppercase();
        match self {
            Self::Joined if byte.is_ascii_digit() => None,
            Self::Start | Self::First | Self::Joined if capital => Some(Self::Capital),
            Self::Capital if capital => Some(Self::Two),
            Self::Two if capital => Some(Self::Three),
            Self::Two | Self::Three if byte.is_ascii_lowercase() => None,
            Self::Start | Self::First | Self::Joined | Self::Small | Self::Capital | Self::Two | Self::Three if !capital => {
                Some(if byte == b'-' { Self::First } else { Self::Small })
            }
            _ => None,
        }
    }
}

/// Not inside a list.
const NOWHERE: u32 = 0;

/// A place in the network that is about to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    pc: Pc,
    /// Inside a list, the number of the places that follow it.
    returns: u32,
    gap: Gap,
}

/// What has been made deterministic so far.
#[derive(Debug, Default)]
struct Made {
    sets: Vec<Arc<[Place]>>,
    ids: HashMap<Arc<[Place]>, u32>,
    steps: HashMap<(u32, u8), Option<u32>>,
    arcs: HashMap<u32, Box<[(u32, u32)]>>,
    /// Places that follow a list; number 0 is none.
    returns: Vec<Arc<[Pc]>>,
    return_ids: HashMap<Arc<[Pc]>, u32>,
    bytes: usize,
    limit: usize,
    /// Places passed since the last start.
    places: usize,
}

impl Made {
    /// Whether a search has made its share.
    fn is_full(&self) -> bool {
        self.bytes > self.limit || self.places > MAX_PLACES
    }

    fn id(&mut self, set: Vec<Place>) -> u32 {
        if let Some(&id) = self.ids.get(&set[..]) {
            return id;
        }
        let id = self.sets.len() as u32;
        self.bytes += set.len() * size_of::<Place>() + 96;
        let set: Arc<[Place]> = set.into();
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }

    fn next(&mut self, network: &Network, state: u32, byte: u8) -> Option<u32> {
        if let Some(&next) = self.steps.get(&(state, byte)) {
            return next;
        }
        if self.is_full() {
            return None;
        }
        let set = self.sets.get(state as usize)?.clone();
        self.places += set.len();
        let mut reached = Vec::new();
        for &place in &*set {
            reached.extend(read(network, place, byte));
        }
        let next = if reached.is_empty() {
            None
        } else {
            let set = self.closure(network, reached);
            Some(self.id(set))
        };
        self.bytes += 32;
        self.steps.insert((state, byte), next);
        next
    }

    /// All places that are about to be read, sorted.
    fn closure(&mut self, network: &Network, places: Vec<Place>) -> Vec<Place> {
        let mut seen: HashSet<Place> = HashSet::new();
        let mut set = Vec::new();
        let mut stack = places;
        let mut calls: Vec<(Pc, Gap, Pc)> = Vec::new();
        loop {
            while let Some(place) = stack.pop() {
                let Place { pc, returns, gap } = place;
                if !seen.insert(place) || set.len() == MAX_SET {
                    continue;
                }
                self.places += 1;
                match network.steps[pc as usize] {
                    Step::Byte { .. } | Step::Accept => set.push(place),
                    Step::Blank { next } => {
                        let gap = if matches!(gap, Gap::Start | Gap::Apart | Gap::Sign) { gap } else { Gap::Blank };
                        stack.push(Place { pc: next, returns, gap });
                    }
                    Step::Space { next } => {
                        let gap = if matches!(gap, Gap::Start | Gap::Sign) { gap } else { Gap::Apart };
                        stack.push(Place { pc: next, returns, gap });
                    }
                    Step::Split { start, len } => stack.extend(network.targets(start, len).iter().map(|&pc| Place { pc, returns, gap })),
                    // Lists call no lists.
                    Step::Call { list, next } => calls.push((list, gap, next)),
                    Step::Return => {
                        let after = self.returns.get(returns as usize).cloned();
                        stack.extend(after.iter().flat_map(|after| after.iter()).map(|&pc| Place { pc, returns: NOWHERE, gap }));
                    }
                }
            }
            if calls.is_empty() {
                break;
            }
            calls.sort_unstable();
            calls.dedup();
            for same in std::mem::take(&mut calls).chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
                let after: Vec<Pc> = same.iter().map(|&(_, _, next)| next).collect();
                let returns = self.returns_id(after);
                stack.push(Place { pc: same[0].0, returns, gap: same[0].1 });
            }
        }
        set.sort_unstable();
        set
    }

    fn returns_id(&mut self, after: Vec<Pc>) -> u32 {
        if self.returns.is_empty() {
            self.returns.push([].into());
        }
        if let Some(&id) = self.return_ids.get(&after[..]) {
            return id;
        }
        let id = self.returns.len() as u32;
        self.bytes += after.len() * size_of::<Pc>() + 96;
        let after: Arc<[Pc]> = after.into();
        self.returns.push(after.clone());
        self.return_ids.insert(after, id);
        id
    }
}

/// Where a byte leads, if it may come.
fn read(network: &Network, place: Place, byte: u8) -> Option<Place> {
    let Place { pc, gap, .. } = place;
    match network.steps[pc as usize] {
        Step::Byte { byte: wanted, next } => match (gap, byte) {
            (Gap::Start | Gap::Blank | Gap::Apart | Gap::Sign, b' ') => Some(Place { gap: Gap::First, ..place }),
            (Gap::Blank, b'-') => Some(Place { gap: Gap::Joined, ..place }),
            (Gap::Blank | Gap::Apart, b',' | b'.') => Some(Place { gap: Gap::Sign, ..place }),
            _ if byte.to_ascii_lowercase() == wanted => gap.letter(byte).map(|gap| Place { pc: next, gap, ..place }),
            _ => None,
        },
        // A sentence may end with a sign, or three points.
        Step::Accept if gap != Gap::Sign && matches!(byte, b'.' | b',' | b'?' | b'!') => Some(Place { gap: Gap::Sign, ..place }),
        Step::Accept if gap == Gap::Sign && byte == b'.' => Some(place),
        _ => None,
    }
}

/// The text tokens of a vocabulary in the order of their bytes.
#[derive(Debug)]
struct Tokens {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    order: Vec<u32>,
}

impl Tokens {
    fn new(vocabulary: &impl Vocabulary) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for token in 0..vocabulary.len() {
            bytes.extend_from_slice(vocabulary.bytes(token));
            ends.push(bytes.len() as u32);
        }
        let mut tokens = Self { bytes, ends, order: Vec::new() };
        let mut order: Vec<u32> =
            (0..vocabulary.len()).filter(|&token| tokens.bytes_of(token).is_some_and(|bytes| !bytes.is_empty())).collect();
        order.sort_by(|&a, &b| tokens.bytes_of(a).cmp(&tokens.bytes_of(b)));
        tokens.order = order;
        tokens
    }

    fn bytes_of(&self, token: u32) -> Option<&[u8]> {
        let end = *self.ends.get(token as usize)? as usize;
        let start = token.checked_sub(1).map_or(0, |before| self.ends[before as usize] as usize);
        Some(&self.bytes[start..end])
    }

    fn bytes(&self) -> usize {
        self.bytes.capacity() + (self.ends.capacity() + self.order.capacity()) * size_of::<u32>()
    }

    /// The tokens of a range that share `depth` bytes, which lead to `state`, and where each leads.
    fn walk(
        &self,
        range: std::ops::Range<usize>,
        depth: usize,
        state: u32,
        next: &mut impl FnMut(u32, u8) -> Option<u32>,
        out: &mut Vec<(u32, u32)>,
    ) {
        let bytes = |place: usize| self.bytes_of(self.order[place]).unwrap_or_default();
        let mut at = range.start;
        while at < range.end && bytes(at).len() == depth {
            out.push((self.order[at], state));
            at += 1;
        }
        while at < range.end {
            let byte = bytes(at)[depth];
            let end = at + self.order[at..range.end].partition_point(|&token| self.bytes_of(token).unwrap_or_default()[depth] <= byte);
            if let Some(to) = next(state, byte) {
                self.walk(at..end, depth + 1, to, next, out);
            }
            at = end;
        }
    }
}
