//! Characters next to each other that hardly anybody writes, but that come about when UTF-8 is read as another encoding.
//!
//! The rules are those of ftfy's `badness` (Robyn Speer, Apache-2.0).

use super::tables::*;
use crate::letters::{LETTERS, NUMBERS};
use crate::tables::within;

/// Classes of characters that every text has.
const SMALL: u32 = 1 << 24;
const LARGE: u32 = 1 << 25;
/// Letters, digits and the underscore.
const WORD: u32 = 1 << 26;
const SPACE: u32 = 1 << 27;
/// Anything but a letter from a to z.
const NOT_LATIN: u32 = 1 << 28;
/// Anything but the end of a line.
const ANY: u32 = 1 << 29;

/// One character of a rule: of one of these classes, or one of these characters.
type One = (u32, &'static str);

const ACCENTED: u32 = LOWER | UPPER;
const LATIN: u32 = SMALL | LARGE;
const QUOTES: u32 = OPENING | CLOSING;
const MARKS: u32 = QUOTES | CURRENCY | NUMERIC | LAW;
/// In Arabic read as Windows 1252.
const ARABIC_LEAD: One = (0, "ØÙ");
const ARABIC: One = (COMMON | CURRENCY | BAD | NUMERIC | OPENING, "ŸŠ®°µ»");
/// In Cyrillic read as Windows 1251, and Greek as Windows 1253.
const CYRILLIC: One = (0, "ВГРС");
const GREEK: One = (0, "ΒΓΞΟ");
const SYMBOLS: u32 = CONTROL | BAD | QUOTES | CURRENCY;

/// What is unlikely, wherever it stands.
#[rustfmt::skip]
const RULES: &[&[One]] = &[
    &[(CONTROL, "")],
    // Classes next to each other.
    &[(BAD | ACCENTED | BOX | MARKS, ""), (BAD, "")],
    &[(BAD, ""), (ACCENTED | BOX | MARKS, "")],
    &[(LATIN, ""), (LOWER_PLAIN | UPPER_PLAIN, ""), (BAD, "")],
    &[(LOWER | LOWER_PLAIN | BOX | CLOSING | CURRENCY | NUMERIC, ""), (UPPER, "")],
    &[(BOX | CLOSING | CURRENCY | NUMERIC, ""), (LOWER, "")],
    &[(LOWER | BOX | CLOSING, ""), (CURRENCY, "")],
    &[(SPACE, ""), (UPPER, ""), (CURRENCY, "")],
    &[(UPPER | BOX, ""), (NUMERIC | LAW, "")],
    &[(ACCENTED | BOX | CURRENCY | CLOSING, ""), (OPENING, ""), (NUMERIC, "")],
    &[(ACCENTED | BOX | CURRENCY | NUMERIC | LAW, ""), (CLOSING, ""), (OPENING, "")],
    &[(BOX | CURRENCY | NUMERIC, ""), (OPENING, "")],
    &[(SMALL, ""), (UPPER, ""), (OPENING | CURRENCY, "")],
    &[(BOX, ""), (FACE | CLOSING, "")],
    &[(ACCENTED | MARKS, ""), (BOX, "")],
    &[(ACCENTED, ""), (QUOTES, ""), (WORD, "")],
    &[(0, "Œœ"), (NOT_LATIN, "")],
    &[(UPPER, ""), (0, "°")],
    // Windows 1252.
    &[(0, "ÂÃÎÐ"), (QUOTES, "€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»–—´")],
    &[(0, "×"), (0, "²³")],
    &[ARABIC_LEAD, ARABIC, ARABIC_LEAD, ARABIC],
    &[(0, "à"), (0, "²µ¹¼½¾")],
    &[(0, "Ã"), (0, "\u{a0}¡")],
    &[(SMALL, ""), (0, "ÂÃ"), (0, " ")],
    &[(SMALL, ""), (SPACE, ""), (0, "ÂÃ"), (0, " ")],
    &[(SMALL | CLOSING, ".,?!"), (0, "Â"), (QUOTES, " ")],
    // Mac Roman.
    &[(0, "√"), (0, "±∂†≠®™´≤≥¥µø")],
    &[(0, "≈"), (0, "°¢")],
    &[(0, "‚"), (0, "Ä"), (0, "ìîïòôúùû†°¢π")],
    &[(0, "‚"), (0, "âó"), (0, "àä°ê")],
    // Windows 1251, 1253 and 1257.
    &[(0, "в"), (0, "Ђ")],
    &[CYRILLIC, (SYMBOLS, "°µ"), CYRILLIC],
    &[(0, "Г"), (0, "ў"), (0, "В"), (0, "Ђ"), (0, "В"), (ANY, ""), (LATIN, " ")],
    &[(0, "β"), (0, "€"), (0, "™\u{a0}Ά\u{ad}®°")],
    &[GREEK, (SYMBOLS, "°"), GREEK],
    &[(0, "ā"), (0, "€")],
];

/// The same at the start of a text only.
const FIRST: &[One] = &[(0, "ÂÃ"), (0, " ")];

/// The classes that a character is in.
pub(super) fn classes(character: char) -> u32 {
    let found = u16::try_from(u32::from(character)).ok().and_then(|point| {
        let at = CLASSES.partition_point(|range| range.1 < point);
        CLASSES.get(at).filter(|range| range.0 <= point)
    });
    found.map_or(0, |range| range.2)
}

fn all_classes(character: char) -> u32 {
    let own = classes(character)
        | match character {
            'a'..='z' => SMALL | WORD,
            'A'..='Z' => LARGE | WORD,
            '0'..='9' | '_' => WORD | NOT_LATIN,
            _ if character.is_ascii() => NOT_LATIN,
            _ if within(LETTERS, character) || within(NUMBERS, character) => WORD | NOT_LATIN,
            _ => NOT_LATIN,
        };
    let space = if character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}') { SPACE } else { 0 };
    own | space | if character == '\n' { 0 } else { ANY }
}

/// Whether a text has something unlikely in it.
pub(super) fn is_unlikely(text: &str) -> bool {
    let characters: Vec<(char, u32)> = text.chars().map(|character| (character, all_classes(character))).collect();
    let begins = |rest: &[(char, u32)], rule: &[One]| {
        let mut pairs = rest.iter().zip(rule);
        rest.len() >= rule.len() && pairs.all(|((character, own), (classes, others))| own & classes != 0 || others.contains(*character))
    };
    begins(&characters, FIRST) || (0..characters.len()).any(|at| RULES.iter().any(|rule| begins(&characters[at..], rule)))
}
