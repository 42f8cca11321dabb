//! CLIP's normaliser, its words, and their tokens.

use unicode_normalization::UnicodeNormalization;

use crate::TokenizerError;
use crate::bpe::{Merges, byte_character};
use crate::letters::{LETTERS, NUMBERS};
use crate::tables::within;
use crate::vocabulary::Vocabulary;

/// The words of a text, as CLIP's `tokenizer.json` has the expression.
pub(crate) const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The same without the tokens around a text, which are taken out before.
pub(crate) const PLAIN_WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Endings that are words of their own, in the order in which they are tried.
pub(crate) const ENDINGS: &[&str] = &["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// Those of CLIP's own tokenizers, which take no notice of case, so that a long s is an s; and tokens, which they know among words.
pub(crate) const OWN_ENDINGS: &[&str] = &["<|startoftext|>", "<|endoftext|>", "'s", "'\u{17f}", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// Byte pair encoding of words, the last byte of which is another token.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    /// Tokens of bytes inside a word, and of those that end one.
    inner: Box<[u32; 256]>,
    last: Box<[u32; 256]>,
    merges: Merges,
    size: usize,
}

impl Clip {
    /// From a vocabulary and its merges, in order.
    ///
    /// # Errors
    /// [`TokenizerError::Missing`] names a byte or a merged token that has no id.
    pub(crate) fn new(vocabulary: &Vocabulary, suffix: &str, merges: &[(String, String)]) -> Result<Self, TokenizerError> {
        let id = |what, token: String| vocabulary.id(&token).ok_or(TokenizerError::Missing { what, token });
        let (mut inner, mut last) = (Box::new([0; 256]), Box::new([0; 256]));
        for byte in 0..=255u8 {
            let character = byte_character(byte);
            inner[usize::from(byte)] = id("byte", character.to_string())?;
            last[usize::from(byte)] = id("byte", format!("{character}{suffix}"))?;
        }
        let merges = merges.iter().map(|(a, b)| {
            let merge = |token: &str| id("merge", token.to_owned());
            Ok(((merge(a)?, merge(b)?), merge(&format!("{a}{b}"))?))
        });
        let merges = merges.collect::<Result<Vec<_>, TokenizerError>>()?;
        Ok(Self { inner, last, merges: Merges::new(merges.into_iter()), size: vocabulary.size() })
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The tokens of a word.
    pub(crate) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let Some((last, bytes)) = word.as_bytes().split_last() else { return };
        let symbols: Vec<u32> = bytes.iter().map(|&byte| self.inner[usize::from(byte)]).chain([self.last[usize::from(*last)]]).collect();
        self.merges.apply(&symbols, ids);
    }
}

/// Composed, white space as single spaces, small letters.
pub(crate) fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfc() {
        if !c.is_whitespace() {
            // Letter by letter: a final sigma is a sigma.
            out.extend(c.to_lowercase());
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// Calls `each` with every word of a normalised text: one of `endings`, letters in a row, single digits, other marks in a row.
pub(crate) fn words(text: &str, endings: &[&str], mut each: impl FnMut(&str)) {
    let letter = |c: char| if c.is_ascii() { c.is_ascii_alphabetic() } else { within(LETTERS, c) };
    let number = |c: char| if c.is_ascii() { c.is_ascii_digit() } else { within(NUMBERS, c) };
    let mark = |c: char| !c.is_whitespace() && !letter(c) && !number(c);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = |of: &dyn Fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
        let length = match endings.iter().find(|ending| rest.starts_with(**ending)) {
            Some(ending) => ending.len(),
            None if letter(first) => run(&letter),
            None if number(first) => first.len_utf8(),
            None if mark(first) => run(&mark),
            None => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let (word, behind) = rest.split_at(length);
        each(word);
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut found = vec![];
        words(&normalize(text), ENDINGS, |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_as_the_expression_has_them() {
        assert_eq!(split("A  Dog's\tlife, 42 of them!!"), ["a", "dog", "'s", "life", ",", "4", "2", "of", "them", "!!"]);
        assert_eq!(split("we'll 'tis don't"), ["we", "'ll", "'t", "is", "don", "'t"]);
        assert_eq!(split("caf\u{65}\u{301} \u{391}\u{3a3}"), ["caf\u{e9}", "\u{3b1}\u{3c3}"]);
        assert!(split(" \n ").is_empty());
    }
}
