//! A recording as it arrives: in memory while it is short, in a temporary file without a name when it is not.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ossicle::audio::{AudioError, AudioReader};
use ossicle_kernels::simd::Isa;
use tempfile::{SpooledData, SpooledTempFile};

use crate::limits::MEMORY_BYTES;

/// Bytes that all recordings together may still have.
#[derive(Clone)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }
}

/// A share of a [`Budget`]; goes back when dropped.
pub(crate) struct Share {
    budget: Budget,
    bytes: u64,
}

impl Share {
    /// Takes so many bytes more, if they are there.
    fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of a recording, at most so many.
pub(crate) struct Spill {
    file: SpooledTempFile,
    share: Share,
    most: u64,
}

/// A recording that has arrived, and its share of the budget as long as it is kept.
pub(crate) struct Kept {
    pub(crate) audio: AudioReader,
    pub(crate) share: Share,
}

/// Why bytes were not taken.
#[derive(Debug)]
pub(crate) enum SpillError {
    /// There would be more than this.
    TooLarge { most: u64 },
    /// All recordings together would be more than the service keeps.
    Full,
    /// The temporary file cannot be written.
    Io(io::Error),
}

impl fmt::Display for SpillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { most } => write!(f, "the recording is larger than {most} bytes: send it in shorter parts, or compressed"),
            Self::Full => f.write_str("the service keeps as much audio as it may: try again in a moment"),
            Self::Io(error) => write!(f, "the recording cannot be kept: {error}"),
        }
    }
}

impl Spill {
    /// Nothing yet, and never more than `most` bytes or than `budget` has.
    pub(crate) fn new(most: u64, budget: &Budget) -> Self {
        Self { file: SpooledTempFile::new(MEMORY_BYTES), share: Share { budget: budget.clone(), bytes: 0 }, most }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.share.bytes
    }

    /// Takes all of `bytes` or none.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), SpillError> {
        if self.len().saturating_add(bytes.len() as u64) > self.most {
            return Err(SpillError::TooLarge { most: self.most });
        }
        if !self.share.grow(bytes.len() as u64) {
            return Err(SpillError::Full);
        }
        self.file.write_all(bytes).map_err(SpillError::Io)
    }

    /// The recording, after `head` has taken the place of the first bytes if it is not empty.
    pub(crate) fn into_audio(mut self, head: &[u8], isa: Isa) -> Result<Kept, AudioError> {
        self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(head)).map_err(AudioError::Io)?;
        let audio = match self.file.into_inner() {
            SpooledData::InMemory(bytes) => AudioReader::bytes(bytes.into_inner(), isa),
            SpooledData::OnDisk(file) => AudioReader::file(file, isa),
        };
        Ok(Kept { audio: audio?, share: self.share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_recordings_read_alike() {
        // Headerless bytes with room for a header that is known only at the end.
        for frames in [100, MEMORY_BYTES] {
            let mut spill = Spill::new(u64::MAX, &Budget::new(u64::MAX));
            spill.push(&[0; 44]).unwrap();
            (0..frames).for_each(|i| spill.push(&(i as i16).to_le_bytes()).unwrap());
            let head = crate::wyoming::audio::wav_head(16_000, 2, 1, 2 * frames as u32);
            let samples = spill.into_audio(&head, Isa::detect()).unwrap().audio.read_to_end().unwrap();
            assert_eq!(samples.len(), frames);
            assert_eq!(samples[99], 99.0 / 32768.0);
        }
    }

    #[test]
    fn no_byte_beyond_the_limit() {
        let mut spill = Spill::new(10, &Budget::new(100));
        spill.push(&[1; 10]).unwrap();
        assert!(matches!(spill.push(&[1]), Err(SpillError::TooLarge { most: 10 })));
        assert_eq!(spill.len(), 10);
    }

    #[test]
    fn all_recordings_share_a_budget_and_give_it_back() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (Spill::new(80, &budget), Spill::new(80, &budget));
        one.push(&[0; 80]).unwrap();
        other.push(&[0; 20]).unwrap();
        assert!(matches!(other.push(&[0]), Err(SpillError::Full)));
        drop(one);
        other.push(&[0; 60]).unwrap();
        // What is read still counts.
        let head = crate::wyoming::audio::wav_head(16_000, 2, 1, 36);
        let kept = other.into_audio(&head, Isa::detect()).unwrap();
        let mut third = Spill::new(80, &budget);
        assert!(matches!(third.push(&[0; 21]), Err(SpillError::Full)));
        drop(kept);
        third.push(&[0; 80]).unwrap();
    }
}
