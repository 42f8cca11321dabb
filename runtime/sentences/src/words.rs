//! Text to words, the same way for templates and for what was decoded.
//!
//! Case, punctuation, hyphens and apostrophes do not count: `What's the living-room's "TV"?` is `whats the living rooms tv`. Figures are
//! words of their own (`16oz` is `16 oz`), `%` is `percent`, `°` is `degrees`, `&` is `and`, and some words have one spelling for all
//! ([`ALIASES`]). Nor does it count how Unicode writes a letter: accents apart from their letter, ligatures and wide forms are what they
//! stand for, `ß` is `ss`, and figures of any script are figures.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::signs;

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
        let after = at + c.len_utf8();
        at = match c {
            c if signs::digit(c).is_some() => splitter.figures(at),
            signs::HALF => splitter.push("0.5", at..after),
            c if signs::is_percent(c) => splitter.push("percent", at..after),
            c if signs::is_and(c) => splitter.push("and", at..after),
            c if signs::degrees(c).is_some() && splitter.after_figures(at) => splitter.degrees(at, c),
            c if c == '°' || signs::degrees(c).flatten().is_some() => splitter.degrees(at, c),
            c if c.is_alphanumeric() => splitter.letters(at),
            _ => after,
        };
    }
    splitter.words
}

/// Whether `c` can be part of a word, so that no word ends before it.
pub(crate) fn is_word_char(c: char) -> bool {
    is_in_word(c) || signs::is_apostrophe(c) || signs::digit(c).is_some()
}

/// Whether `c` goes on with a word of letters: a letter, an accent on the one before, or a sign that nobody sees.
fn is_in_word(c: char) -> bool {
    is_letter(c) || is_combining_mark(c) || signs::is_unseen(c)
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && signs::digit(c).is_none() && c != signs::HALF
}

/// Letters as they count: composed, in lower case, ligatures and wide forms written out.
fn plain(letters: &str) -> String {
    if letters.is_ascii() {
        return letters.to_ascii_lowercase();
    }
    let seen = letters.chars().filter(|&c| !signs::is_unseen(c)).nfkc().flat_map(char::to_lowercase);
    // A letter that lower case takes apart is put together again.
    seen.collect::<String>().nfkc().collect::<String>().replace('ß', "ss")
}

/// A text as people see it, each letter one character where there is one for it.
pub(crate) fn composed(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

struct Splitter<'a> {
    text: &'a str,
    words: Vec<Word>,
}

impl Splitter<'_> {
    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    fn char_before(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    fn push(&mut self, word: &str, span: Range<usize>) -> usize {
        let canonical = ALIASES.iter().find(|alias| alias.0 == word).map_or(word, |alias| alias.1);
        let before = self.text[..span.start].strip_suffix(signs::is_hyphen);
        let joined = before.is_some_and(|before| self.words.last().is_some_and(|last| last.span.end == before.len()));
        let end = span.end;
        self.words.push(Word { text: canonical.to_owned(), span, joined });
        end
    }

    /// Figures from `at` on, as ASCII, and where they end.
    fn digits(&self, at: usize) -> (String, usize) {
        let mut end = at;
        let digits = self.text[at..].chars().map_while(|c| Some((c, signs::digit(c)?)));
        let digits = digits.inspect(|(c, _)| end += c.len_utf8()).map(|(_, digit)| digit).collect();
        (digits, end)
    }

    /// `21`, `1,000`, `20.5`, `20½`; a sign directly before them is the word `minus`.
    fn figures(&mut self, start: usize) -> usize {
        let (mut word, mut end) = self.digits(start);
        while self.char_at(end) == Some(',') && self.digits(end + 1).0.len() == 3 {
            let (group, after) = self.digits(end + 1);
            word.push_str(&group);
            end = after;
        }
        if self.char_at(end) == Some('.') && !self.digits(end + 1).0.is_empty() {
            let (decimals, after) = self.digits(end + 1);
            word.push('.');
            word.push_str(&decimals);
            end = after;
        } else if self.char_at(end) == Some(signs::HALF) {
            word.push_str(".5");
            end += signs::HALF.len_utf8();
        }
        if let Some(minus) = self.minus(start) {
            self.push("minus", minus);
        }
        self.push(&word, start..end)
    }

    /// The minus sign before the figures at `start`, if that is what stands there: `-5` and not `4-5`. Only a sign that is nothing else may
    /// stand apart.
    fn minus(&self, start: usize) -> Option<Range<usize>> {
        let mut at = start;
        let mut sign = self.char_before(at)?;
        if sign == ' ' {
            at -= 1;
            sign = self.char_before(at).filter(|&c| signs::is_minus_only(c))?;
        }
        let begin = at - sign.len_utf8();
        let before = self.char_before(begin);
        let free = before.is_none_or(|c| !is_word_char(c) && !signs::is_minus(c));
        (signs::is_minus(sign) && free).then_some(begin..at)
    }

    /// Letters with apostrophes among them; single letters with dots between them (`T.V.`, `a.m.`) are one word.
    fn letters(&mut self, start: usize) -> usize {
        let mut word = String::new();
        let mut end = start;
        let mut initials = true;
        while let Some(c) = self.char_at(end) {
            if is_in_word(c) {
                initials &= word.is_empty() || !is_letter(c);
                word.push(c);
                end += c.len_utf8();
            } else if signs::is_apostrophe(c) && self.char_at(end + c.len_utf8()).is_some_and(is_letter) {
                end += c.len_utf8();
            } else if c == '.' && initials && self.single_letter(end + 1) {
                let letter = self.char_at(end + 1).unwrap_or(c);
                word.push(letter);
                end += 1 + letter.len_utf8();
            } else {
                break;
            }
        }
        self.push(&plain(&word), start..end)
    }

    /// Whether one letter stands at `at` and no word goes on after it.
    fn single_letter(&self, at: usize) -> bool {
        let mut chars = self.text[at..].chars();
        chars.next().is_some_and(is_letter) && !chars.next().is_some_and(is_word_char)
    }

    fn after_figures(&self, at: usize) -> bool {
        self.words.last().is_some_and(|last| last.span.end == at && last.text.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn degrees(&mut self, at: usize, sign: char) -> usize {
        let end = self.push("degrees", at..at + sign.len_utf8());
        if let Some(unit) = signs::degrees(sign).flatten() {
            return self.push(unit, at..end);
        }
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
            ("Café Ärger ǅ", "café ärger dž"),
            ("Cafe\u{301} A\u{308}rger", "café ärger"),
            ("Straße STRASSE STRAẞE strasse", "strasse strasse strasse strasse"),
            ("ﬁnd Ｆａｎ ŉame", "find fan ʼname"),
            ("it‘s what`s o＇clock", "its whats oclock"),
            ("\u{201C}TV\u{201D} „aus“ «on» so\u{AD}fa", "tv aus on sofa"),
            ("２１％, ٢١ and ४२", "21 percent 21 and 42"),
            ("20½ or ½", "20.5 or 0.5"),
            ("21º 21˚ 21℃ ºhm", "21 degrees 21 degrees 21 degrees celsius ohm"),
            (
                "to \u{2212}5, \u{2013}5, \u{2012}5, \u{FF0D}5, \u{FE63}5, \u{2212} 5",
                &["to", " minus 5"].concat().replace(" minus 5", &" minus 5".repeat(6)),
            ),
            ("5\u{2013}10, 5\u{2212}10, a \u{2014}5, on - 5, --5", "5 10 5 10 a 5 on 5 5"),
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
