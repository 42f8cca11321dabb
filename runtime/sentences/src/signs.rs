//! Signs that mean the same.

/// One half, which also may follow digits.
pub(crate) const HALF: char = '½';

/// The zeros of the scripts' decimal figures; the other nine follow each.
const ZEROS: [char; 15] = [
    '0', '\u{660}', '\u{6F0}', '\u{7C0}', '\u{966}', '\u{9E6}', '\u{A66}', '\u{AE6}', '\u{BE6}', '\u{C66}', '\u{CE6}', '\u{D66}',
    '\u{E50}', '\u{ED0}', '\u{FF10}',
];

/// The figure that `c` is, in ASCII.
pub(crate) fn digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let value = ZEROS.iter().map(|&zero| (c as u32).wrapping_sub(zero as u32)).find(|&value| value < 10)?;
    char::from_digit(value, 10)
}

/// Signs written inside words: apostrophes, straight and typographic, and what is typed for them.
pub(crate) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '`' | '\u{B4}' | '\u{2BC}' | '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{FF07}')
}

/// Hyphens between words.
pub(crate) fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{FF0D}')
}

/// Whether `c` before a figure is a minus: the sign itself, hyphens, and the shorter dashes that programs make of them.
pub(crate) fn is_minus(c: char) -> bool {
    is_hyphen(c) || is_minus_only(c) || matches!(c, '\u{2012}' | '\u{2013}')
}

/// Signs that are a minus and nothing else.
pub(crate) fn is_minus_only(c: char) -> bool {
    matches!(c, '\u{2212}' | '\u{FE63}' | '\u{207B}' | '\u{2796}')
}

/// Signs that nobody sees: soft hyphens and the spaces and joiners without width.
pub(crate) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

pub(crate) fn is_percent(c: char) -> bool {
    matches!(c, '%' | '\u{FF05}' | '\u{FE6A}' | '\u{66A}')
}

pub(crate) fn is_and(c: char) -> bool {
    matches!(c, '&' | '\u{FF06}' | '\u{FE60}')
}

/// Whether `c` is the sign for degrees, or typed for it; and the unit that it says as well.
pub(crate) fn degrees(c: char) -> Option<Option<&'static str>> {
    match c {
        '°' | 'º' | '\u{2DA}' => Some(None),
        '\u{2103}' => Some(Some("celsius")),
        '\u{2109}' => Some(Some("fahrenheit")),
        _ => None,
    }
}
