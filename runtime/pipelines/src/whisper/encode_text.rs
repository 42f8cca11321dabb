//! Text to tokens, for prompts.

use std::collections::HashMap;

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
        // Boundaries of the current pieces, both ends included.
        let mut cuts: Vec<usize> = (0..=word.len()).collect();
        loop {
            let union = |i: usize| self.tokens.get(&word[cuts[i]..cuts[i + 2]]).copied();
            let best = (0..cuts.len().saturating_sub(2)).filter_map(|i| union(i).map(|token| (token, i))).min();
            let Some((_, i)) = best else { break };
            cuts.remove(i + 1);
        }
        tokens.extend(cuts.windows(2).filter_map(|piece| self.tokens.get(&word[piece[0]..piece[1]])));
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
    use super::super::tokenizer::tests::of_pieces;
    use super::*;

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
