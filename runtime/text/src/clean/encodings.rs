//! UTF-8 that was read as a single-byte encoding, back to what it was.

use super::bytes::{self, LOST};
use super::tables::{ENCODINGS, FOLLOWS, FOLLOWS_ONLY, LEADS_2, LEADS_3, LEADS_4};
use super::unlikely::{classes, is_unlikely};

/// Most layers that are undone at once: each makes a text shorter.
const MOST_LAYERS: usize = 64;

/// A single-byte encoding.
#[derive(Clone, Copy)]
struct Encoding {
    /// What bytes from 0x80 on stand for; those of Latin-1 for themselves.
    upper: Option<&'static [u16; 128]>,
    /// Whether U+FFFD stands where a byte was lost.
    lossy: bool,
    /// Whether a space may have been a non-breaking one.
    spaces: bool,
}

/// In the order in which they are tried: Latin-1, Windows 1252, 1251, 1250, 1253, 1254 and 1257, ISO 8859-2, Mac Roman, and code page 437.
fn all() -> impl Iterator<Item = Encoding> {
    const WINDOWS: usize = 6;
    /// Its dash before a space would be taken for something else.
    const MAC_ROMAN: usize = 7;
    let tables = ENCODINGS.iter().enumerate();
    let tables = tables.map(|(at, upper)| Encoding { upper: Some(upper), lossy: at < WINDOWS, spaces: at != MAC_ROMAN });
    std::iter::once(Encoding { upper: None, lossy: false, spaces: true }).chain(tables)
}

impl Encoding {
    fn byte(self, character: char) -> Option<u8> {
        let point = u32::from(character);
        match (character, self.upper) {
            ('\u{fffd}', _) if self.lossy => Some(LOST),
            ('\u{1a}', _) if self.lossy => None,
            ('\0'..='\u{7f}', _) | (_, None) => u8::try_from(point).ok(),
            (_, Some(upper)) => upper.iter().position(|&c| u32::from(c) == point).map(|at| 0x80 + at as u8),
        }
    }

    /// A text's bytes, if each character has one.
    fn bytes(self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|character| self.byte(character)).collect()
    }
}

/// What the control characters from U+0080 on are in Windows 1252; other characters are themselves.
pub(super) fn in_windows(character: char) -> char {
    match character {
        '\u{80}'..='\u{9f}' => char::from_u32(ENCODINGS[0][character as usize - 0x80].into()).unwrap_or(character),
        character => character,
    }
}

/// Undoes mistakes until nothing is unlikely, or nothing helps.
pub(super) fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MOST_LAYERS {
        match step(&text) {
            Some(next) if next != text => text = next,
            _ => break,
        }
    }
    text
}

fn step(text: &str) -> Option<String> {
    if text.is_ascii() || !is_unlikely(text) {
        return None;
    }
    let whole = all().find_map(|encoding| bytes::decode(encoding.bytes(text)?, encoding.spaces, encoding.lossy));
    let parts = || Some(parts(text)).filter(|found| found != text);
    let windows = || text.chars().map(in_windows).collect();
    whole.or_else(parts).or_else(|| Some(windows()))
}

/// Undoes them in those runs that look like UTF-8 by themselves.
fn parts(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let classes: Vec<u32> = characters.iter().copied().map(classes).collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        // What follows the end of another sequence may be a part of it.
        let garbled = at > 0 && classes[at - 1] & FOLLOWS_ONLY != 0;
        let end = if garbled { at } else { run(&classes, at) };
        if end == at {
            out.push(characters[at]);
            at += 1;
            continue;
        }
        let part: String = characters[at..end].iter().collect();
        // The whole text was tried before.
        match part.len() < text.len() && is_unlikely(&part) {
            true => out.push_str(&repair(&part)),
            false => out.push_str(&part),
        }
        at = end;
    }
    out
}

/// Where characters end that could be those of UTF-8 sequences, one after another; `at` if there is none.
fn run(classes: &[u32], at: usize) -> usize {
    let mut end = at;
    while let Some(&lead) = classes.get(end) {
        let follow = match lead {
            lead if lead & LEADS_2 != 0 => 1,
            lead if lead & LEADS_3 != 0 => 2,
            lead if lead & LEADS_4 != 0 => 3,
            _ => break,
        };
        match classes.get(end + 1..end + 1 + follow) {
            Some(rest) if rest.iter().all(|class| class & FOLLOWS != 0) => end += 1 + follow,
            _ => break,
        }
    }
    end
}
