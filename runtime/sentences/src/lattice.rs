//! The words of a text, and what else they may be read as: `wifi` is `wi fi`, `20 point 5` is `20.5`.
//!
//! Templates have one way to write each thing and some spellings of it; people have more. The matcher follows all of them at once.

use crate::lexicon::{Lexicon, UNKNOWN};
use crate::spoken;
use crate::words::Word;

/// The most words that are written as one.
const MOST_JOINED: usize = 3;
/// The shortest part of a word that is taken for a word, in bytes.
const SHORTEST_PART: usize = 2;
/// The longest word that is taken apart, in bytes: compounds and some room.
const LONGEST_TAKEN_APART: usize = 64;

/// A word of the grammar that may be read at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) word: u32,
    /// The place after it.
    pub(crate) to: u32,
}

/// A text as places between words, and inside those that can be taken apart.
#[derive(Debug, Default)]
pub(crate) struct Lattice {
    /// What may be read at each place; the word as it stands first.
    steps: Vec<Vec<Step>>,
    /// The word that each place is before or inside of.
    word_at: Vec<u32>,
    /// The place before each word, and the one at the end.
    places: Vec<u32>,
    /// Whether something that does not stand there ends at each place.
    rejoins: Vec<bool>,
}

impl Lattice {
    /// The readings of `words`, which are those of `text`, in words of the grammar.
    pub(crate) fn new(text: &str, words: &[Word], lexicon: &Lexicon, english: bool) -> Self {
        let cuts: Vec<Vec<(usize, usize)>> = words.iter().map(|word| parts(&word.text, lexicon)).collect();
        let mut lattice = Self::default();
        for (i, parts) in cuts.iter().enumerate() {
            lattice.places.push(lattice.word_at.len() as u32);
            // A place before the word, and one at each cut inside.
            let inside = cuts_inside(parts).len();
            lattice.word_at.extend(std::iter::repeat_n(i as u32, 1 + inside));
        }
        lattice.places.push(lattice.word_at.len() as u32);
        lattice.word_at.push(words.len() as u32);
        lattice.steps.resize_with(lattice.word_at.len(), Vec::new);
        lattice.rejoins.resize(lattice.word_at.len(), false);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        for (i, word) in words.iter().enumerate() {
            let known = lexicon.find(&word.text);
            lattice.add(i, known.unwrap_or(UNKNOWN), i + 1);
            if known.is_none() {
                lexicon.find_accented(&word.text).into_iter().for_each(|id| lattice.add_other(i, id, i + 1));
            }
            lattice.add_parts(i, &word.text, &cuts[i], lexicon);
            lattice.add_joined(i, &texts, lexicon);
            lattice.add_numbers(i, &texts, lexicon, english);
            if !english {
                lattice.add_decimal_comma(i, text, words, lexicon);
            }
        }
        lattice
    }

    /// Words that are only themselves.
    #[cfg(test)]
    pub(crate) fn plain(words: &[u32]) -> Self {
        let places = 0..=words.len() as u32;
        let step = |(i, &word): (usize, &u32)| vec![Step { word, to: i as u32 + 1 }];
        Self {
            steps: words.iter().enumerate().map(step).chain([Vec::new()]).collect(),
            word_at: places.clone().collect(),
            places: places.collect(),
            rejoins: vec![false; words.len() + 1],
        }
    }

    /// How many words there are.
    pub(crate) fn words(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    /// How many places there are; the last is the end.
    pub(crate) fn places(&self) -> usize {
        self.word_at.len()
    }

    pub(crate) fn is_end(&self, place: u32) -> bool {
        place as usize + 1 == self.places()
    }

    pub(crate) fn steps(&self, place: u32) -> &[Step] {
        &self.steps[place as usize]
    }

    /// Whether the same may be said in several ways up to here.
    pub(crate) fn rejoins(&self, place: u32) -> bool {
        self.rejoins[place as usize]
    }

    /// The places after one or more whole words from `place` on, with how many these are; none inside a word.
    pub(crate) fn after_words(&self, place: u32) -> impl DoubleEndedIterator<Item = (u32, u32)> {
        let first = self.word_at[place as usize] as usize;
        let ends = if self.places[first] == place { &self.places[first + 1..] } else { &[] };
        ends.iter().enumerate().map(|(before, &end)| (end, before as u32 + 1))
    }

    /// The words from one place to another, those cut included.
    pub(crate) fn range(&self, start: u32, end: u32) -> std::ops::Range<usize> {
        let last = self.word_at[end as usize] as usize;
        let cut = end > start && self.places[last] != end;
        self.word_at[start as usize] as usize..last + usize::from(cut)
    }

    fn add(&mut self, from: usize, word: u32, to: usize) {
        let to = self.places[to];
        self.steps[self.places[from] as usize].push(Step { word, to });
    }

    fn add_other(&mut self, from: usize, word: u32, to: usize) {
        self.add(from, word, to);
        self.rejoins[self.places[to] as usize] = true;
    }

    /// One word that the grammar writes as several: `wifi`, `livingroom`.
    fn add_parts(&mut self, i: usize, word: &str, parts: &[(usize, usize)], lexicon: &Lexicon) {
        let cuts = cuts_inside(parts);
        let (first, after) = (self.places[i], self.places[i + 1]);
        let place = |at: usize| match cuts.binary_search(&at) {
            Ok(cut) => first + 1 + cut as u32,
            Err(_) if at == 0 => first,
            Err(_) => after,
        };
        for &(start, end) in parts {
            let Some(id) = lexicon.find(&word[start..end]) else { continue };
            self.steps[place(start) as usize].push(Step { word: id, to: place(end) });
            self.rejoins[place(end) as usize] = true;
        }
    }

    /// Several words that the grammar writes as one: `living room` for `livingroom`, `wi fi` for `wifi`.
    fn add_joined(&mut self, i: usize, texts: &[&str], lexicon: &Lexicon) {
        let mut joined = String::new();
        for (count, text) in texts[i..].iter().take(MOST_JOINED).enumerate() {
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                return;
            }
            joined.push_str(text);
            if let Some(id) = lexicon.find(&joined).filter(|_| count > 0) {
                self.add_other(i, id, i + count + 1);
            }
        }
    }

    fn add_numbers(&mut self, i: usize, texts: &[&str], lexicon: &Lexicon, english: bool) {
        // Figures with nothing after the point.
        let whole = texts[i].split_once('.').filter(|(_, decimals)| decimals.bytes().all(|b| b == b'0'));
        if let Some(id) = whole.and_then(|(whole, _)| lexicon.find(whole)) {
            self.add_other(i, id, i + 1);
        }
        if !english {
            return;
        }
        for (figures, len) in spoken::readings(&texts[i..]) {
            if let Some(id) = lexicon.find(&figures) {
                self.add_other(i, id, i + len);
            }
        }
        if texts[i] == "negative"
            && spoken::begins(&texts[i + 1..])
            && let Some(id) = lexicon.find("minus")
        {
            self.add_other(i, id, i + 1);
        }
    }

    /// `20,5`, which is a number in most languages.
    fn add_decimal_comma(&mut self, i: usize, text: &str, words: &[Word], lexicon: &Lexicon) {
        let [whole, tenths, ..] = &words[i..] else { return };
        let figures = |word: &Word| word.text.bytes().all(|b| b.is_ascii_digit());
        if figures(whole)
            && figures(tenths)
            && text[whole.span.end..tenths.span.start] == *","
            && let Some(id) = lexicon.find(&format!("{}.{}", whole.text, tenths.text))
        {
            self.add_other(i, id, i + 2);
        }
    }
}

/// The ways to write `word` as two or more words of the grammar, as the parts of all of them: where each begins and ends.
fn parts(word: &str, lexicon: &Lexicon) -> Vec<(usize, usize)> {
    let letters = word.chars().all(char::is_alphabetic);
    if !letters || !(2 * SHORTEST_PART..=LONGEST_TAKEN_APART).contains(&word.len()) {
        return Vec::new();
    }
    let is_word = |start: usize, end: usize| word.get(start..end).is_some_and(|part| lexicon.find(part).is_some());
    let spans = |start: usize| (start + SHORTEST_PART..=word.len()).filter(move |&end| (start, end) != (0, word.len()));
    // What can be reached from the beginning, and from where the end can be.
    let mut reached = vec![false; word.len() + 1];
    reached[0] = true;
    let mut found = Vec::new();
    for start in 0..word.len() {
        if reached[start] {
            for end in spans(start).filter(|&end| is_word(start, end)) {
                reached[end] = true;
                found.push((start, end));
            }
        }
    }
    let mut ends = vec![false; word.len() + 1];
    ends[word.len()] = true;
    for &(start, end) in found.iter().rev() {
        ends[start] |= ends[end];
    }
    found.retain(|&(_, end)| ends[end]);
    found
}

/// Where parts meet, in order.
fn cuts_inside(parts: &[(usize, usize)]) -> Vec<usize> {
    let mut cuts: Vec<usize> = parts.iter().map(|part| part.0).filter(|&cut| cut > 0).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}
