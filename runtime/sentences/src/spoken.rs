//! English numbers as people type them and recognisers write them, beyond the spellings that templates are given: `20 point 5`, `one oh one`,
//! `2 hundred and 5`.

use crate::numbers::{MAX, below_hundred, digit};

/// The most digits said one by one.
const MOST_DIGITS: usize = 6;

/// The numbers that `words` begin with, in figures, and how many words say each, two or more.
pub(crate) fn readings(words: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let (whole, len) = cardinal(words).unwrap_or((0, 0));
    if len > 1 {
        found.push((whole.to_string(), len));
    }
    if let Some((tenth, more)) = decimal(&words[len..], len > 0) {
        let figures = if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") };
        found.push((figures, len + more));
    }
    let digits: Vec<u8> = words.iter().take(MOST_DIGITS).map_while(|word| said_digit(word)).collect();
    if digits.first() != Some(&0) {
        let spelled = |len: usize| digits[..len].iter().map(|&digit| char::from(b'0' + digit)).collect();
        found.extend((3..=digits.len()).map(|len| (spelled(len), len)));
    }
    found
}

/// Whether a number begins here.
pub(crate) fn begins(words: &[&str]) -> bool {
    let figures = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    words.first().is_some_and(|word| figures(word) || *word == "point") || cardinal(words).is_some()
}

/// `oh` is nothing.
fn said_digit(word: &str) -> Option<u8> {
    if matches!(word, "oh" | "o") { Some(0) } else { digit(word) }
}

/// Tenths after a whole number: `point five`, `and a half`.
fn decimal(words: &[&str], after_whole: bool) -> Option<(u8, usize)> {
    match words {
        ["point", tenth, ..] => said_digit(tenth).map(|tenth| (tenth, 2)),
        ["and", "a", "half", ..] if after_whole => Some((5, 3)),
        _ => None,
    }
}

/// A whole number in words, figures or both.
fn cardinal(words: &[&str]) -> Option<(i64, usize)> {
    let (mut value, mut len) = below_thousand(words)?;
    if words.get(len) == Some(&"thousand") && (1..1000).contains(&value) {
        (value, len) = (value * 1000, len + 1);
        let and = usize::from(words.get(len) == Some(&"and"));
        if let Some((rest, more)) = below_thousand(&words[len + and..]).filter(|&(rest, more)| (1..1000).contains(&rest) && more > 0) {
            (value, len) = (value + rest, len + and + more);
        }
    }
    (value <= MAX).then_some((value, len))
}

/// A number without thousands; `twenty-one hundred` is one too.
fn below_thousand(words: &[&str]) -> Option<(i64, usize)> {
    let (mut value, mut len) = match words {
        ["a", "hundred" | "thousand", ..] => (1, 1),
        ["hundred" | "thousand", ..] => (1, 0),
        _ => head(words)?,
    };
    if words.get(len) == Some(&"hundred") && (1..100).contains(&value) {
        (value, len) = (value * 100, len + 1);
        let and = usize::from(words.get(len) == Some(&"and"));
        if let Some((rest, more)) = head(&words[len + and..]).filter(|&(rest, _)| (1..100).contains(&rest)) {
            (value, len) = (value + rest, len + and + more);
        }
    }
    Some((value, len))
}

/// Figures, or a word up to 99.
fn head(words: &[&str]) -> Option<(i64, usize)> {
    let first = *words.first()?;
    if !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit()) {
        return first.parse().ok().filter(|&value| value <= MAX).map(|value| (value, 1));
    }
    below_hundred(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Number;

    fn numbers(text: &str) -> Vec<String> {
        readings(&text.split(' ').collect::<Vec<_>>()).into_iter().map(|(figures, _)| figures).collect()
    }

    #[test]
    fn numbers_are_read_as_they_are_said() {
        for (text, expected) in [
            ("one oh one", &["101"][..]),
            ("two oh five please", &["205"]),
            ("1 o 1", &["101"]),
            ("one two five six", &["125", "1256"]),
            ("oh one two", &[]),
            ("20 point 5", &["20.5"]),
            ("twenty point 5", &["20.5"]),
            ("20 point oh", &["20"]),
            ("point 5", &["0.5"]),
            ("20 and a half", &["20.5"]),
            ("and a half", &[]),
            ("2 hundred and 5", &["205"]),
            ("a hundred twenty one point 5", &["121", "121.5"]),
            ("twenty one hundred", &["2100"]),
            ("3 thousand and 12", &["3012"]),
            ("999999 thousand", &[]),
            ("one", &[]),
            ("minutes", &[]),
            ("20 point", &[]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn all_spellings_are_read() {
        for tenths in (0..20_000).chain((20_000..10_000_000).step_by(7919)) {
            let number = Number { tenths };
            let figures = number.to_string();
            for way in number.spellings(true).iter().filter(|way| way.len() > 1 && way[0] != "half") {
                let words: Vec<&str> = way.iter().map(String::as_str).collect();
                let read = readings(&words).contains(&(figures.clone(), words.len()));
                assert!(read || words == ["a", "half"], "{words:?}");
            }
        }
    }
}
