//! Bytes that may be UTF-8, or nearly.

/// Byte that stands for a lost one in those encodings that have unassigned bytes.
pub(super) const LOST: u8 = 0x1a;

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// What bytes are in UTF-8, where a surrogate pair may stand as two characters and NUL as two bytes. `spaces`: a space may have been a byte 0xa0 that
/// makes a sequence whole; `lossy`: [`LOST`] stands where a byte was lost.
pub(super) fn decode(mut bytes: Vec<u8>, spaces: bool, lossy: bool) -> Option<String> {
    if spaces && (0..bytes.len()).any(|at| spaced(&bytes[at..]).is_some()) {
        bytes = replace(&a_grave(&bytes), spaced, |sequence, out| {
            out.extend(sequence.iter().map(|&byte| if byte == b' ' { 0xa0 } else { byte }));
        });
    }
    if lossy {
        bytes = replace(&bytes, lossy_sequence, |_, out| out.extend(REPLACEMENT));
    }
    if bytes.contains(&0xed) || bytes.contains(&0xc0) { variants(&bytes) } else { String::from_utf8(bytes).ok() }
}

/// Every sequence that `find` tells the length of, made into something else.
fn replace(bytes: &[u8], find: fn(&[u8]) -> Option<usize>, mut with: impl FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        match find(rest) {
            Some(length) => {
                let (sequence, after) = rest.split_at(length);
                with(sequence, &mut out);
                rest = after;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// The length of a sequence that one space instead of 0xa0 keeps from being UTF-8, of those that are likely to be meant.
fn spaced(bytes: &[u8]) -> Option<usize> {
    let follows = |byte: u8| matches!(byte, 0x80..=0xbf);
    // Without 0xa0, and without an ellipsis.
    let few = |byte: u8| follows(byte) && byte != 0xa0 && byte != 0x85;
    match *bytes {
        [0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9, b' ', ..] => Some(2),
        [0xe2 | 0xe3, b' ', last, ..] if few(last) => Some(3),
        [0xe0..=0xe3, middle, b' ', ..] if few(middle) => Some(3),
        [0xf0, b' ', c, d, ..] if follows(c) && follows(d) => Some(4),
        [0xf0, b, b' ', d, ..] if follows(b) && follows(d) => Some(4),
        [0xf0, b, c, b' ', ..] if follows(b) && follows(c) => Some(4),
        _ => None,
    }
}

/// The word `à` often lost its second byte to the space after it, unless one of a few words begins with it.
fn a_grave(bytes: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
    let alone = |bytes: &[u8]| match bytes.strip_prefix(b"\xc3 ") {
        Some(after) if !WORDS.iter().any(|word| after.starts_with(word)) => Some(2),
        _ => None,
    };
    replace(bytes, alone, |_, out| out.extend(b"\xc3\xa0 "))
}

/// The length of a sequence of UTF-8 of which bytes were lost, of one at most without a trace but a question mark.
fn lossy_sequence(bytes: &[u8]) -> Option<usize> {
    let follows = |byte: u8| byte == LOST || matches!(byte, 0x80..=0xbf);
    let gone = |byte: u8| byte == LOST || byte == b'?';
    match *bytes {
        [0xc2..=0xdf, LOST, ..] | [0xc2 | 0xc3, b'?', ..] => Some(2),
        [0xed, 0xa0..=0xaf, c, 0xed, 0xb0..=0xbf, f, ..]
            if (gone(c) && (gone(f) || follows(f))) || ((gone(c) || follows(c)) && gone(f)) =>
        {
            Some(6)
        }
        [0xe0..=0xef, b, c, ..] if (gone(b) && follows(c)) || (follows(b) && gone(c)) => Some(3),
        [0xf0..=0xf4, b, c, d, ..]
            if (gone(b) && follows(c) && follows(d)) || (follows(b) && gone(c) && follows(d)) || (follows(b) && follows(c) && gone(d)) =>
        {
            Some(4)
        }
        [LOST, ..] => Some(1),
        _ => None,
    }
}

/// UTF-8 in which characters beyond U+FFFF may be surrogate pairs (CESU-8), and NUL `c0 80` (Java).
fn variants(bytes: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let special = |at: &usize| matches!(rest[*at..], [0xc0, 0x80, ..] | [0xc0] | [0xc0, b'\n'] | [0xed, 0xa0..=0xbf, ..]);
        let end = (0..rest.len()).find(special).unwrap_or(rest.len());
        out.push_str(std::str::from_utf8(&rest[..end]).ok()?);
        rest = &rest[end..];
        match *rest {
            [] => {}
            [0xc0, _, ..] => {
                out.push('\0');
                rest = &rest[2..];
            }
            [0xed, b @ 0xa0..=0xaf, c @ 0x80..=0xbf, 0xed, e @ 0xb0..=0xbf, f @ 0x80..=0xbf, ..] => {
                let bits = |byte: u8, mask: u8| u32::from(byte & mask);
                let point = 0x10000 + (bits(b, 0x0f) << 16 | bits(c, 0x3f) << 10 | bits(e, 0x0f) << 6 | bits(f, 0x3f));
                out.push(char::from_u32(point)?);
                rest = &rest[6..];
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogate_pairs_and_long_nuls_are_read() {
        assert_eq!(decode(b"\xed\xa0\xbd\xed\xb8\x80!\xc0\x80".to_vec(), false, false).as_deref(), Some("\u{1f600}!\0"));
        assert_eq!(decode("\u{d55c}".into(), false, false).as_deref(), Some("\u{d55c}"));
        for half in [&b"\xed\xa0\xbd"[..], b"\xed\xb8\x80\xed\xa0\xbd", b"\xc0", b"\xc0\x81", b"\xed\xa0\xbd\xed\xb8"] {
            assert_eq!(decode(half.to_vec(), false, false), None, "{half:x?}");
        }
    }

    #[test]
    fn lost_bytes_give_one_character() {
        for bytes in [&b"\xe2\x80\x1a"[..], b"\xe2\x1a\x1a", b"\xc3?", b"\xf0\x9f?\x80", b"\x1a", b"\xed\xa0?\xed\xb0\x80"] {
            assert_eq!(decode(bytes.to_vec(), false, true).as_deref(), Some("\u{fffd}"), "{bytes:x?}");
        }
        assert_eq!(decode(b"\xe2??".to_vec(), false, true), None);
    }
}
