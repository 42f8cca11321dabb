//! Words as they are typed without the letters of their language: `cafe` for `café`, `kueche` and `kuche` for `Küche`.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The forms of a word with plain letters only, as [`crate::words::split`] gives it; none if it has nothing else.
pub(crate) fn without(word: &str) -> Vec<String> {
    if word.is_ascii() {
        return Vec::new();
    }
    let mut forms = vec![bare(word), written_out(word)];
    forms.dedup();
    forms.retain(|form| form != word);
    forms
}

/// Latin letters without their accents. In other scripts marks are letters of their own.
fn bare(word: &str) -> String {
    let mut latin = false;
    let mut out = String::new();
    for c in word.nfd() {
        if is_combining_mark(c) && latin {
            continue;
        }
        let plain = match c {
            'ø' => "o",
            'æ' => "ae",
            'œ' => "oe",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'þ' => "th",
            'ı' => "i",
            c => {
                latin = c.is_ascii_alphabetic();
                out.push(c);
                continue;
            }
        };
        latin = true;
        out.push_str(plain);
    }
    out.nfc().collect()
}

/// Germanic vowels as they are written where a keyboard has none.
fn written_out(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c {
            'ä' | 'æ' => out.push_str("ae"),
            'ö' | 'ø' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'å' => out.push_str("aa"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_typed_without_accents() {
        for (word, expected) in [
            ("cafe", &[][..]),
            ("café", &["cafe"]),
            ("küche", &["kuche", "kueche"]),
            ("smørrebrød", &["smorrebrod", "smoerrebroed"]),
            ("łódź", &["lodz"]),
            ("चाय", &[]),
            ("й", &[]),
        ] {
            assert_eq!(without(word), expected, "{word}");
        }
    }
}
