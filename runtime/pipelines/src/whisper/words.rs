//! Words and their tokens.

use std::ops::Range;

use super::tokenizer::{Tokenizer, Utf8Stream};

/// ASCII punctuation in code order.
const ASCII_PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// Signs that belong to the word after them.
const PREPENDED: &str = "\"'“¿([{-";
/// Signs that belong to the word before them.
const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

/// A word: its text with the space before it, and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text.
    pub text: String,
    /// Which tokens.
    pub tokens: Range<usize>,
}

/// Splits text tokens into words: at spaces and before punctuation, or at every character for languages written without spaces.
pub fn split(tokenizer: &Tokenizer, tokens: &[u32], unspaced: bool) -> Vec<Span> {
    let characters = split_characters(tokenizer, tokens);
    if unspaced {
        return characters;
    }
    let mut words: Vec<Span> = Vec::new();
    for part in characters {
        let starts_word = part.text.starts_with(' ') || ASCII_PUNCTUATION.contains(part.text.trim());
        match words.last_mut() {
            Some(word) if !starts_word => {
                word.text.push_str(&part.text);
                word.tokens.end = part.tokens.end;
            }
            _ => words.push(part),
        }
    }
    words
}

/// Splits after every token that completes a character.
fn split_characters(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<Span> {
    let mut parts = Vec::new();
    let mut stream = Utf8Stream::default();
    let mut text = String::new();
    let mut start = 0;
    for (i, &token) in tokens.iter().enumerate() {
        stream.push(tokenizer.bytes(token), &mut text);
        let last = i + 1 == tokens.len();
        if stream.is_complete() || last {
            if !stream.is_complete() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            parts.push(Span { text: std::mem::take(&mut text), tokens: start..i + 1 });
            start = i + 1;
        }
    }
    parts
}

/// Joins punctuation with the word it belongs to.
pub fn merge_punctuation(words: Vec<Span>) -> Vec<Span> {
    // Opening signs go to the word after them, from the back so that several in a row move together.
    let mut merged: Vec<Span> = Vec::with_capacity(words.len());
    for word in words.into_iter().rev() {
        let opens = word.text.starts_with(' ') && PREPENDED.contains(word.text.trim());
        match merged.last_mut() {
            Some(following) if opens => {
                following.text.insert_str(0, &word.text);
                following.tokens.start = word.tokens.start;
            }
            _ => merged.push(word),
        }
    }
    let mut words: Vec<Span> = Vec::with_capacity(merged.len());
    for word in merged.into_iter().rev() {
        let closes = APPENDED.contains(word.text.as_str());
        match words.last_mut() {
            Some(previous) if closes && !previous.text.ends_with(' ') => {
                previous.text.push_str(&word.text);
                previous.tokens.end = word.tokens.end;
            }
            _ => words.push(word),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::of_pieces;
    use super::*;

    fn texts(words: &[Span]) -> Vec<&str> {
        words.iter().map(|w| w.text.as_str()).collect()
    }

    #[test]
    fn words_end_at_spaces_and_punctuation() {
        let t = of_pieces(&[
            (0, b" Hel"),
            (1, b"lo"),
            (2, b","),
            (3, b" \""),
            (4, b"wor"),
            (5, b"ld"),
            (6, b"!"),
            (7, b"\""),
            (8, b" don"),
            (9, b"'t"),
            (10, b"..."),
        ]);
        let words = split(&t, &[0, 1, 2, 3, 4, 5, 6, 7], false);
        assert_eq!(texts(&words), [" Hello", ",", " \"world", "!", "\""]);
        let words = split(&t, &[8, 9, 10], false);
        assert_eq!(texts(&words), [" don't..."]);
    }

    #[test]
    fn punctuation_joins_its_word_and_tokens_stay_contiguous() {
        let t = of_pieces(&[(0, b" Hello"), (1, b","), (2, b" ("), (3, b" world"), (4, b")"), (5, b"."), (6, b" -"), (7, b" end")]);
        let tokens = [0, 1, 2, 3, 4, 5, 6, 7];
        let words = merge_punctuation(split(&t, &tokens, false));
        assert_eq!(texts(&words), [" Hello,", " ( world).", " - end"]);
        let ranges: Vec<_> = words.iter().map(|w| w.tokens.clone()).collect();
        assert_eq!(ranges, [0..2, 2..6, 6..8]);
    }

    #[test]
    fn characters_may_span_tokens() {
        let t = of_pieces(&[(0, "日".as_bytes()), (1, &"本".as_bytes()[..2]), (2, &"本".as_bytes()[2..]), (3, "語。".as_bytes())]);
        let words = split(&t, &[0, 1, 2, 3, 1], true);
        assert_eq!(texts(&words), ["日", "本", "語。", "\u{FFFD}"]);
        assert_eq!(words[1].tokens, 1..3);
        assert_eq!(texts(&split(&t, &[0, 1, 2], false)), ["日本"]);
    }

    #[test]
    fn nothing_stays_nothing() {
        assert!(merge_punctuation(split(&Tokenizer::default(), &[], false)).is_empty());
    }
}
