//! The bits of a Vorbis header.

const CODEBOOK: u32 = 0x56_4342;

/// Bits from the lowest of each byte on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What a codebook makes its decoder keep.
pub(super) struct Book {
    pub(super) entries: u32,
    /// Values of all vectors.
    pub(super) values: u64,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    /// Passes over bits, perhaps beyond the end.
    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// Passes over a codebook unless it is not `wanted`; nothing then, and where the header ends or breaks the rules.
    pub(super) fn book(&mut self, wanted: impl FnOnce(&Book) -> bool) -> Option<()> {
        if self.take(24)? != CODEBOOK {
            return None;
        }
        let (dimensions, entries) = (self.take(16)?, self.take(24)?);
        let values = u64::from(entries) * u64::from(dimensions);
        if !wanted(&Book { entries, values }) {
            return None;
        }
        self.skip_lengths(entries)?;
        let lookup = self.take(4)?;
        if lookup == 0 {
            return Some(());
        }
        self.skip(64);
        let bits = self.take(4)? + 1;
        self.skip(1);
        let stored = if lookup == 1 { roots(entries, dimensions) } else { values };
        self.skip(usize::try_from(stored * u64::from(bits)).ok()?);
        Some(())
    }

    fn skip_lengths(&mut self, entries: u32) -> Option<()> {
        if self.take(1)? == 1 {
            self.skip(5);
            let mut entry = 0;
            while entry < entries {
                entry += self.take(u32::BITS - (entries - entry).leading_zeros())?;
            }
            return Some(());
        }
        let sparse = self.take(1)? == 1;
        for _ in 0..entries {
            if !sparse || self.take(1)? == 1 {
                self.take(5)?;
            }
        }
        Some(())
    }
}

/// The largest number whose power by `dimensions` is not above `entries`.
fn roots(entries: u32, dimensions: u32) -> u64 {
    // Every number is its own first power; no power of anything is its zeroth.
    if dimensions <= 1 {
        return if dimensions == 1 { entries.into() } else { 0 };
    }
    (1..=u64::from(entries))
        .take_while(|root| root.checked_pow(dimensions).is_some_and(|power| power <= entries.into()))
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_knows_roots() {
        let mut bits = Bits::new(&[0b1010_0101, 0xff]);
        assert_eq!((bits.take(3), bits.take(6), bits.at, bits.take(8)), (Some(5), Some(0b11_0100), 9, None));
        assert_eq!((roots(6561, 8), roots(6560, 8), roots(131_072, 65_535), roots(10, 1), roots(10, 0)), (3, 2, 1, 10, 0));
    }
}
