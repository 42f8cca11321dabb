//! Byte pair encoding (Sennrich et al. 2016) of a word's bytes, as GPT-2 and CLIP do it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What two tokens next to each other become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Merge {
    pair: (u32, u32),
    /// Earlier ones come first.
    rank: u32,
    joined: u32,
}

/// Merges of tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merges {
    /// In order of their pairs.
    merges: Vec<Merge>,
}

/// A token of a word that is being merged.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    /// The next one that is still there; beyond the last at the end.
    next: usize,
    /// The one before; none at the start.
    before: Option<usize>,
}

/// A pair that may be merged: its rank, where it begins, and what it was when it was found.
type Candidate = Reverse<(u32, usize, (u32, u32))>;

impl Merges {
    /// Merges in the order of their ranks: two tokens, and the one they become. Of a pair that comes again the first counts.
    pub(crate) fn new(merges: impl Iterator<Item = ((u32, u32), u32)>) -> Self {
        let mut merges: Vec<Merge> = merges.zip(0..).map(|((pair, joined), rank)| Merge { pair, rank, joined }).collect();
        merges.sort_by_key(|merge| (merge.pair, merge.rank));
        merges.dedup_by_key(|merge| merge.pair);
        Self { merges }
    }

    fn find(&self, pair: (u32, u32)) -> Option<Merge> {
        self.merges.binary_search_by_key(&pair, |merge| merge.pair).ok().map(|at| self.merges[at])
    }

    /// Merges a word's tokens, the pair that comes first in the list first and of equal ones the leftmost, until there is none left, and puts what
    /// remains behind `ids`. Takes time in the order of `n log n`.
    pub(crate) fn apply(&self, word: &[u32], ids: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> =
            word.iter().enumerate().map(|(at, &id)| Symbol { id, next: at + 1, before: at.checked_sub(1) }).collect();
        let mut candidates: BinaryHeap<Candidate> = BinaryHeap::new();
        for at in 1..symbols.len() {
            self.offer(&symbols, at - 1, &mut candidates);
        }
        while let Some(Reverse((_, at, pair))) = candidates.pop() {
            let Symbol { id, next, before } = symbols[at];
            // A token that was taken into another is told by its id: no pair has it.
            let Some(&Symbol { id: other, next: behind, .. }) = symbols.get(next) else { continue };
            let Some(merge) = self.find(pair).filter(|_| (id, other) == pair) else { continue };
            symbols[at] = Symbol { id: merge.joined, next: behind, before };
            symbols[next].id = GONE;
            if let Some(symbol) = symbols.get_mut(behind) {
                symbol.before = Some(at);
            }
            self.offer(&symbols, at, &mut candidates);
            if let Some(before) = before {
                self.offer(&symbols, before, &mut candidates);
            }
        }
        let mut at = 0;
        while let Some(symbol) = symbols.get(at) {
            ids.push(symbol.id);
            at = symbol.next;
        }
    }

    fn offer(&self, symbols: &[Symbol], at: usize, candidates: &mut BinaryHeap<Candidate>) {
        let Some(next) = symbols.get(symbols[at].next) else { return };
        let pair = (symbols[at].id, next.id);
        if let Some(merge) = self.find(pair) {
            candidates.push(Reverse((merge.rank, at, pair)));
        }
    }
}

/// No token has this id.
const GONE: u32 = u32::MAX;

/// The character that stands for a byte in a vocabulary: itself where it can be seen, one from U+0100 on otherwise.
pub(crate) fn byte_character(byte: u8) -> char {
    let seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if seen(byte) {
        return char::from(byte);
    }
    let hidden = (0..byte).filter(|&byte| !seen(byte)).count() as u32;
    char::from_u32(0x100 + hidden).unwrap_or('\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_characters_of_their_own() {
        let all: std::collections::BTreeSet<char> = (0..=255).map(byte_character).collect();
        assert_eq!(all.len(), 256);
        assert_eq!([b' ', b'\n', b'a', 0x7f, 0xad].map(byte_character), ['\u{120}', '\u{10a}', 'a', '\u{121}', '\u{143}']);
    }

    #[test]
    fn the_first_in_the_list_is_merged_first() {
        // 0 and 1 to 4, 1 and 2 to 5, 4 and 2 to 6.
        let merges = Merges::new([((1, 2), 5), ((0, 1), 4), ((4, 2), 6)].into_iter());
        let run = |word: &[u32]| {
            let mut ids = vec![];
            merges.apply(word, &mut ids);
            ids
        };
        assert_eq!(run(&[0, 1, 2]), [0, 5]);
        assert_eq!(run(&[0, 1, 0, 1]), [4, 4]);
        assert_eq!(run(&[0, 1, 3, 2]), [4, 3, 2]);
        assert_eq!(run(&[3]), [3]);
        assert!(run(&[]).is_empty());
        // Of overlapping pairs the leftmost.
        let merges = Merges::new([((0, 0), 1)].into_iter());
        let mut ids = vec![];
        merges.apply(&[0, 0, 0], &mut ids);
        assert_eq!(ids, [1, 0]);
    }
}
