//! Text to tokens, for prompts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::tokenizer::Tokenizer;

/// A byte-level BPE encoder over a [`Tokenizer`]'s vocabulary.
///
/// Whisper's vocabularies number their pieces in the order of their merges, so the smallest token among the neighbours' unions is the
/// merge to make next; the file's merge list is not needed. Building it takes some ten milliseconds: only prompts need it.
#[derive(Debug)]
pub struct TextEncoder<'a> {
    tokens: HashMap<&'a [u8], u32>,
}

impl<'a> TextEncoder<'a> {
    /// An encoder whose pieces are the tokens below `eot`.
    pub fn new(tokenizer: &'a Tokenizer, eot: u32) -> Self {
        let tokens = (0..eot).map(|token| (tokenizer.bytes(token), token)).filter(|(bytes, _)| !bytes.is_empty()).collect();
        Self { tokens }
    }

    /// The tokens of `text`. Bytes without a piece are left out.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for word in split_words(text) {
            self.encode_word(word.as_bytes(), &mut tokens);
        }
        tokens
    }

    fn encode_word(&self, word: &[u8], tokens: &mut Vec<u32>) {
        let mut pieces = Pieces::new(word.len());
        // Unions by token, then from the left: (token, start, end). One that is overtaken by another merge is dropped when it comes up.
        let mut unions = BinaryHeap::new();
        let offer = |unions: &mut BinaryHeap<Reverse<(u32, usize, usize)>>, pieces: &Pieces, start: usize| {
            if let Some(end) = pieces.union_end(start)
                && let Some(&token) = self.tokens.get(&word[start..end])
            {
                unions.push(Reverse((token, start, end)));
            }
        };
        (0..word.len()).for_each(|start| offer(&mut unions, &pieces, start));
        while let Some(Reverse((_, start, end))) = unions.pop() {
            if pieces.union_end(start) != Some(end) {
                continue;
            }
            pieces.merge(start);
            offer(&mut unions, &pieces, start);
            if let Some(before) = pieces.before(start) {
                offer(&mut unions, &pieces, before);
            }
        }
        tokens.extend(pieces.spans().filter_map(|(start, end)| self.tokens.get(&word[start..end])));
    }
}

/// Neighbouring pieces of a word, at first its bytes: a list linked both ways, by where pieces start.
struct Pieces {
    /// The end of the piece that starts here, which is where the next one starts; 0 where none starts.
    ends: Vec<usize>,
    /// The start of the piece that ends here, unless merges have made that place an inner one.
    starts: Vec<usize>,
}

impl Pieces {
    fn new(len: usize) -> Self {
        Self { ends: (1..=len).collect(), starts: (0..=len).map(|end| end.saturating_sub(1)).collect() }
    }

    /// The end of the union of the piece at `start` and the next; `None` if either is missing.
    fn union_end(&self, start: usize) -> Option<usize> {
        let end = self.ends[start];
        self.ends.get(end).copied().filter(|_| end > 0)
    }

    /// Joins the piece at `start`, which has a next one, with it.
    fn merge(&mut self, start: usize) {
        let middle = std::mem::take(&mut self.ends[start]);
        let end = std::mem::take(&mut self.ends[middle]);
        self.ends[start] = end;
        self.starts[end] = start;
    }

    /// The start of the piece before the one at `start`.
    fn before(&self, start: usize) -> Option<usize> {
        (start > 0).then(|| self.starts[start])
    }

    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.ends.iter().enumerate().filter(|&(_, &end)| end > 0).map(|(start, &end)| (start, end))
    }
}

/// Splits as GPT-2 does before merging: contractions; runs of letters, of digits and of other signs, each with one leading space; runs of
/// white space, of which the last space goes to the word after it.
fn split_words(text: &str) -> Vec<&str> {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let len = match CONTRACTIONS.iter().find(|c| rest.starts_with(**c)) {
            Some(contraction) => contraction.len(),
            None => word_len(rest),
        };
        let (word, after) = rest.split_at(len);
        words.push(word);
        rest = after;
    }
    words
}

fn word_len(text: &str) -> usize {
    let space = usize::from(text.starts_with(' '));
    if let Some(class) = text[space..].chars().next().map(class).filter(|&class| class != Class::White) {
        return space + run_len(&text[space..], class);
    }
    let white = run_len(text, Class::White);
    let last = text[..white].chars().next_back().map_or(0, char::len_utf8);
    // White space before a word leaves its last character to the word, unless it is all there is.
    if white == text.len() || white == last { white } else { white - last }
}

fn run_len(text: &str, of: Class) -> usize {
    text.find(|c| class(c) != of).unwrap_or(text.len())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    White,
    Other,
}

fn class(c: char) -> Class {
    if c.is_alphabetic() {
        Class::Letter
    } else if c.is_numeric() {
        Class::Number
    } else if c.is_whitespace() {
        Class::White
    } else {
        Class::Other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tokenizer::Tokenizer;
    use super::super::tokenizer::tests::of_pieces;
    use super::*;

    /// The definition: of all neighbours the union that is the smallest token, from the left, again and again.
    fn merged_one_by_one(encoder: &TextEncoder<'_>, word: &[u8]) -> Vec<u32> {
        let mut cuts: Vec<usize> = (0..=word.len()).collect();
        loop {
            let union = |i: usize| encoder.tokens.get(&word[cuts[i]..cuts[i + 2]]).copied();
            let best = (0..cuts.len().saturating_sub(2)).filter_map(|i| union(i).map(|token| (token, i))).min();
            let Some((_, i)) = best else { break };
            cuts.remove(i + 1);
        }
        cuts.windows(2).filter_map(|piece| encoder.tokens.get(&word[piece[0]..piece[1]]).copied()).collect()
    }

    fn letters(most: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"abc".to_vec()), most)
    }

    proptest! {
        #[test]
        fn merges_are_those_made_one_by_one(pieces in prop::collection::vec(letters(1..6), 1..60), word in letters(0..80)) {
            let pieces: Vec<(u32, &[u8])> = (0..).zip(pieces.iter().map(Vec::as_slice)).collect();
            let tokenizer: Tokenizer = of_pieces(&pieces);
            let encoder = TextEncoder::new(&tokenizer, pieces.len() as u32);
            let mut tokens = vec![];
            encoder.encode_word(&word, &mut tokens);
            prop_assert_eq!(tokens, merged_one_by_one(&encoder, &word));
        }
    }

    /// A word of a megabyte: one by one, this would take days.
    #[test]
    fn long_words_take_no_longer_than_many_short_ones() {
        let tokenizer = of_pieces(&[(0, b"a"), (1, b"b"), (2, b"ab"), (3, b"abab")]);
        let word = "ab".repeat(500_000);
        assert_eq!(TextEncoder::new(&tokenizer, 4).encode(&word), vec![3; 250_000]);
    }

    #[test]
    fn splits_like_gpt2() {
        assert_eq!(split_words("Hello world's  end, 42!?"), ["Hello", " world", "'s", " ", " end", ",", " 42", "!?"]);
        assert_eq!(split_words("a\n\n b  "), ["a", "\n\n", " b", "  "]);
        assert_eq!(split_words("tab\tx"), ["tab", "\t", "x"]);
        assert_eq!(split_words(" you'll"), [" you", "'ll"]);
        assert_eq!(split_words(""), Vec::<&str>::new());
    }

    #[test]
    fn merges_the_earliest_piece_first() {
        let tokenizer = of_pieces(&[(0, b"a"), (1, b"b"), (2, b"c"), (3, b"bc"), (4, b"ab"), (5, b"abc")]);
        let encoder = TextEncoder::new(&tokenizer, 6);
        assert_eq!(encoder.encode("abc"), [5], "bc, then a + bc");
        assert_eq!(encoder.encode("abab"), [4, 4]);
        assert_eq!(encoder.encode("axb"), [0, 1], "x has no piece");
    }
}
