//! HTML's character references, such as `&eacute;` and `&#233;`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::encodings;

/// HTML's names (`tests/text/clean.py entities`), a line each, in order: the name, `*` if it may end without a semicolon, and its characters.
const NAMES: &str = include_str!("entities.txt");

/// Longest name that is tried.
const LONGEST: usize = 32;

/// What a name stands for, and whether it may do without its semicolon.
fn named(name: &str) -> Option<(String, bool)> {
    let (mut first, mut last) = (0, NAMES.len());
    while first < last {
        let middle = first + (last - first) / 2;
        let start = NAMES[..middle].rfind('\n').map_or(0, |at| at + 1);
        let end = NAMES[middle..].find('\n').map_or(NAMES.len(), |at| middle + at);
        let (found, value) = NAMES[start..end].split_once(' ')?;
        match name.cmp(found) {
            Ordering::Less => last = start,
            Ordering::Greater => first = end + 1,
            Ordering::Equal => {
                let points = value.trim_start_matches('*').split(',');
                let characters = points.filter_map(|point| char::from_u32(u32::from_str_radix(point, 16).ok()?));
                return Some((characters.collect(), value.starts_with('*')));
            }
        }
    }
    None
}

/// References as browsers read them, those without a semicolon too (as Python's `html.unescape`).
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = match rest.strip_prefix('#') {
            Some(number) => match numbered(number) {
                Some((character, after)) => {
                    out.extend(character);
                    after
                }
                None => {
                    out.push('&');
                    rest
                }
            },
            None => by_name(rest, &mut out),
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Writes what the name at the start of a text stands for, and gives what is left of it.
fn by_name<'a>(text: &'a str, out: &mut String) -> &'a str {
    let ends = |(at, (byte, c)): (usize, (usize, char))| {
        (at == LONGEST || matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';')).then_some(byte)
    };
    let end = text.char_indices().enumerate().find_map(ends).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    if let (Some((value, _)), Some(after)) = (named(name), after.strip_prefix(';')) {
        out.push_str(&value);
        return after;
    }
    // The longest that may do without, of two letters at least.
    let ends = (2..=name.len()).rev().filter(|&end| name.is_char_boundary(end));
    for end in ends {
        if let Some((value, true)) = named(&name[..end]) {
            out.push_str(&value);
            return &text[end..];
        }
    }
    out.push('&');
    out.push_str(name);
    after
}

/// The character of a number, which may be none, and what follows it; none if there is no number.
fn numbered(text: &str) -> Option<(Option<char>, &str)> {
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let after = digits.trim_start_matches(|c: char| c.is_digit(radix));
    let digits = &digits[..digits.len() - after.len()];
    if digits.is_empty() {
        return None;
    }
    let point = digits.chars().try_fold(0u32, |sum, digit| sum.checked_mul(radix)?.checked_add(digit.to_digit(radix)?));
    Some((character(point.unwrap_or(u32::MAX)), after.strip_prefix(';').unwrap_or(after)))
}

/// The character of a number: what HTML has for those that are none, and nothing for those that may not be.
fn character(point: u32) -> Option<char> {
    match point {
        0 | 0xd800..=0xdfff | 0x11_0000.. => Some('\u{fffd}'),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if point & 0xfffe == 0xfffe => None,
        _ => char::from_u32(point).map(encodings::in_windows),
    }
}

/// References that end with a semicolon, and those whose small letters were made large.
pub(super) fn replace(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = reference(rest).unwrap_or(1);
        let (reference, after) = rest.split_at(end);
        out.push_str(&replacement(reference).unwrap_or_else(|| reference.to_owned()));
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where a reference at the start of a text ends.
fn reference(text: &str) -> Option<usize> {
    const MOST: usize = 24;
    let start = if text.starts_with("&#") { 2 } else { 1 };
    let name = text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    let end = start + name;
    ((1..=MOST).contains(&name) && text[end..].starts_with(';')).then_some(end + 1)
}

fn replacement(reference: &str) -> Option<String> {
    let name = reference.strip_prefix('&')?.strip_suffix(';')?;
    if name.starts_with('#') {
        // All of it was read, or none.
        return Some(unescape(reference).into_owned()).filter(|text| !text.contains(';'));
    }
    if let Some((value, _)) = named(name) {
        return Some(value);
    }
    let small = name.to_ascii_lowercase();
    // Large letters may begin with a name that has them.
    let shouted = !name.contains(|c: char| c.is_ascii_lowercase()) && unescape(reference) == reference;
    named(&small).filter(|_| shouted && small != name).map(|(value, _)| value.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        let lines = NAMES.lines().collect::<Vec<_>>();
        assert_eq!(lines.len(), 2125);
        for line in &lines {
            let name = line.split(' ').next().unwrap();
            assert!(named(name).is_some_and(|(value, _)| !value.is_empty()), "{name}");
        }
        assert_eq!(lines.iter().filter(|line| line.contains('*')).count(), 106);
        assert_eq!(named("zwnj"), Some(("\u{200c}".into(), false)));
        for name in ["", "a", "zzz", "AEli", "AEligg", "~"] {
            assert_eq!(named(name), None);
        }
    }
}
