//! Which sentences a text can be, as hassil has it: templates are followed letter by letter, and blanks count between words.
//!
//! All ways on are followed side by side, and ways that meet go on as one. A number of steps bounds the rest.

use super::needs::apart;
use super::ops::{Op, Part32, trimmed};
use super::program::{Body, NumberWords, Program};
use super::text::{is_word, lower, unspaced};

/// The most steps for one text.
const MAX_STEPS: usize = 1 << 18;
/// The most ways that are followed side by side.
const MAX_WAYS: usize = 512;

/// No link of a history.
pub(super) const NONE: u32 = u32::MAX;

/// A place in a text, and how it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    at: u32,
    /// Whether a word begins here: blanks before it do not count.
    begins: bool,
    /// Whether the rest's hyphens count as blanks.
    apart: bool,
    /// Letters that were matched by templates and not by lists.
    pub(super) letters: u32,
    pub(super) history: u32,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Held {
    Choice { list: u32, choice: u32 },
    Number(f64),
    Free,
}

/// A slot that was filled, and those before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) slot: u32,
    pub(super) held: Held,
    /// Free text that has not ended yet; whether it ends with a word.
    pub(super) open: Option<bool>,
    pub(super) capture: bool,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) before: u32,
}

/// One text against sentences.
pub(super) struct Matcher<'a> {
    program: &'a Program,
    pub(super) original: Vec<char>,
    text: Vec<char>,
    pub(super) links: Vec<Link>,
    steps: usize,
    /// Of each list, the choices that this text may hold.
    choices: Vec<Option<Vec<u32>>>,
}

impl<'a> Matcher<'a> {
    /// `text` is normalised and has no signs; a blank is added to its end.
    pub(super) fn new(program: &'a Program, text: &str, ends_with_blank: bool) -> Self {
        let mut original: Vec<char> = if program.ignore_blanks { unspaced(text).chars().collect() } else { text.chars().collect() };
        if ends_with_blank && !program.ignore_blanks {
            original.push(' ');
        }
        let text = original.iter().copied().map(lower).collect();
        Self { program, original, text, links: Vec::new(), steps: 0, choices: vec![None; program.lists.len()] }
    }

    /// Every way to read the whole text as `part`.
    pub(super) fn sentence(&mut self, part: Part32) -> Vec<Way> {
        let mut ways = Vec::new();
        self.run(part, &[Way { at: 0, begins: true, apart: false, letters: 0, history: NONE }], &mut ways);
        ways.into_iter().filter_map(|way| self.ended(way)).collect()
    }

    fn ended(&mut self, way: Way) -> Option<Way> {
        let rest = trimmed(&self.text[way.at as usize..]);
        let Some(link) = self.open(way) else { return rest.is_empty().then_some(way) };
        let end = self.text.len() as u32;
        (!rest.is_empty()).then(|| Way { at: end, history: self.link(Link { open: None, end, ..link }), ..way })
    }

    fn open(&self, way: Way) -> Option<Link> {
        self.links.get(way.history as usize).copied().filter(|link| link.open.is_some())
    }

    fn link(&mut self, link: Link) -> u32 {
        self.links.push(link);
        self.links.len() as u32 - 1
    }

    fn letter(&self, at: usize, broken: bool) -> char {
        if broken { apart(self.text[at]) } else { self.text[at] }
    }

    fn starts(&self, at: usize, chunk: &[char], broken: bool) -> bool {
        at + chunk.len() <= self.text.len() && chunk.iter().enumerate().all(|(i, &c)| self.letter(at + i, broken) == c)
    }

    fn after_blanks(&self, at: usize) -> usize {
        at + self.text[at..].iter().take_while(|c| c.is_whitespace()).count()
    }

    /// Adds where `part` leads from `from`.
    fn run(&mut self, part: Part32, from: &[Way], out: &mut Vec<Way>) {
        self.steps += 1;
        if self.steps > MAX_STEPS || from.is_empty() {
            return;
        }
        let program = self.program;
        match &program.ops[part as usize] {
            Op::Text(chunk) => from.iter().for_each(|&way| self.text(chunk, way, out)),
            Op::Sequence(parts) => {
                let mut ways = from.to_vec();
                for &part in parts {
                    let mut next = Vec::new();
                    self.run(part, &ways, &mut next);
                    if next.is_empty() {
                        return;
                    }
                    ways = next;
                }
                ways.into_iter().for_each(|way| join(out, way));
            }
            // Each way in turn: of equal readings the first counts.
            Op::Choice(parts) => from.iter().for_each(|way| parts.iter().for_each(|&part| self.run(part, &[*way], out))),
            Op::Permutation(parts) => self.permutation(parts, (1 << parts.len()) - 1, from, out),
            Op::List { list, slot, capture, ends_word } => {
                let mention = Mention { list: *list, slot: *slot, capture: *capture, ends_word: *ends_word };
                from.iter().for_each(|&way| self.list(mention, way, out));
            }
        }
    }

    fn permutation(&mut self, parts: &[Part32], left: u32, from: &[Way], out: &mut Vec<Way>) {
        if left == 0 {
            return from.iter().for_each(|&way| join(out, way));
        }
        for (i, &part) in parts.iter().enumerate().filter(|(i, _)| left & 1 << i != 0) {
            let mut next = Vec::new();
            self.run(part, from, &mut next);
            if !next.is_empty() {
                self.permutation(parts, left & !(1 << i), &next, out);
            }
        }
    }

    fn text(&mut self, chunk: &[char], way: Way, out: &mut Vec<Way>) {
        self.steps += 1;
        if chunk.is_empty() {
            return join(out, way);
        }
        let (mut wanted, mut at) = (chunk, way.at as usize);
        if way.begins || self.program.ignore_blanks {
            wanted = &chunk[chunk.iter().take_while(|c| c.is_whitespace()).count()..];
            at = self.after_blanks(at);
        }
        if let Some(link) = self.open(way) {
            if trimmed(wanted).is_empty() {
                return join(out, Way { at: at as u32, begins: true, ..way });
            }
            return self.after_free(chunk, wanted, link, Way { at: at as u32, ..way }, out);
        }
        let letters = way.letters + trimmed(wanted).len() as u32;
        let end = (at + wanted.len()) as u32;
        // After an article that an apostrophe joins to the next word, blanks do not count either.
        let begins = chunk.last().is_some_and(|&c| c == ' ' || c == '\'');
        if self.starts(at, wanted, way.apart) {
            join(out, Way { at: end, begins, letters, ..way });
        } else if trimmed(wanted).is_empty() && trimmed(&self.text[at..]).is_empty() {
            join(out, way);
        } else if !way.apart && self.starts(at, wanted, true) {
            join(out, Way { at: end, begins, apart: true, ..way });
        } else if way.begins && self.hyphen(at) && self.starts(at + 1, wanted, true) {
            // After a list a hyphen is no more than a blank.
            join(out, Way { at: end + 1, begins, apart: true, letters, ..way });
        }
    }

    fn hyphen(&self, at: usize) -> bool {
        matches!(self.text.get(at), Some('-' | '_'))
    }

    /// Ends free text at each place where `wanted` stands.
    fn after_free(&mut self, chunk: &[char], wanted: &[char], link: Link, way: Way, out: &mut Vec<Way>) {
        let from = way.at as usize;
        // Free text before white space ends with a word, unless it may as well end further back.
        let mut word = link.open == Some(true) && !self.program.ignore_blanks;
        for at in from + 1..self.text.len() {
            let boundary = is_word(self.text[at - 1]) != is_word(self.text[at]);
            if (!word || boundary) && self.starts(at, wanted, way.apart) && !trimmed(&self.text[from..at]).is_empty() {
                word = false;
                let history = self.link(Link { open: None, start: from as u32, end: at as u32, ..link });
                self.text(chunk, Way { at: at as u32, begins: true, history, ..way }, out);
            }
        }
    }

    fn list(&mut self, mention: Mention, way: Way, out: &mut Vec<Way>) {
        self.steps += 1;
        if way.at as usize >= self.text.len() {
            return;
        }
        let program = self.program;
        match &program.lists[mention.list as usize] {
            Body::Wildcard => {
                let Mention { slot, capture, ends_word, .. } = mention;
                let link = Link { slot, held: Held::Free, open: Some(ends_word), capture, start: way.at, end: way.at, before: way.history };
                // Free text right after free text: nobody knows where one ends.
                if self.open(way).is_none() {
                    let history = self.link(link);
                    join(out, Way { history, ..way });
                }
            }
            Body::Values(values) => {
                let choices = self.choices(mention.list);
                for &choice in &choices {
                    let mut reached = Vec::new();
                    self.run(values[choice as usize].part, &[way], &mut reached);
                    for end in reached {
                        // Free text before the value ended where the value begins.
                        let start = if end.history == way.history { way.at } else { self.links[end.history as usize].end };
                        let link = mention.link(Held::Choice { list: mention.list, choice }, start, end);
                        let history = self.link(link);
                        join(out, Way { begins: way.begins, letters: way.letters, history, ..end });
                    }
                }
                self.choices[mention.list as usize] = Some(choices);
            }
            Body::Range { range, words } => match self.open(way) {
                None => {
                    if !self.figures(mention, range, way, out) {
                        let at =
                            if way.begins || self.program.ignore_blanks { self.after_blanks(way.at as usize) } else { way.at as usize };
                        let at = at + usize::from(way.begins && self.hyphen(at));
                        self.words(mention, words, range.multiplier, Way { at: at as u32, ..way }, out);
                    }
                }
                Some(link) => {
                    for at in way.at as usize + 1..self.text.len() {
                        let fresh = !is_word(self.text[at - 1]) && is_word(self.text[at]);
                        if !fresh || trimmed(&self.text[way.at as usize..at]).is_empty() {
                            continue;
                        }
                        let history = self.link(Link { open: None, start: way.at, end: at as u32, ..link });
                        let way = Way { at: at as u32, begins: true, history, ..way };
                        if !self.figures(mention, range, way, out) {
                            self.words(mention, words, range.multiplier, way, out);
                        }
                    }
                }
            },
        }
    }

    /// The choices of a list that this text can hold; plain ones must stand in it.
    fn choices(&mut self, list: u32) -> Vec<u32> {
        if let Some(choices) = self.choices[list as usize].take() {
            return choices;
        }
        let Body::Values(values) = &self.program.lists[list as usize] else { return Vec::new() };
        let stands = |plain: &[char]| {
            let mut places = 0..self.text.len();
            plain.is_empty() || places.any(|at| self.starts(at, plain, false) || self.starts(at, plain, true))
        };
        let holds = |value: &super::program::Choice| value.plain.as_ref().is_none_or(|plain| stands(plain));
        (0..values.len() as u32).filter(|&i| holds(&values[i as usize])).collect()
    }

    /// A number in figures; whether there are figures at all.
    fn figures(&mut self, mention: Mention, range: &super::corpus::Range, way: Way, out: &mut Vec<Way>) -> bool {
        let start = self.after_blanks(way.at as usize);
        let digit = |at: usize| self.text.get(at).and_then(|c| c.to_digit(10)).map(i64::from);
        let minus = self.text.get(start) == Some(&'-');
        let mut at = start + usize::from(minus);
        if digit(at).is_none() {
            return false;
        }
        let mut number = 0i64;
        while let Some(figure) = digit(at) {
            number = number.saturating_mul(10).saturating_add(figure);
            at += 1;
        }
        let mut tenths = number.saturating_mul(10);
        let mut exact = true;
        if !range.tenths.is_empty()
            && matches!(self.text.get(at), Some('.' | ','))
            && let Some(tenth) = digit(at + 1)
        {
            tenths = tenths.saturating_add(tenth);
            at += 2;
            while let Some(figure) = digit(at) {
                exact &= figure == 0;
                at += 1;
            }
        }
        let tenths = if minus { -tenths } else { tenths };
        if range.figures && exact && range.holds(tenths) {
            let end = Way { at: at as u32, ..way };
            let link = mention.link(Held::Number(tenths as f64 / 10.0 * range.multiplier), start as u32, end);
            let history = self.link(link);
            join(out, Way { history, ..end });
        }
        true
    }

    fn words(&mut self, mention: Mention, words: &NumberWords, multiplier: f64, way: Way, out: &mut Vec<Way>) {
        let Some(&first) = self.text.get(way.at as usize) else { return };
        for (word, tenths) in words.get(&first).into_iter().flatten() {
            let at = way.at as usize;
            let broken = way.apart || !self.starts(at, word, false);
            if self.starts(at, word, broken) {
                let end =
                    Way { at: (at + word.len()) as u32, apart: broken, letters: way.letters + word.len() as u32, begins: false, ..way };
                let link = mention.link(Held::Number(*tenths as f64 / 10.0 * multiplier), way.at, end);
                let history = self.link(link);
                join(out, Way { history, ..end });
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Mention {
    list: u32,
    slot: u32,
    capture: bool,
    ends_word: bool,
}

impl Mention {
    fn link(self, held: Held, start: u32, end: Way) -> Link {
        Link { slot: self.slot, held, open: None, capture: self.capture, start, end: end.at, before: end.history }
    }
}

/// Adds a way unless one like it is there; of two that go on alike the one with more letters of templates counts.
fn join(ways: &mut Vec<Way>, way: Way) {
    let like = |other: &Way| Way { letters: way.letters, ..*other } == way;
    match ways.iter().position(like) {
        Some(i) => ways[i].letters = ways[i].letters.max(way.letters),
        None if ways.len() < MAX_WAYS => ways.push(way),
        None => {}
    }
}
