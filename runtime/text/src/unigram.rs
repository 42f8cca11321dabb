//! SentencePiece's unigram model (Kudo 2018): of all ways to cut a word into tokens the likeliest.

use std::borrow::Cow;

use crate::steps::{SPACE, Step};
use crate::vocabulary::Vocabulary;

/// How much less likely a character without a token is than the least likely token.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A unigram model, and what is done to a text before.
#[derive(Clone, Debug)]
pub(crate) struct Unigram {
    vocabulary: Vocabulary,
    /// Of an unknown character.
    unknown: u32,
    unknown_score: f64,
    steps: Vec<Step>,
    /// Whether words end at any white space, which is left out; otherwise at a space, which becomes a part of the next word.
    splits_whitespace: bool,
}

/// The best way to the end of a character.
#[derive(Clone, Copy)]
struct Best {
    start: usize,
    score: f64,
    id: Option<u32>,
}

impl Unigram {
    pub(crate) fn new(vocabulary: Vocabulary, unknown: u32, steps: Vec<Step>, splits_whitespace: bool) -> Self {
        let unknown_score = vocabulary.least_score() - UNKNOWN_PENALTY;
        Self { vocabulary, unknown, unknown_score, steps, splits_whitespace }
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.vocabulary.size()
    }

    pub(crate) fn normalize<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.steps.iter().fold(Cow::Borrowed(text), |text, step| step.apply(text))
    }

    /// The tokens of a normalised text.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        if self.splits_whitespace {
            text.split_whitespace().for_each(|word| self.spaced(word, ids));
        } else {
            self.spaced(text, ids);
        }
    }

    /// A text whose spaces belong to the word behind them; one stands before the first word.
    fn spaced(&self, text: &str, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let mut spaced = text.replace(' ', SPACE.encode_utf8(&mut [0; 4]));
        if !spaced.starts_with(SPACE) {
            spaced.insert(0, SPACE);
        }
        let mut start = 0;
        let ends = spaced.char_indices().skip(1).filter(|(_, character)| *character == SPACE).map(|(at, _)| at);
        for end in ends.chain([spaced.len()]) {
            self.viterbi(&spaced[start..end], ids);
            start = end;
        }
    }

    /// The likeliest tokens of a word (Viterbi 1967); of equally likely ways the one that was found first. Unknown characters next to each other
    /// are one unknown token. Takes time in the order of the word's length times that of the longest token.
    fn viterbi(&self, word: &str, ids: &mut Vec<u32>) {
        let mut best: Vec<Option<Best>> = vec![None; word.len() + 1];
        let longest = self.vocabulary.longest();
        for (start, character) in word.char_indices() {
            let before = if start == 0 { 0.0 } else { best[start].map_or(0.0, |best| best.score) };
            let mut offer = |end: usize, id, score: f64| {
                let score = before + score;
                if best[end].is_none_or(|best| score > best.score) {
                    best[end] = Some(Best { start, score, id });
                }
            };
            let own = start + character.len_utf8();
            let mut alone = false;
            let most = word.len().min(start + longest);
            for end in (own..=most).filter(|&end| word.is_char_boundary(end)) {
                if let Some((id, score)) = self.vocabulary.scored(&word[start..end]) {
                    alone |= end == own;
                    offer(end, Some(id), score);
                }
            }
            if !alone {
                offer(own, None, self.unknown_score);
            }
        }
        let first = ids.len();
        let (mut end, mut unknown) = (word.len(), false);
        while let (true, Some(Best { start, id, .. })) = (end > 0, best[end]) {
            match id {
                Some(id) => ids.push(id),
                None if unknown => {}
                None => ids.push(self.unknown),
            }
            unknown = id.is_none();
            end = start;
        }
        ids[first..].reverse();
    }
}
