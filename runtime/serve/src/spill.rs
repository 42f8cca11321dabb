//! A recording as it arrives: in memory while it is short, in a temporary file without a name when it is not.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};

use ossicle::audio::{AudioError, AudioReader};
use ossicle_kernels::simd::Isa;
use tempfile::{SpooledData, SpooledTempFile};

use crate::limits::MEMORY_BYTES;

/// Bytes of a recording, at most so many.
pub(crate) struct Spill {
    file: SpooledTempFile,
    len: u64,
    most: u64,
}

/// Why bytes were not taken.
#[derive(Debug)]
pub(crate) enum SpillError {
    /// There would be more than this.
    TooLarge { most: u64 },
    /// The temporary file cannot be written.
    Io(io::Error),
}

impl fmt::Display for SpillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { most } => write!(f, "it is larger than {most} bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Spill {
    /// Nothing yet, and never more than `most` bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { file: SpooledTempFile::new(MEMORY_BYTES), len: 0, most }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Takes all of `bytes` or none.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), SpillError> {
        let len = self.len + bytes.len() as u64;
        if len > self.most {
            return Err(SpillError::TooLarge { most: self.most });
        }
        self.file.write_all(bytes).map_err(SpillError::Io)?;
        self.len = len;
        Ok(())
    }

    /// The recording, after `head` has taken the place of the first bytes if it is not empty.
    pub(crate) fn into_audio(mut self, head: &[u8], isa: Isa) -> Result<AudioReader, AudioError> {
        self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(head)).map_err(AudioError::Io)?;
        match self.file.into_inner() {
            SpooledData::InMemory(bytes) => AudioReader::bytes(bytes.into_inner(), isa),
            SpooledData::OnDisk(file) => AudioReader::file(file, isa),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_recordings_read_alike() {
        // Headerless bytes with room for a header that is known only at the end.
        for frames in [100, MEMORY_BYTES] {
            let mut spill = Spill::new(u64::MAX);
            spill.push(&[0; 44]).unwrap();
            (0..frames).for_each(|i| spill.push(&(i as i16).to_le_bytes()).unwrap());
            let head = crate::wyoming::audio::wav_head(16_000, 2, 1, 2 * frames as u32);
            let samples = spill.into_audio(&head, Isa::detect()).unwrap().read_to_end().unwrap();
            assert_eq!(samples.len(), frames);
            assert_eq!(samples[99], 99.0 / 32768.0);
        }
    }

    #[test]
    fn no_byte_beyond_the_limit() {
        let mut spill = Spill::new(10);
        spill.push(&[1; 10]).unwrap();
        assert!(matches!(spill.push(&[1]), Err(SpillError::TooLarge { most: 10 })));
        assert_eq!(spill.len(), 10);
    }
}
