//! BERT's normaliser and its words.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::tables::{IDEOGRAPHS, NONSPACING, OTHER, PUNCTUATION, within};

/// What is done to a text before it is split into words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normalizer {
    /// Control characters are removed, and all white space is a space.
    pub(crate) clean: bool,
    /// Each ideograph is a word.
    pub(crate) ideographs: bool,
    /// Accents are removed.
    pub(crate) strip_accents: bool,
    /// Capitals become small letters.
    pub(crate) lowercase: bool,
}

impl Normalizer {
    pub(crate) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b' ') {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\0' | '\u{fffd}' if self.clean => {}
                c if self.clean && within(OTHER, c) => {}
                c if self.clean && c.is_whitespace() => out.push(' '),
                c if self.ideographs && within(IDEOGRAPHS, c) => out.extend([' ', c, ' ']),
                c => out.push(c),
            }
        }
        if self.strip_accents {
            out = out.nfd().filter(|&c| !within(NONSPACING, c)).collect();
        }
        if self.lowercase {
            // Letter by letter: a final sigma is a sigma.
            out = out.chars().flat_map(char::to_lowercase).collect();
        }
        Cow::Owned(out)
    }
}

/// Calls `each` with every word: what is between white space, and each mark of punctuation.
pub(crate) fn words(text: &str, mut each: impl FnMut(&str)) {
    for word in text.split_whitespace() {
        let mut start = 0;
        for (at, c) in word.char_indices().filter(|&(_, c)| c.is_ascii_punctuation() || within(PUNCTUATION, c)) {
            let behind = at + c.len_utf8();
            [&word[start..at], &word[at..behind]].into_iter().filter(|word| !word.is_empty()).for_each(&mut each);
            start = behind;
        }
        if start < word.len() {
            each(&word[start..]);
        }
    }
}
