//! A sorted table from keys to values of bytes, searched where it lies: nothing is read before it is asked for.
//!
//! Keys lie in blocks of 16. The first of a block is whole, the others say how many bytes they share with the one before. All integers are
//! little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | blocks |
//! | 4 a block | where it begins, from the start of the table |
//! | the rest | entries: shared bytes (1), further bytes of the key (1), bytes of the value (2), key, value |

use std::cmp::Ordering;

const BLOCK: usize = 16;

/// The table in some bytes; of damaged bytes it finds what it finds, and never reads beyond them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a>(&'a [u8]);

impl<'a> Table<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        let blocks = self.number(0)?;
        // The last block whose first key is not behind the key.
        let (mut low, mut high) = (0, blocks);
        while low < high {
            let middle = low + (high - low) / 2;
            let (first, ..) = self.entry(self.number(1 + middle)?)?;
            if first.1 <= key { low = middle + 1 } else { high = middle }
        }
        if low == 0 {
            // The key is before the first one.
            return None;
        }
        let mut at = self.number(low)?;
        let mut known: Vec<u8> = Vec::with_capacity(32);
        for _ in 0..BLOCK {
            let ((shared, rest), value, next) = self.entry(at)?;
            known.truncate(shared);
            known.extend_from_slice(rest);
            match known[..].cmp(key) {
                Ordering::Less => at = next,
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The number in this place of the head.
    fn number(&self, place: usize) -> Option<usize> {
        let bytes = self.0.get(place.checked_mul(4)?..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    }

    /// An entry: how many bytes its key shares with the one before and the others, its value, and where the next begins.
    #[allow(clippy::type_complexity)]
    fn entry(&self, at: usize) -> Option<((usize, &'a [u8]), &'a [u8], usize)> {
        let &[shared, rest, low, high] = self.0.get(at..)?.first_chunk()?;
        let (key, value) = (at + 4, at + 4 + usize::from(rest));
        let next = value + usize::from(u16::from_le_bytes([low, high]));
        Some(((usize::from(shared), self.0.get(key..value)?), self.0.get(value..next)?, next))
    }
}

/// Writes a table. Keys longer than 255 bytes and values longer than 65 535 are left out; of equal keys the last counts.
pub(crate) fn write<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let sorted: std::collections::BTreeMap<&[u8], &[u8]> =
        entries.into_iter().filter(|(key, value)| key.len() <= 255 && value.len() <= 65_535).collect();
    let blocks = sorted.len().div_ceil(BLOCK);
    let mut head = (blocks as u32).to_le_bytes().to_vec();
    let mut data = Vec::new();
    let mut before: &[u8] = &[];
    for (place, (key, value)) in sorted.into_iter().enumerate() {
        if place % BLOCK == 0 {
            head.extend(((4 + 4 * blocks + data.len()) as u32).to_le_bytes());
            before = &[];
        }
        let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
        data.extend([shared as u8, (key.len() - shared) as u8]);
        data.extend((value.len() as u16).to_le_bytes());
        data.extend_from_slice(&key[shared..]);
        data.extend_from_slice(value);
        before = key;
    }
    [head, data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let keys: Vec<String> = (0..1000u32).map(|i| format!("w{}", i * 7919 % 1000 * 2)).collect();
        let bytes = write(keys.iter().map(|key| (key.as_bytes(), &key.as_bytes()[1..])));
        let table = Table::new(&bytes);
        for key in &keys {
            assert_eq!(table.get(key.as_bytes()), Some(&key.as_bytes()[1..]), "{key}");
        }
        for odd in (1..2001).step_by(2) {
            assert_eq!(table.get(format!("w{odd}").as_bytes()), None);
        }
        for key in ["", "a", "w", "w00", "x", "zzz"] {
            assert_eq!(table.get(key.as_bytes()), None);
        }
        assert_eq!(Table::new(&write([])).get(b"a"), None);
    }

    #[test]
    fn damaged_tables_are_not_read_beyond() {
        let bytes = write((0..200u32).map(|_| (&b"key"[..], &b"value"[..])).chain([(&b"a"[..], &b"b"[..])]));
        for end in 0..bytes.len() {
            let _ = Table::new(&bytes[..end]).get(b"key");
            let mut damaged = bytes.clone();
            damaged[end] ^= 0xff;
            let _ = Table::new(&damaged).get(b"key");
        }
    }
}
