//! A recording as it arrives: in memory while it is short, in a temporary file without a name when it is not.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle::audio::{AudioError, AudioReader, Pcm};
use ossicle_kernels::simd::Isa;
use tempfile::{SpooledData, SpooledTempFile};

use crate::limits::MEMORY_BYTES;
use crate::slots::Peer;

/// Bytes that all recordings together may have, and those of one peer.
#[derive(Clone)]
pub(crate) struct Budget {
    taken: Arc<Mutex<HashMap<Peer, u64>>>,
    most: u64,
    most_per_peer: u64,
}

impl Budget {
    pub(crate) fn new(most: u64, most_per_peer: u64) -> Self {
        Self { taken: Arc::default(), most, most_per_peer }
    }

    /// Nothing yet, for a recording of `peer`.
    pub(crate) fn share(&self, peer: Peer) -> Share {
        Share { budget: self.clone(), peer, bytes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Peer, u64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer's share of a [`Budget`]; goes back when dropped.
pub(crate) struct Share {
    budget: Budget,
    peer: Peer,
    bytes: u64,
}

impl Share {
    /// Whose it is.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes more, if they are there.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let mut taken = self.budget.taken();
        let (all, own) = (taken.values().sum::<u64>(), taken.get(&self.peer).copied().unwrap_or(0));
        let fits = all.saturating_add(bytes) <= self.budget.most && own.saturating_add(bytes) <= self.budget.most_per_peer;
        if fits {
            taken.insert(self.peer, own + bytes);
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.budget.taken();
        match taken.get_mut(&self.peer) {
            Some(own) if *own > self.bytes => *own -= self.bytes,
            _ => _ = taken.remove(&self.peer),
        }
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
    /// All recordings together, or all of one peer, would be more than the service keeps.
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
    /// Nothing yet, and never more than `most` bytes or than `share` can grow to.
    pub(crate) fn new(most: u64, share: Share) -> Self {
        Self { file: SpooledTempFile::new(MEMORY_BYTES), share, most }
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

    /// The recording: of samples without a header if so, unless it begins with one all the same.
    pub(crate) fn into_samples(mut self, samples: Option<Pcm>, isa: Isa) -> Result<Kept, AudioError> {
        let Some(pcm) = samples else { return self.into_audio(&[], isa) };
        let mut magic = [0; 4];
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read(&mut magic)).map_err(AudioError::Io)?;
        if matches!(&magic[..read], b".snd" | b"RIFF" | b"OggS" | b"fLaC") {
            return self.into_audio(&[], isa);
        }
        self.file.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
        let audio = match self.file.into_inner() {
            SpooledData::InMemory(bytes) => AudioReader::pcm(bytes, pcm, isa),
            SpooledData::OnDisk(file) => AudioReader::pcm(file, pcm, isa),
        };
        Ok(Kept { audio: audio?, share: self.share })
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
            let mut spill = Spill::new(u64::MAX, Budget::new(u64::MAX, u64::MAX).share(None));
            spill.push(&[0; 44]).unwrap();
            (0..frames).for_each(|i| spill.push(&(i as i16).to_le_bytes()).unwrap());
            let head = crate::wyoming::audio::wav_head(16_000, 2, 1, 2 * frames as u32);
            let samples = spill.into_audio(&head, Isa::detect()).unwrap().audio.read_to_end().unwrap();
            assert_eq!(samples.len(), frames);
            assert_eq!(samples[99], 99.0 / 32768.0);
        }
    }

    #[test]
    fn samples_have_a_header_or_not() {
        let pcm = Pcm { rate: 8000, channels: 1, encoding: ossicle::audio::Encoding::MuLaw };
        let read = |bytes: &[u8]| {
            let mut spill = Spill::new(u64::MAX, Budget::new(u64::MAX, u64::MAX).share(None));
            spill.push(bytes).unwrap();
            let Kept { mut audio, .. } = spill.into_samples(Some(pcm), Isa::detect()).unwrap();
            (audio.estimated_seconds(bytes.len() as u64), audio.info().codec, audio.read_to_end().unwrap().len())
        };
        assert_eq!(read(&[0x80; 8000]), (Some(1.0), "pcm_mulaw", 16_000));
        let head = [24u32, 2000, 2, 8000, 1].map(u32::to_be_bytes).concat();
        assert_eq!(read(&[&b".snd"[..], &head, &[0; 2000]].concat()), (Some(0.25), "pcm_s8", 4_000));
    }

    #[test]
    fn no_byte_beyond_the_limit() {
        let mut spill = Spill::new(10, Budget::new(100, 100).share(None));
        spill.push(&[1; 10]).unwrap();
        assert!(matches!(spill.push(&[1]), Err(SpillError::TooLarge { most: 10 })));
        assert_eq!(spill.len(), 10);
    }

    #[test]
    fn all_recordings_share_a_budget_and_give_it_back() {
        let budget = Budget::new(100, 100);
        let (mut one, mut other) = (Spill::new(80, budget.share(None)), Spill::new(80, budget.share(None)));
        one.push(&[0; 80]).unwrap();
        other.push(&[0; 20]).unwrap();
        assert!(matches!(other.push(&[0]), Err(SpillError::Full)));
        drop(one);
        other.push(&[0; 60]).unwrap();
        // What is read still counts.
        let head = crate::wyoming::audio::wav_head(16_000, 2, 1, 36);
        let kept = other.into_audio(&head, Isa::detect()).unwrap();
        let mut third = Spill::new(80, budget.share(None));
        assert!(matches!(third.push(&[0; 21]), Err(SpillError::Full)));
        drop(kept);
        third.push(&[0; 80]).unwrap();
    }

    #[test]
    fn one_address_cannot_keep_all() {
        let budget = Budget::new(100, 50);
        let [a, b] = [1, 2].map(|last| Some([10, 0, 0, last].into()));
        let mut spills = [a, a, b].map(|peer| Spill::new(80, budget.share(peer)));
        spills[0].push(&[0; 30]).unwrap();
        spills[1].push(&[0; 20]).unwrap();
        assert!(matches!(spills[1].push(&[0]), Err(SpillError::Full)));
        spills[2].push(&[0; 50]).unwrap();
        assert!(matches!(spills[2].push(&[0]), Err(SpillError::Full)));
        let [first, second, _third] = spills;
        drop(first);
        assert_eq!(budget.taken().get(&a), Some(&20));
        drop(second);
        assert_eq!(budget.taken().get(&a), None);
    }
}
