//! A stream of bytes that can be looked at before they are taken.

use std::io::{ErrorKind, Read};

use super::AudioError;

/// Bytes asked of the stream at a time.
const CHUNK_BYTES: usize = 1 << 14;

/// Bytes in order, with as much looked ahead as was asked for.
pub(super) struct Bytes {
    inner: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// How many of the buffer's bytes are taken.
    taken: usize,
    ended: bool,
}

impl Bytes {
    pub(super) fn new(inner: Box<dyn Read + Send>) -> Self {
        Self { inner, buffer: Vec::new(), taken: 0, ended: false }
    }

    /// The next `count` bytes, fewer only at the end.
    pub(super) fn look(&mut self, count: usize) -> Result<&[u8], AudioError> {
        while self.buffer.len() - self.taken < count && !self.ended {
            self.fill()?;
        }
        let end = self.buffer.len().min(self.taken.saturating_add(count));
        Ok(&self.buffer[self.taken..end])
    }

    /// Passes over `count` bytes; gives how many there were.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, AudioError> {
        let mut left = count;
        loop {
            let here = left.min((self.buffer.len() - self.taken) as u64);
            self.taken += here as usize;
            left -= here;
            if left == 0 || self.ended {
                return Ok(count - left);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), AudioError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK_BYTES, 0);
        let read = loop {
            match self.inner.read(&mut self.buffer[start..]) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.truncate(start);
                    return Err(AudioError::Io(error));
                }
            }
        };
        self.buffer.truncate(start + read);
        self.ended = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_takes_and_skips() {
        let mut bytes = Bytes::new(Box::new(std::io::Cursor::new((0..100_000u32).map(|n| n as u8).collect::<Vec<_>>())));
        assert_eq!(bytes.look(3).unwrap(), [0, 1, 2]);
        assert_eq!(bytes.skip(2).unwrap(), 2);
        assert_eq!(bytes.skip(70_000).unwrap(), 70_000);
        assert_eq!(bytes.look(1).unwrap(), [70_002u32 as u8]);
        assert_eq!(bytes.look(50_000).unwrap().len(), 29_998);
        assert_eq!(bytes.skip(50_000).unwrap(), 29_998);
        assert_eq!((bytes.look(5).unwrap().len(), bytes.skip(1).unwrap()), (0, 0));
    }
}
