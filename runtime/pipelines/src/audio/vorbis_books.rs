//! How large the tables of a Vorbis stream become: a few bytes can ask for gigabytes, and its decoder makes room for them.

use super::vorbis_bits::Bits;
use super::{AudioError, Container};

/// Begins the header that holds the codebooks.
pub(super) const SETUP: &[u8] = b"\x05vorbis";

/// Most codewords of all codebooks together; encoders have a tenth.
const MAX_ENTRIES: u64 = 1 << 18;
/// Most values of all vectors together; encoders have a fifth.
const MAX_VALUES: u64 = 1 << 21;
/// Most places where such a header seems to begin; one has it by intention.
const MAX_PLACES: usize = 8;

/// Refuses headers whose codebooks no encoder would make.
pub(super) fn check(headers: &[u8], container: Container) -> Result<(), AudioError> {
    // Wherever one may begin: what stands before it is not looked into. Not at any number of places, or this would take hours.
    let places = (0..headers.len()).filter(|&at| headers[at..].starts_with(SETUP));
    for (index, at) in places.enumerate() {
        if index == MAX_PLACES || are_too_large(&mut Bits::new(&headers[at + SETUP.len()..])).unwrap_or(false) {
            return Err(AudioError::Unsupported { container, feature: "codebooks of that size".into() });
        }
    }
    Ok(())
}

/// Nothing where the header ends or breaks the rules, which its decoder finds at the same place.
fn are_too_large(bits: &mut Bits<'_>) -> Option<bool> {
    let (mut entries, mut values) = (0, 0);
    for _ in 0..=bits.take(8)? {
        let mut small = true;
        let passed = bits.book(|book| {
            entries += u64::from(book.entries);
            values += book.values;
            small = entries <= MAX_ENTRIES && values <= MAX_VALUES;
            small
        });
        if !small {
            return Some(true);
        }
        passed?;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of one ordered codebook.
    fn header(dimensions: u16, entries: u32) -> Vec<u8> {
        let mut bits = Vec::new();
        let mut put = |value: u64, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
        put(0, 8);
        put(0x56_4342, 24);
        put(dimensions.into(), 16);
        put(entries.into(), 24);
        put(1, 1);
        put(16, 5);
        put(entries.into(), u32::BITS - entries.leading_zeros());
        put(1, 4);
        put(0, 64);
        put(0, 45);
        let bytes = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, &bit| sum << 1 | u8::from(bit)));
        [SETUP, &bytes.collect::<Vec<_>>()].concat()
    }

    #[test]
    fn headers_in_headers_are_not_all_gone_through() {
        let one = header(4, 6561);
        assert!(check(&one.repeat(MAX_PLACES), Container::Ogg).is_ok());
        assert!(check(&one.repeat(MAX_PLACES + 1), Container::Ogg).is_err());
    }

    #[test]
    fn tables_that_no_encoder_makes_are_refused() {
        assert!(check(&header(4, 6561), Container::Ogg).is_ok());
        for (dimensions, entries) in [(65_535, 131_072), (1, 1 << 20), (400, 6561)] {
            assert!(check(&header(dimensions, entries), Container::Ogg).is_err(), "{dimensions} x {entries}");
        }
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/tone.ogg");
        let file = std::fs::read(fixture).unwrap();
        let at = file.windows(SETUP.len()).position(|window| window == SETUP).unwrap();
        assert_eq!(are_too_large(&mut Bits::new(&file[at + SETUP.len()..])), Some(false), "all of its books are gone through");
    }
}
