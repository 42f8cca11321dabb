//! How large the tables of a Vorbis stream become: a few bytes can ask for gigabytes, and its decoder makes room for them.

use super::{AudioError, Container};

/// Begins the header that holds the codebooks.
const SETUP: &[u8] = b"\x05vorbis";
const CODEBOOK: u32 = 0x56_4342;

/// Most codewords of all codebooks together; encoders have a tenth.
const MAX_ENTRIES: u64 = 1 << 18;
/// Most values of all vectors together; encoders have a fifth.
const MAX_VALUES: u64 = 1 << 21;

/// Refuses headers whose codebooks no encoder would make.
pub(super) fn check(headers: &[u8], container: Container) -> Result<(), AudioError> {
    // Wherever one may begin: what stands before it is not looked into.
    for at in (0..headers.len()).filter(|&at| headers[at..].starts_with(SETUP)) {
        let mut bits = Bits { bytes: &headers[at + SETUP.len()..], at: 0 };
        if bits.are_books_too_large().unwrap_or(false) {
            return Err(AudioError::Unsupported { container, feature: "codebooks of that size".into() });
        }
    }
    Ok(())
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    /// Nothing where the header ends or breaks the rules, which its decoder finds at the same place.
    fn are_books_too_large(&mut self) -> Option<bool> {
        let (mut all_entries, mut all_values) = (0, 0);
        for _ in 0..=self.take(8)? {
            if self.take(24)? != CODEBOOK {
                return None;
            }
            let (dimensions, entries) = (self.take(16)?, self.take(24)?);
            all_entries += u64::from(entries);
            if all_entries > MAX_ENTRIES {
                return Some(true);
            }
            self.skip_lengths(entries)?;
            let lookup = self.take(4)?;
            if lookup == 0 {
                continue;
            }
            let values = u64::from(entries) * u64::from(dimensions);
            all_values += values;
            if all_values > MAX_VALUES {
                return Some(true);
            }
            self.at += 64;
            let bits = self.take(4)? + 1;
            self.at += 1;
            let stored = if lookup == 1 { roots(entries, dimensions) } else { values };
            self.at = self.at.checked_add(usize::try_from(stored * u64::from(bits)).ok()?)?;
        }
        Some(false)
    }

    fn skip_lengths(&mut self, entries: u32) -> Option<()> {
        if self.take(1)? == 1 {
            self.at += 5;
            let mut entry = 0;
            while entry < entries {
                entry += self.take(u32::BITS - (entries - entry).leading_zeros())?;
                // A count of 0 is allowed: the lengths grow, the bits run out.
            }
            return Some(());
        }
        let sparse = self.take(1)? == 1;
        for _ in 0..entries {
            if !sparse || self.take(1)? == 1 {
                self.at += 5;
            }
        }
        Some(())
    }
}

/// The largest number whose power by `dimensions` is not above `entries`.
fn roots(entries: u32, dimensions: u32) -> u64 {
    (1..=u64::from(entries))
        .take_while(|root| root.checked_pow(dimensions).is_some_and(|power| power <= entries.into()))
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of one ordered codebook.
    fn header(dimensions: u16, entries: u32) -> Vec<u8> {
        let mut bits = Vec::new();
        let mut put = |value: u64, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
        put(0, 8);
        put(CODEBOOK.into(), 24);
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
    fn tables_that_no_encoder_makes_are_refused() {
        assert!(check(&header(4, 6561), Container::Ogg).is_ok());
        for (dimensions, entries) in [(65_535, 131_072), (1, 1 << 20), (400, 6561)] {
            assert!(check(&header(dimensions, entries), Container::Ogg).is_err(), "{dimensions} x {entries}");
        }
        assert_eq!((roots(6561, 8), roots(6560, 8), roots(131_072, 65_535), roots(10, 1)), (3, 2, 1, 10));
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/tone.ogg");
        let file = std::fs::read(fixture).unwrap();
        let at = file.windows(SETUP.len()).position(|window| window == SETUP).unwrap();
        let mut bits = Bits { bytes: &file[at + SETUP.len()..], at: 0 };
        assert_eq!(bits.are_books_too_large(), Some(false), "all of its books are gone through");
    }
}
