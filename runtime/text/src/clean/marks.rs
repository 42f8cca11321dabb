//! Characters that people paste without meaning to, as the plain ones they stand for.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::encodings;

/// Starts a terminal's escape sequence.
const ESCAPE: char = '\u{1b}';

/// A text with plain marks, composed.
pub(super) fn plain(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match encodings::in_windows(character) {
            '\r' => {
                characters.next_if_eq(&'\n');
                marked.push('\n');
            }
            '\u{2028}' | '\u{2029}' => marked.push('\n'),
            character => match apart(character) {
                Some(letters) => letters.chars().for_each(|letter| marked.push(straight(letter))),
                // Half or full width.
                None if matches!(character, '\u{ff01}'..='\u{ffef}') => marked.extend(std::iter::once(character).nfkc().map(straight)),
                None => marked.push(straight(character)),
            },
        }
    }
    let mut left = without_escapes(&marked).into_owned();
    left.retain(|character| !is_control(character));
    if is_nfc(&left) { left } else { left.nfc().collect() }
}

/// Quotation marks as a typewriter has them; the wide space as a space.
fn straight(character: char) -> char {
    match character {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{3000}' => ' ',
        character => character,
    }
}

/// The letters of a Latin ligature.
fn apart(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{132}' => "IJ",
        '\u{133}' => "ij",
        '\u{149}' => "\u{2bc}n",
        '\u{1c4}' => "D\u{17d}",
        '\u{1c5}' => "D\u{17e}",
        '\u{1c6}' => "d\u{17e}",
        '\u{1c7}' => "LJ",
        '\u{1c8}' => "Lj",
        '\u{1c9}' => "lj",
        '\u{1ca}' => "NJ",
        '\u{1cb}' => "Nj",
        '\u{1cc}' => "nj",
        '\u{1f1}' => "DZ",
        '\u{1f2}' => "Dz",
        '\u{1f3}' => "dz",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' => "\u{17f}t",
        '\u{fb06}' => "st",
        _ => return None,
    })
}

/// Takes out sequences such as the one for red letters, `ESC [ 31 m`.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(ESCAPE) {
        out.push_str(&rest[..at]);
        let after = &rest[at + ESCAPE.len_utf8()..];
        let end = after.strip_prefix('[').map(|figures| figures.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        match end.filter(|end| end.starts_with(|c: char| c.is_ascii_alphabetic())) {
            Some(end) => rest = &end[1..],
            None => {
                out.push(ESCAPE);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Control characters that nobody means; those that are white space, or steer joining and direction, stay.
fn is_control(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}
