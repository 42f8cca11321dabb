//! A grammar and a vocabulary to a token automaton.
//!
//! The words' minimal automaton is written out in tokens: each word in all its forms, with a space before it, punctuation behind it and
//! hyphens where they may be. Pieces that a tokenizer encodes on their own (words, signs) are encoded on their own here. Then the subset
//! construction makes it deterministic.

use std::collections::HashMap;
use std::fmt;

use crate::automaton::{AnyText, Arc, NO_TEXT, State, TextClass, TokenAutomaton};
use crate::grammar::Grammar;
use crate::numbers;
use crate::spelling;
use crate::vocabulary::Vocabulary;
use crate::word_dfa::{Symbol, WordDfa};

/// The most states of an automaton, over words and over tokens.
const MAX_STATES: usize = 1 << 18;
/// The most arcs of an automaton over tokens.
const MAX_ARCS: usize = 1 << 22;
/// The most places looked up while making it, which bounds time and memory where states stand for many places at once.
const MAX_PLACES: usize = 1 << 24;

/// Signs that may stand behind any word.
const PAUSES: [&str; 2] = [",", "."];
/// Signs that may stand behind the last word.
const ENDS: [&str; 3] = ["?", "!", "..."];

/// Why there is no automaton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// More states or arcs than the limits, or too much work to find out.
    TooLarge {
        /// The most states.
        max_states: usize,
        /// The most arcs.
        max_arcs: usize,
    },
    /// A word that the vocabulary cannot write.
    Unwritable {
        /// The word.
        word: String,
    },
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { max_states, max_arcs } => {
                write!(
                    f,
                    "the sentences need more than {max_states} states or {max_arcs} arcs: use fewer or shorter lists and ranges, and one free text a sentence"
                )
            }
            Self::Unwritable { word } => write!(f, "the model's vocabulary cannot write {word:?}: use another model or another word"),
        }
    }
}

impl std::error::Error for CompileError {}

impl TokenAutomaton {
    /// Compiles a grammar for a model's vocabulary.
    ///
    /// # Errors
    /// [`CompileError`], if the automaton would be too large or a word has no tokens.
    pub fn compile(grammar: &Grammar, vocabulary: &impl Vocabulary) -> Result<Self, CompileError> {
        let too_large = CompileError::TooLarge { max_states: MAX_STATES, max_arcs: MAX_ARCS };
        let words = WordDfa::new(&grammar.program, MAX_STATES, MAX_PLACES).ok_or(too_large.clone())?;
        let spelled = Spelled::new(grammar, vocabulary)?;
        let classes = (0..vocabulary.len()).map(|token| text_class(vocabulary.bytes(token))).collect();
        Determiniser::new(&words, &spelled, classes).run().ok_or(too_large)
    }
}

/// What free text may hold: words, and the signs found in and between words.
fn text_class(bytes: &[u8]) -> TextClass {
    let Ok(text) = std::str::from_utf8(bytes) else { return TextClass::Other };
    let body = text.strip_prefix(' ').unwrap_or(text);
    if body.is_empty() || !body.chars().all(|c| c.is_alphanumeric() || "'\u{2019}-.,&%/:".contains(c)) {
        return TextClass::Other;
    }
    if text.starts_with(' ') && body.starts_with(char::is_alphanumeric) { TextClass::Word } else { TextClass::Piece }
}

/// A rest of tokens still to be read, shared between all words that end alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rest(u32);

/// What follows a rest's last token.
const AFTER_WORD: Rest = Rest(0);
const AFTER_JOINABLE: Rest = Rest(1);
const AFTER_SIGN: Rest = Rest(2);
const FIRST_REST: u32 = 3;

/// How words are written in tokens.
#[derive(Default)]
struct Spelled {
    /// Each rest: its first token and the rest after that.
    rests: Vec<(u32, Rest)>,
    ids: HashMap<(u32, Rest), Rest>,
    words: Vec<Forms>,
    /// Skipped phrases where a sentence may begin.
    skipped_first: Forms,
    /// Skipped phrases elsewhere.
    skipped: Forms,
    pauses: Vec<Rest>,
    ends: Vec<Rest>,
    hyphen: Vec<Rest>,
}

/// A word's forms.
#[derive(Default)]
struct Forms {
    /// With a space before.
    spaced: Vec<Rest>,
    /// Without.
    bare: Vec<Rest>,
    /// A sign directly behind the word before.
    signs: Vec<Rest>,
}

impl Spelled {
    fn new(grammar: &Grammar, vocabulary: &impl Vocabulary) -> Result<Self, CompileError> {
        let mut spelled = Self::default();
        for entry in grammar.lexicon.entries() {
            let joinable = entry.hyphen || numbers::is_number(&entry.text);
            let mut forms = Forms::default();
            for form in spelling::forms(entry) {
                spelled.add(&form, if joinable { AFTER_JOINABLE } else { AFTER_WORD }, vocabulary, &mut forms);
            }
            if forms.spaced.is_empty() {
                return Err(CompileError::Unwritable { word: entry.text.clone() });
            }
            if let Some(sign) = spelling::sign(&entry.text) {
                forms.signs.extend(spelled.encode(sign, AFTER_SIGN, vocabulary));
                let closed = PAUSES.iter().chain(&ENDS).map(|end| format!("{sign}{end}"));
                forms.signs.extend(closed.filter_map(|text| spelled.encode(&text, AFTER_SIGN, vocabulary)));
            }
            spelled.words.push(forms);
        }
        let (mut first, mut elsewhere) = (Forms::default(), Forms::default());
        for phrase in &grammar.skip_phrases {
            let forms = phrase.iter().map(|&word| spelling::forms(&grammar.lexicon.entries()[word as usize]));
            for (i, text) in phrase_forms(&forms.collect::<Vec<_>>()).iter().enumerate() {
                spelled.add(text, AFTER_WORD, vocabulary, &mut first);
                // A capital belongs where a sentence begins; without this, these phrases would be most of all arcs.
                if i == 0 || !text.starts_with(char::is_uppercase) {
                    spelled.add(text, AFTER_WORD, vocabulary, &mut elsewhere);
                }
            }
        }
        (spelled.skipped_first, spelled.skipped) = (first, elsewhere);
        spelled.pauses = PAUSES.iter().filter_map(|sign| spelled.encode(sign, AFTER_SIGN, vocabulary)).collect();
        spelled.ends = ENDS.iter().filter_map(|sign| spelled.encode(sign, AFTER_SIGN, vocabulary)).collect();
        spelled.hyphen = spelled.encode("-", AFTER_WORD, vocabulary).into_iter().collect();
        Ok(spelled)
    }

    /// Adds a form with and without a space. A form that ends in a sign swallows the sign behind it, as tokenizers encode both as one.
    fn add(&mut self, form: &str, after: Rest, vocabulary: &impl Vocabulary, forms: &mut Forms) {
        let closes: &[&str] = if form.ends_with(char::is_alphanumeric) { &[""] } else { &["", ",", "?", "!"] };
        let after = if closes.len() == 1 { after } else { AFTER_SIGN };
        for close in closes {
            let text = format!(" {form}{close}");
            forms.spaced.extend(self.encode(&text, after, vocabulary));
            forms.bare.extend(self.encode(&text[1..], after, vocabulary));
        }
    }

    fn encode(&mut self, text: &str, after: Rest, vocabulary: &impl Vocabulary) -> Option<Rest> {
        let mut tokens = Vec::new();
        vocabulary.encode(text, &mut tokens);
        let bytes = tokens.iter().flat_map(|&token| vocabulary.bytes(token));
        if tokens.is_empty() || !bytes.eq(text.as_bytes()) {
            return None;
        }
        Some(tokens.iter().rev().fold(after, |rest, &token| self.rest(token, rest)))
    }

    fn rest(&mut self, token: u32, after: Rest) -> Rest {
        let Self { rests, ids, .. } = self;
        *ids.entry((token, after)).or_insert_with(|| {
            rests.push((token, after));
            Rest(rests.len() as u32 - 1 + FIRST_REST)
        })
    }

    fn get(&self, rest: Rest) -> (u32, Rest) {
        self.rests[(rest.0 - FIRST_REST) as usize]
    }
}

/// The forms of a phrase: its first word in each form, the others as they are first given or with an apostrophe.
fn phrase_forms(words: &[Vec<String>]) -> Vec<String> {
    let tail: String = words[1..].iter().map(|forms| format!(" {}", forms[0])).collect();
    words[0].iter().map(|form| format!("{form}{tail}")).collect()
}

/// What stands before the next word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Layer {
    /// Nothing: the text begins.
    Start,
    /// A word.
    Word,
    /// A word that a hyphen may follow.
    Joinable,
    /// A word and a sign.
    Sign,
    /// A word and a hyphen.
    Hyphen,
}

/// A place of the automaton before it is deterministic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    /// Between words.
    Between { words: u32, layer: Layer },
    /// Inside a word that leads to state `words`.
    Inside { words: u32, rest: Rest },
    /// In free text that leads to state `words`, with so many tokens left.
    Free { words: u32, left: u32 },
}

/// Free text after a token that is also read otherwise: it does not count towards the limit, lest every sentence that can run beside
/// free text has its states once for each number of tokens left.
fn uncounted(place: Place) -> Place {
    match place {
        Place::Free { words, left } => Place::Free { words, left: left + 1 },
        place => place,
    }
}

struct Determiniser<'a> {
    words: &'a WordDfa,
    spelled: &'a Spelled,
    classes: Vec<TextClass>,
    ids: HashMap<Box<[Place]>, u32>,
    pending: Vec<Box<[Place]>>,
    /// The tokens that the state at work reads.
    reads: Vec<(u32, Place)>,
    /// The set being looked up.
    set: Vec<Place>,
    /// Places looked up so far.
    places: usize,
}

impl<'a> Determiniser<'a> {
    fn new(words: &'a WordDfa, spelled: &'a Spelled, classes: Vec<TextClass>) -> Self {
        Self { words, spelled, classes, ids: HashMap::new(), pending: Vec::new(), reads: Vec::new(), set: Vec::new(), places: 0 }
    }

    /// Nothing past the limits.
    fn run(mut self) -> Option<TokenAutomaton> {
        let start = State(self.id([Place::Between { words: self.words.start, layer: Layer::Start }].into_iter())?);
        let mut offsets = vec![0];
        let (mut arcs, mut accepting, mut text_of, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        while accepting.len() < self.pending.len() {
            let set = self.pending[accepting.len()].clone();
            accepting.push(set.iter().any(|&place| self.accepts(place)));
            let text = self.expand(&set, &mut arcs)?;
            text_of.push(if text.is_some() { texts.len() as u32 } else { NO_TEXT });
            texts.extend(text);
            offsets.push(arcs.len() as u32);
        }
        Some(TokenAutomaton { start, offsets, arcs, accepting, text_of, texts, classes: self.classes })
    }

    fn accepts(&self, place: Place) -> bool {
        match place {
            Place::Between { words, layer } => self.words.accepts(words) && !matches!(layer, Layer::Start | Layer::Hyphen),
            Place::Inside { .. } | Place::Free { .. } => false,
        }
    }

    /// The number of a set of places, unless there are too many. Free text may end after each of its tokens.
    fn id(&mut self, places: impl Iterator<Item = Place>) -> Option<u32> {
        let mut set = std::mem::take(&mut self.set);
        set.clear();
        for place in places {
            set.push(place);
            if let Place::Free { words, .. } = place {
                set.push(Place::Between { words, layer: Layer::Word });
            }
        }
        self.places += set.len();
        if self.places > MAX_PLACES {
            return None;
        }
        set.sort_unstable();
        set.dedup();
        // Of two stays in the same free text, the longer one has all the other's texts. It stands behind it.
        let mut i = 0;
        while i + 1 < set.len() {
            match (set[i], set[i + 1]) {
                (Place::Free { words: a, .. }, Place::Free { words: b, .. }) if a == b => drop(set.remove(i)),
                _ => i += 1,
            }
        }
        let id = match self.ids.get(&set[..]) {
            Some(&id) => id,
            None if self.pending.len() == MAX_STATES => return None,
            None => {
                let id = self.pending.len() as u32;
                self.ids.insert(set[..].into(), id);
                self.pending.push(set[..].into());
                id
            }
        };
        self.set = set;
        Some(id)
    }

    /// Adds the arcs of a state and gives its free text, if it has one; nothing past the limits.
    fn expand(&mut self, set: &[Place], arcs: &mut Vec<Arc>) -> Option<Option<AnyText>> {
        self.reads.clear();
        let (mut word_text, mut piece_text) = (Vec::new(), Vec::new());
        for &place in set {
            match place {
                Place::Inside { words, rest } => self.read(rest, words),
                Place::Free { left: 0, .. } => {}
                Place::Free { words, left } => {
                    word_text.push(Place::Free { words, left: left - 1 });
                    piece_text.push(Place::Free { words, left: left - 1 });
                }
                Place::Between { words, layer } => self.expand_between(words, layer, &mut word_text),
            }
        }
        let mut reads = std::mem::take(&mut self.reads);
        reads.sort_unstable();
        for group in reads.chunk_by(|a, b| a.0 == b.0) {
            let token = group[0].0;
            let free: &[Place] = match self.classes[token as usize] {
                TextClass::Word => &word_text,
                TextClass::Piece => &piece_text,
                TextClass::Other => &[],
            };
            let targets = group.iter().map(|&(_, place)| place).chain(free.iter().map(|&place| uncounted(place)));
            if arcs.len() == MAX_ARCS {
                return None;
            }
            arcs.push(Arc { token, to: State(self.id(targets)?) });
        }
        self.reads = reads;
        let text = AnyText { word: self.text(word_text)?, piece: self.text(piece_text)? };
        Some((text.word.is_some() || text.piece.is_some()).then_some(text))
    }

    /// The state that free text leads to, if any; nothing past the limits.
    fn text(&mut self, places: Vec<Place>) -> Option<Option<State>> {
        if places.is_empty() { Some(None) } else { self.id(places.into_iter()).map(|id| Some(State(id))) }
    }

    fn expand_between(&mut self, words: u32, layer: Layer, word_text: &mut Vec<Place>) {
        let spelled = self.spelled;
        let mut free = false;
        for (symbol, to) in self.words.arcs(words) {
            match symbol {
                Symbol::Word(word) => self.read_forms(&spelled.words[word as usize], layer, to),
                Symbol::Any { max_tokens } => {
                    free = true;
                    if layer != Layer::Hyphen {
                        word_text.push(Place::Free { words: to, left: max_tokens - 1 });
                    }
                }
            }
        }
        // Before free text a skipped word would be two things at once, and states would multiply.
        if layer != Layer::Hyphen && !free {
            let begins = matches!(layer, Layer::Start | Layer::Sign);
            self.read_forms(if begins { &spelled.skipped_first } else { &spelled.skipped }, layer, words);
        }
        if matches!(layer, Layer::Word | Layer::Joinable) {
            let ends = if self.words.accepts(words) { &spelled.ends[..] } else { &[] };
            for &sign in spelled.pauses.iter().chain(ends) {
                self.read(sign, words);
            }
        }
        if layer == Layer::Joinable && self.words.arcs(words).any(|(symbol, _)| matches!(symbol, Symbol::Word(_))) {
            for &hyphen in &spelled.hyphen {
                let (token, _) = spelled.get(hyphen);
                self.reads.push((token, Place::Between { words, layer: Layer::Hyphen }));
            }
        }
    }

    fn read_forms(&mut self, forms: &Forms, layer: Layer, to: u32) {
        if layer != Layer::Hyphen {
            forms.spaced.iter().for_each(|&rest| self.read(rest, to));
        }
        if matches!(layer, Layer::Start | Layer::Hyphen) {
            forms.bare.iter().for_each(|&rest| self.read(rest, to));
        }
        if matches!(layer, Layer::Word | Layer::Joinable) {
            forms.signs.iter().for_each(|&rest| self.read(rest, to));
        }
    }

    /// Reads the first token of `rest`, on the way to state `words`.
    fn read(&mut self, rest: Rest, words: u32) {
        let (token, after) = self.spelled.get(rest);
        let layer = match after {
            AFTER_WORD => Layer::Word,
            AFTER_JOINABLE => Layer::Joinable,
            AFTER_SIGN => Layer::Sign,
            rest => return self.reads.push((token, Place::Inside { words, rest })),
        };
        self.reads.push((token, Place::Between { words, layer }));
    }
}
