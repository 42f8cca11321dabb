//! Headers, read from their beginning, with a count of their bytes.

use std::io::{ErrorKind, Read};

use super::{AudioError, Container};

/// Reads and counts.
pub(super) struct Counting<'a, R: ?Sized> {
    stream: &'a mut R,
    container: Container,
    pub(super) count: u64,
}

impl<'a, R: Read + ?Sized> Counting<'a, R> {
    pub(super) fn new(stream: &'a mut R, container: Container) -> Self {
        Self { stream, container, count: 0 }
    }

    pub(super) fn malformed(&self, detail: impl Into<String>) -> AudioError {
        AudioError::Malformed { container: self.container, detail: detail.into(), frames: 0 }
    }

    pub(super) fn unsupported(&self, feature: impl Into<String>) -> AudioError {
        AudioError::Unsupported { container: self.container, feature: feature.into() }
    }

    fn ended(&self) -> AudioError {
        self.malformed("it ends before its samples begin")
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], AudioError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.ended(),
            _ => AudioError::Io(error),
        })?;
        self.count += N as u64;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), AudioError> {
        let skipped = std::io::copy(&mut (&mut *self.stream).take(bytes), &mut std::io::sink()).map_err(AudioError::Io)?;
        self.count += skipped;
        if skipped < bytes { Err(self.ended()) } else { Ok(()) }
    }
}
