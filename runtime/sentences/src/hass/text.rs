//! Texts as they are compared: composed letters, one white space between words, no signs at the ends of words, skipped words gone.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Signs that do not count at the ends of words.
const SIGNS: &str = "。,，?¿？؟!¡！;；:：’…—–―\"";

/// One letter in lower case, where it stays one letter; letters that differ only in some languages or at ends of words are one.
pub(super) fn lower(c: char) -> char {
    match c {
        'İ' | 'ı' => return 'i',
        'ς' => return 'σ',
        'ſ' => return 's',
        _ => {}
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// Composed letters, straight apostrophes, one blank for white space of any kind.
pub(super) fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            c if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '\u{2019}' => out.push('\''),
            c => out.push(c),
        }
    }
    out
}

/// Whether `c` is part of a word in the sense of Python's regular expressions: vowel signs of their own are none.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && c.is_alphanumeric() && !is_combining_mark(c)
}

/// Letters of scripts that are written without blanks between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}')
}

/// `text` without the blanks at its ends and beside letters that are written without.
pub(super) fn unspaced(text: &str) -> String {
    let chars: Vec<char> = text.trim().chars().collect();
    let beside = |i: usize| is_unspaced(chars[i - 1]) || is_unspaced(chars[i + 1]);
    let kept = chars.iter().enumerate().filter(|&(i, c)| !(c.is_whitespace() && beside(i)));
    kept.map(|(_, c)| c).collect()
}

fn is_sign(c: char) -> bool {
    c == '.' || SIGNS.contains(c)
}

/// `text` without signs at its ends and at the ends of its words; points stay inside numbers and initials.
pub(super) fn without_signs(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let initials = ends_in_initials(&chars);
    let start = chars.iter().position(|&c| !is_sign(c)).unwrap_or(chars.len());
    let end = if initials { chars.len() } else { chars.iter().rposition(|&c| !is_sign(c)).map_or(start, |last| last + 1) };
    let chars = &chars[start..end.max(start)];
    let mut out = String::with_capacity(text.len());
    for (i, &c) in chars.iter().enumerate() {
        if !is_sign(c) {
            out.push(c);
            continue;
        }
        let run_start = chars[..i].iter().rposition(|&c| !is_sign(c));
        let run_end = chars[i..].iter().position(|&c| !is_sign(c)).map(|len| i + len);
        let before = run_start.map(|i| chars[i]);
        let after = run_end.map(|i| chars[i]);
        // In the middle of a word, signs are part of it: 2.5, 1:30.
        let inside = before.is_some_and(is_word) && after.is_some_and(is_word);
        let of_initials = c == '.' && i >= 3 && is_word(chars[i - 1]) && chars[i - 2] == '.' && is_word(chars[i - 3]);
        if inside || of_initials {
            out.push(c);
        }
    }
    out
}

/// Whether the text is initials with points: `A.C.`.
fn ends_in_initials(chars: &[char]) -> bool {
    chars.len() >= 4 && chars.len().is_multiple_of(2) && chars.chunks(2).all(|pair| is_word(pair[0]) && pair[1] == '.')
}

/// Where skipped words may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Anywhere,
    Start,
    End,
}

/// Skipped words and phrases of a language.
#[derive(Debug, Default)]
pub(super) struct SkipWords {
    /// In lower case, longest first.
    phrases: Vec<Vec<char>>,
    /// The first letters of them.
    firsts: Vec<char>,
    blanks_count: bool,
}

impl SkipWords {
    pub(super) fn new<'a>(words: impl Iterator<Item = &'a str>, blanks_count: bool) -> Self {
        let mut phrases: Vec<Vec<char>> = words.map(|word| normalised(word).trim().chars().map(lower).collect()).collect();
        phrases.retain(|phrase: &Vec<char>| !phrase.is_empty());
        phrases.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        phrases.dedup();
        let mut firsts: Vec<char> = phrases.iter().map(|phrase| phrase[0]).collect();
        firsts.sort_unstable();
        firsts.dedup();
        Self { phrases, firsts, blanks_count }
    }

    /// `text` without the skipped words.
    pub(super) fn remove(&self, text: &str, skip: Skip) -> String {
        let mut chars: Vec<char> = text.trim().chars().collect();
        match skip {
            Skip::Anywhere => {
                let mut out = String::new();
                let mut at = 0;
                while at < chars.len() {
                    match self.at(&chars, at) {
                        Some(len) => {
                            out.push(' ');
                            at += len;
                        }
                        None => {
                            out.push(chars[at]);
                            at += 1;
                        }
                    }
                }
                normalised(out.trim())
            }
            Skip::Start => {
                while let Some(len) = self.at(&chars, 0) {
                    chars.drain(..len);
                    let blanks = chars.iter().take_while(|c| c.is_whitespace()).count();
                    chars.drain(..blanks);
                }
                chars.into_iter().collect()
            }
            Skip::End => {
                while let Some(at) = (0..chars.len()).find(|&at| self.at(&chars, at).is_some_and(|len| at + len == chars.len())) {
                    chars.truncate(at);
                    while chars.last().is_some_and(|c| c.is_whitespace()) {
                        chars.pop();
                    }
                }
                chars.into_iter().collect()
            }
        }
    }

    /// The length of the longest phrase that stands at `at`.
    fn at(&self, chars: &[char], at: usize) -> Option<usize> {
        let first = lower(*chars.get(at)?);
        if self.firsts.binary_search(&first).is_err() || self.blanks_count && at > 0 && is_word(chars[at - 1]) {
            return None;
        }
        let fits = |phrase: &&Vec<char>| {
            let rest = &chars[at..];
            phrase.len() <= rest.len()
                && phrase.iter().zip(rest).all(|(&a, &b)| a == lower(b))
                && !(self.blanks_count && rest.get(phrase.len()).copied().is_some_and(is_word))
        };
        self.phrases.iter().find(fits).map(Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_do_not_count_at_the_ends_of_words() {
        for (text, expected) in [
            ("Turn on, please!", "Turn on please"),
            ("¿Qué hora es?", "Qué hora es"),
            ("set it to 2.5.", "set it to 2.5"),
            ("at 1:30, or 2.", "at 1:30 or 2"),
            ("A.C.", "A.C."),
            ("the A.C. on.", "the A.C. on"),
            ("\"TV\" on", "TV on"),
            ("?!", ""),
        ] {
            assert_eq!(without_signs(text), expected, "{text}");
        }
    }

    #[test]
    fn blanks_stay_where_words_have_them() {
        assert_eq!(unspaced(" 播放 Taylor Swift 的 歌 "), "播放Taylor Swift的歌");
        assert_eq!(unspaced(" "), "");
    }

    #[test]
    fn skipped_words_go() {
        let skip = SkipWords::new(["please", "could you", "you"].into_iter(), true);
        for (text, anywhere, start, end) in [
            ("Could you please stop", "stop", "stop", "Could you please stop"),
            ("stop please", "stop", "stop please", "stop"),
            ("the pleased one", "the pleased one", "the pleased one", "the pleased one"),
            ("put you on", "put on", "put you on", "put you on"),
        ] {
            assert_eq!(skip.remove(text, Skip::Anywhere), anywhere, "{text}");
            assert_eq!(skip.remove(text, Skip::Start), start, "{text}");
            assert_eq!(skip.remove(text, Skip::End), end, "{text}");
        }
    }
}
