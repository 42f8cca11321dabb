//! What follows the samples of a WAVE file: nothing, chunks to pass over, more samples, or a whole other file.

use std::io::Read;

use super::AudioError;
use super::riff::{WavHeader, is_chunk_id, is_chunk_name, read_header};

/// What comes after the samples that were promised.
pub(super) enum Tail {
    /// Nothing more to hear.
    End,
    /// Another chunk of samples of the same format, of so many bytes.
    Data(u64),
    /// Another file, joined to the first.
    File(WavHeader),
    /// Another file, which cannot be decoded.
    Other,
    /// No chunk: samples go on with these bytes, and the length before them is out of date.
    Samples(Vec<u8>),
}

/// Counts what is read of the rest of a file.
struct Rest<'a, R> {
    stream: &'a mut R,
    left: u64,
}

impl<R: Read> Rest<'_, R> {
    /// The next bytes; fewer at the end.
    fn take(&mut self, most: u64, bytes: &mut Vec<u8>) -> Result<(), AudioError> {
        let read = self.stream.take(most.min(self.left)).read_to_end(bytes).map_err(AudioError::Io)?;
        self.left -= read as u64;
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), AudioError> {
        let skipped = std::io::copy(&mut self.stream.take(bytes.min(self.left)), &mut std::io::sink()).map_err(AudioError::Io)?;
        self.left -= skipped;
        Ok(())
    }
}

/// Looks at the `left` bytes that follow samples, up to where more samples begin; how many are left then comes with it. `odd` says that the
/// samples may be padded with a byte.
pub(super) fn next(stream: &mut impl Read, left: u64, mut odd: bool) -> Result<(Tail, u64), AudioError> {
    let mut rest = Rest { stream, left };
    let mut head = Vec::new();
    loop {
        head.clear();
        rest.take(8, &mut head)?;
        if odd && head.first() == Some(&0) {
            head.remove(0);
            rest.take(1, &mut head)?;
        }
        let Some(&[a, b, c, d, e, f, g, h]) = head.first_chunk() else { return Ok((Tail::End, 0)) };
        let (id, bytes) = ([a, b, c, d], u64::from(u32::from_le_bytes([e, f, g, h])));
        match &id {
            b"data" => return Ok((Tail::Data(bytes), rest.left)),
            b"RIFF" | b"RF64" | b"BW64" => {
                rest.take(4, &mut head)?;
                if !head.ends_with(b"WAVE") {
                    return Ok((Tail::Samples(head), rest.left));
                }
                let count = head.len() as u64;
                return match read_header(&mut head.chain(&mut *rest.stream)) {
                    Ok(header) => Ok((Tail::File(header), rest.left.saturating_sub(header.header_bytes - count))),
                    Err(AudioError::Io(error)) => Err(AudioError::Io(error)),
                    Err(_) => Ok((Tail::Other, rest.left)),
                };
            }
            _ if head.starts_with(b"ID3") || head.starts_with(b"TAG") || &head[..] == b"APETAGEX" => return Ok((Tail::End, 0)),
            _ if is_chunk_id(id) || is_chunk_name(id) && bytes <= rest.left => rest.skip(bytes)?,
            _ => return Ok((Tail::Samples(head), rest.left)),
        }
        odd = bytes % 2 == 1;
    }
}
