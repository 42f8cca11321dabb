//! The first bytes of a recording, after what may stand before any.

use std::io::{self, ErrorKind, Read};

use super::mpeg::tag_bytes;
use super::sniff::{HEAD_BYTES, sniff};
use super::{AudioError, Container};

/// Most zeros that may stand before a recording.
const MAX_ZEROS: u64 = 1 << 28;

/// The first bytes after tags and zeros, fewer only where the stream is shorter; and how many bytes those take.
pub(super) fn read_head(stream: &mut dyn Read) -> Result<(Vec<u8>, u64), AudioError> {
    let (mut head, mut skipped) = without_tags(stream, Vec::new())?;
    if head.first() == Some(&0) && matches!(sniff(&head), Err(AudioError::UnknownFormat)) {
        skipped += skip_zeros(stream, &mut head)?;
        let (rest, tags) = without_tags(stream, head)?;
        (head, skipped) = (rest, skipped + tags);
        // Only frames that say themselves where they begin are looked for there.
        if !head.is_empty() && !matches!(sniff(&head), Ok(Container::Mp3 | Container::Adts)) {
            return Err(AudioError::UnknownFormat);
        }
    }
    if head.is_empty() && skipped > 0 { Err(AudioError::NoSamples) } else { Ok((head, skipped)) }
}

/// Passes over zeros, as a damaged disk or an encoder leaves them; leaves what follows in `head` and gives how many there were.
fn skip_zeros(stream: &mut dyn Read, head: &mut Vec<u8>) -> Result<u64, AudioError> {
    let mut skipped = 0;
    loop {
        let zeros = head.iter().position(|&byte| byte != 0).unwrap_or(head.len());
        head.drain(..zeros);
        skipped += zeros as u64;
        if !head.is_empty() || skipped > MAX_ZEROS {
            return Ok(skipped);
        }
        if stream.take(HEAD_BYTES as u64).read_to_end(head).map_err(AudioError::Io)? == 0 {
            return Ok(skipped);
        }
    }
}

/// The first bytes after tags.
fn without_tags(stream: &mut dyn Read, mut head: Vec<u8>) -> Result<(Vec<u8>, u64), AudioError> {
    let error = |error: io::Error| match error.kind() {
        ErrorKind::IsADirectory => AudioError::Directory,
        _ => AudioError::Io(error),
    };
    let mut skipped = 0;
    loop {
        let missing = HEAD_BYTES.saturating_sub(head.len()) as u64;
        (&mut *stream).take(missing).read_to_end(&mut head).map_err(error)?;
        // Never looked into: a tag may be as large as it likes.
        let Some(tag) = tag_bytes(&head).filter(|_| head.starts_with(b"ID3")) else { return Ok((head, skipped)) };
        skipped += tag;
        let buffered = usize::try_from(tag).unwrap_or(usize::MAX).min(head.len());
        head.drain(..buffered);
        let rest = tag - buffered as u64;
        let passed = io::copy(&mut (&mut *stream).take(rest), &mut io::sink()).map_err(error)?;
        if passed < rest || (rest > 0 && head.is_empty() && passed == 0) {
            return Err(AudioError::NoSamples);
        }
    }
}
