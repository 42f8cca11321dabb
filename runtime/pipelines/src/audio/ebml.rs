//! Elements of EBML (RFC 8794), as far as Matroska needs them.

use super::AudioError;
use super::bytes::Bytes;

/// A name and a length take at most so many bytes.
const HEAD_BYTES: usize = 12;

/// What begins an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: u32,
    /// Length of its body; `None` where the writer did not know.
    pub(super) bytes: Option<u64>,
    /// Bytes of its name and length.
    pub(super) head: usize,
}

impl Element {
    /// Reads what begins an element; nothing where none does.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let id_bytes = bytes.first()?.leading_zeros() as usize + 1;
        let id = bytes.get(..id_bytes).filter(|_| id_bytes <= 4)?;
        let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
        let (size, size_bytes) = number(&bytes[id_bytes..])?;
        let unknown = size == (1 << (7 * size_bytes)) - 1;
        Some(Self { id, bytes: (!unknown).then_some(size), head: id_bytes + size_bytes })
    }

    /// Looks at what begins the next element; nothing at the end and where none begins.
    pub(super) fn look(bytes: &mut Bytes) -> Result<Option<Self>, AudioError> {
        Ok(Self::parse(bytes.look(HEAD_BYTES)?))
    }
}

/// A number of variable length, and how many bytes it takes.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let rest = bytes.get(1..length).filter(|_| length <= 8)?;
    let high = u64::from(first) & ((1 << (8 - length)) - 1);
    Some((rest.iter().fold(high, |number, &byte| number << 8 | u64::from(byte)), length))
}

/// The elements in the body of one, each with its own body.
pub(super) fn children(mut body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let element = Element::parse(body)?;
        let inner = &body[element.head..];
        let bytes = element.bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX).min(inner.len());
        let (inner, rest) = inner.split_at(bytes);
        body = rest;
        Some((element.id, inner))
    })
}

/// An unsigned integer of at most eight bytes.
pub(super) fn unsigned(body: &[u8]) -> u64 {
    body.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A floating-point number of four or eight bytes.
pub(super) fn float(body: &[u8]) -> f64 {
    match (body.first_chunk::<8>(), body.first_chunk::<4>()) {
        (Some(&long), _) => f64::from_be_bytes(long),
        (None, Some(&short)) => f32::from_be_bytes(short).into(),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_elements() {
        let cluster = [0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Element::parse(&cluster), Some(Element { id: 0x1f43_b675, bytes: None, head: 12 }));
        assert_eq!(Element::parse(&[0xa3, 0x41, 0x02, 0]), Some(Element { id: 0xa3, bytes: Some(0x102), head: 3 }));
        assert_eq!((Element::parse(&[0, 0x81]), Element::parse(&[0xa3]), Element::parse(&[0xa3, 0])), (None, None, None));
        let body = [0xd7, 0x81, 7, 0x83, 0x82, 1, 2, 0xae, 0x85, 9];
        assert_eq!(children(&body).collect::<Vec<_>>(), [(0xd7, &[7][..]), (0x83, &[1, 2]), (0xae, &[9])]);
        assert_eq!((unsigned(&[1, 2]), float(&0.5f32.to_be_bytes()), float(&[1])), (258, 0.5, 0.0));
    }
}
