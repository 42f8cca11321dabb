//! Text to words, the same way for templates and for what was decoded.
//!
//! Case, punctuation, hyphens and apostrophes do not count: `What's the living-room's "TV"?` is `whats the living rooms tv`. Figures are
//! words of their own (`16oz` is `16 oz`), `%` is `percent`, `°` is `degrees`, `&` is `and`, and some words have one spelling for all
//! ([`ALIASES`]).

use std::ops::Range;

/// Spellings taken as one word: the second stands for both.
pub(crate) const ALIASES: [(&str, &str); 20] = [
    ("okay", "ok"),
    ("colour", "color"),
    ("colours", "colors"),
    ("grey", "gray"),
    ("favourite", "favorite"),
    ("favourites", "favorites"),
    ("centre", "center"),
    ("theatre", "theater"),
    ("metre", "meter"),
    ("metres", "meters"),
    ("litre", "liter"),
    ("litres", "liters"),
    ("flavour", "flavor"),
    ("odour", "odor"),
    ("jewellery", "jewelry"),
    ("cosy", "cozy"),
    ("humour", "humor"),
    ("doughnut", "donut"),
    ("doughnuts", "donuts"),
    ("programme", "program"),
];

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Lower case, without apostrophes.
    pub(crate) text: String,
    /// The bytes it was read from.
    pub(crate) span: Range<usize>,
    /// Whether a hyphen joins it to the word before.
    pub(crate) joined: bool,
}

/// The words of `text`.
pub(crate) fn split(text: &str) -> Vec<Word> {
    let mut splitter = Splitter { text, words: Vec::new() };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at = match c {
            '0'..='9' => splitter.figures(at),
            c if c.is_alphanumeric() => splitter.letters(at),
            '%' => splitter.push("percent", at..at + 1),
            '&' => splitter.push("and", at..at + 1),
            '°' => splitter.degrees(at),
            c => at + c.len_utf8(),
        };
    }
    splitter.words
}

/// Whether `c` can be part of a word, so that no word ends before it.
pub(crate) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_apostrophe(c)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2BC}')
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !c.is_ascii_digit()
}

struct Splitter<'a> {
    text: &'a str,
    words: Vec<Word>,
}

impl Splitter<'_> {
    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    fn push(&mut self, word: &str, span: Range<usize>) -> usize {
        let canonical = ALIASES.iter().find(|alias| alias.0 == word).map_or(word, |alias| alias.1);
        let before = self.text[..span.start].strip_suffix('-');
        let joined = before.is_some_and(|before| self.words.last().is_some_and(|last| last.span.end == before.len()));
        let end = span.end;
        self.words.push(Word { text: canonical.to_owned(), span, joined });
        end
    }

    /// `21`, `1,000`, `20.5`; a sign directly before them is the word `minus`.
    fn figures(&mut self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = start + digits(start);
        while bytes.get(end) == Some(&b',') && digits(end + 1) == 3 {
            end += 4;
        }
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if let Some(before) = self.text[..start].strip_suffix('-')
            && !before.ends_with(is_word_char)
            && !before.ends_with('-')
        {
            self.push("minus", start - 1..start);
        }
        let word = self.text[start..end].replace(',', "");
        self.push(&word, start..end)
    }

    /// Letters with apostrophes among them; single letters with dots between them (`T.V.`, `a.m.`) are one word.
    fn letters(&mut self, start: usize) -> usize {
        let mut word = String::new();
        let mut end = start;
        let mut initials = true;
        while let Some(c) = self.char_at(end) {
            if is_letter(c) {
                initials &= word.is_empty();
                word.extend(c.to_lowercase());
                end += c.len_utf8();
            } else if is_apostrophe(c) && self.char_at(end + c.len_utf8()).is_some_and(is_letter) {
                end += c.len_utf8();
            } else if c == '.' && initials && self.single_letter(end + 1) {
                let letter = self.char_at(end + 1).unwrap_or(c);
                word.extend(letter.to_lowercase());
                end += 1 + letter.len_utf8();
            } else {
                break;
            }
        }
        self.push(&word, start..end)
    }

    /// Whether one letter stands at `at` and no word goes on after it.
    fn single_letter(&self, at: usize) -> bool {
        let mut chars = self.text[at..].chars();
        chars.next().is_some_and(is_letter) && !chars.next().is_some_and(is_word_char)
    }

    fn degrees(&mut self, at: usize) -> usize {
        let end = self.push("degrees", at..at + '°'.len_utf8());
        let unit = match self.char_at(end) {
            Some('C') => "celsius",
            Some('F') => "fahrenheit",
            _ => return end,
        };
        if self.char_at(end + 1).is_some_and(is_word_char) { end } else { self.push(unit, end..end + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        split(text).iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn case_signs_and_spellings_do_not_count() {
        for (text, expected) in [
            ("What's the living-room's \"TV\"?", "whats the living rooms tv"),
            ("Set it to 50%, okay?", "set it to 50 percent ok"),
            ("a 16-oz. or 16oz cup", "a 16 oz or 16 oz cup"),
            ("1,000 and 20.5 and 3.", "1000 and 20.5 and 3"),
            ("1,2 and 1,0000", "1 2 and 1 0000"),
            ("at 7 a.m. on the T.V.", "at 7 am on the tv"),
            ("A. Turn on", "a turn on"),
            ("minus 5 is -5, not 4-5", "minus 5 is minus 5 not 4 5"),
            ("21°C, 70 °F, 3°", "21 degrees celsius 70 degrees fahrenheit 3 degrees"),
            ("the kids\u{2019} room", "the kids room"),
            ("Café Ärger ǅ", "café ärger ǆ"),
            ("colour", "color"),
            ("♪ ♪", ""),
            ("", ""),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn words_know_where_they_stood() {
        let text = "Twenty-one, O'Neill";
        let words = split(text);
        let spans: Vec<&str> = words.iter().map(|word| &text[word.span.clone()]).collect();
        assert_eq!(spans, ["Twenty", "one", "O'Neill"]);
        assert_eq!(words.iter().map(|word| word.joined).collect::<Vec<_>>(), [false, true, false]);
    }
}
