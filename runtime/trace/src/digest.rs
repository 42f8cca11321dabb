//! Digests of tensors and files.

use std::fmt::Write as _;
use std::hash::Hasher;
use std::io::{self, Read};

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;

use crate::tap::Values;

/// XXH3 (64 bits, seed 0) of the values' little-endian bytes: fast, the same on every machine, and no protection against forgery.
pub fn digest(values: Values<'_>) -> u64 {
    if cfg!(target_endian = "little") {
        return XxHash3_64::oneshot(in_memory(&values));
    }
    let mut hasher = XxHash3_64::with_seed(0);
    swapped(values, |bytes| hasher.write(bytes));
    hasher.finish()
}

/// Hands the values' little-endian bytes to `each`, in one or several pieces.
pub fn le_bytes(values: Values<'_>, mut each: impl FnMut(&[u8])) {
    if cfg!(target_endian = "little") { each(in_memory(&values)) } else { swapped(values, each) }
}

fn in_memory<'a>(values: &Values<'a>) -> &'a [u8] {
    match *values {
        Values::F32(values) => bytemuck::cast_slice(values),
        Values::I8(values) => bytemuck::cast_slice(values),
        Values::I32(values) => bytemuck::cast_slice(values),
        Values::U32(values) => bytemuck::cast_slice(values),
    }
}

/// As [`le_bytes`] on any machine, through a small buffer.
fn swapped(values: Values<'_>, mut each: impl FnMut(&[u8])) {
    fn words<T: Copy>(values: &[T], to_le: impl Fn(T) -> [u8; 4], each: &mut impl FnMut(&[u8])) {
        let mut bytes = [0; 1024];
        for chunk in values.chunks(bytes.len() / 4) {
            for (value, slot) in chunk.iter().zip(bytes.as_chunks_mut::<4>().0) {
                *slot = to_le(*value);
            }
            each(&bytes[..4 * chunk.len()]);
        }
    }
    match values {
        Values::F32(values) => words(values, f32::to_le_bytes, &mut each),
        Values::I8(values) => each(bytemuck::cast_slice(values)),
        Values::I32(values) => words(values, i32::to_le_bytes, &mut each),
        Values::U32(values) => words(values, u32::to_le_bytes, &mut each),
    }
}

/// Lower-case hexadecimal SHA-256 of everything `read` gives, in constant memory.
///
/// # Errors
/// If it cannot be read to its end.
pub fn sha256_hex(mut read: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match read.read(&mut block) {
            Ok(0) => break,
            Ok(n) => hasher.update(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // The empty input and the bytes 0, 1, ..., 255, as the reference implementation (xxHash 0.8.4) has them.
        assert_eq!(digest(Values::I8(&[])), 0x2d06_8005_38d3_94c2);
        let bytes: Vec<i8> = (0..=255u8).map(u8::cast_signed).collect();
        assert_eq!(digest(Values::I8(&bytes)), 0x9408_a443_3b95_2d71);
        let words: Vec<u32> = (0..=255u8).collect::<Vec<_>>().as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect();
        assert_eq!(digest(Values::I8(&bytes)), digest(Values::U32(&words)));
        assert_eq!(sha256_hex(&b"abc"[..]).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn pieces_make_the_same_bytes() {
        let values: Vec<f32> = (0..1000).map(|i| i as f32 * 0.37 - 5.0).collect();
        let mut pieces = vec![];
        swapped(Values::F32(&values), |bytes| pieces.extend_from_slice(bytes));
        let expected: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(pieces, expected);
        let mut hasher = XxHash3_64::with_seed(0);
        pieces.chunks(100).for_each(|piece| hasher.write(piece));
        assert_eq!(hasher.finish(), digest(Values::F32(&values)));
    }
}
