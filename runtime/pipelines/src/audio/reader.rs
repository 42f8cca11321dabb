//! From bytes to samples: sniffing, decoding, checking, mixing, resampling.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use ossicle_frontend::resample::{Resampler, output_len};
use ossicle_frontend::samples::{BadSample, check_finite, downmix};
use ossicle_kernels::simd::Isa;
use symphonia::core::io::ReadOnlySource;

use super::compressed::CompressedDecoder;
use super::decoder::{Decoder, Spec};
use super::sniff::{HEAD_BYTES, sniff};
use super::wav::PcmDecoder;
use super::{AudioError, Container, MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, Pcm};
use crate::source::{SampleSource, SourceError};

/// What a recording says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// What wraps the audio.
    pub container: Container,
    /// Short name of the encoding.
    pub codec: &'static str,
    /// Frames per second as decoded, before resampling.
    pub sample_rate: u32,
    /// Channels, before mixing.
    pub channels: usize,
    /// Frames in all, where the header says so.
    pub frames: Option<u64>,
}

/// A recording or live stream, decoded as it is read. The instruction set changes its speed, never a bit.
pub struct AudioReader {
    decoder: Box<dyn Decoder>,
    info: AudioInfo,
    resampler: Resampler<Vec<f32>>,
    /// Decoded, interleaved samples of the current block.
    block: Vec<f32>,
    /// The same, mixed; read from `taken` on.
    mono: Vec<f32>,
    taken: usize,
    /// Frames of all blocks before the current one.
    frames: u64,
    ended: bool,
}

impl AudioReader {
    /// Opens a file; a pipe or device by name is read as a stream.
    ///
    /// # Errors
    /// For anything but a recording with at least one sample.
    pub fn open(path: impl AsRef<Path>, isa: Isa) -> Result<Self, AudioError> {
        let cannot_open = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => AudioError::NotFound,
            ErrorKind::IsADirectory => AudioError::Directory,
            _ => AudioError::Io(error),
        };
        Self::file(File::open(path).map_err(cannot_open)?, isa)
    }

    /// Reads an open file from its start; a pipe or device is read as a stream.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn file(mut file: File, isa: Isa) -> Result<Self, AudioError> {
        let metadata = file.metadata().map_err(AudioError::Io)?;
        if metadata.is_dir() {
            return Err(AudioError::Directory);
        }
        if !metadata.is_file() {
            return Self::stream(file, isa);
        }
        file.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
        let container = sniff(&read_head(&mut file)?)?;
        file.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
        if container == Container::Wav {
            return Self::new(Box::new(PcmDecoder::wav(file, Some(metadata.len()))?), isa);
        }
        Self::new(Box::new(CompressedDecoder::new(Box::new(file), container)?), isa)
    }

    /// Reads a stream that cannot go back, such as standard input.
    ///
    /// # Errors
    /// For anything but audio with at least one sample; waits for the first block.
    pub fn stream(mut stream: impl Read + Send + Sync + 'static, isa: Isa) -> Result<Self, AudioError> {
        let head = read_head(&mut stream)?;
        let container = sniff(&head)?;
        let stream = Cursor::new(head).chain(stream);
        if container == Container::Wav {
            return Self::new(Box::new(PcmDecoder::wav(stream, None)?), isa);
        }
        Self::new(Box::new(CompressedDecoder::new(Box::new(ReadOnlySource::new(stream)), container)?), isa)
    }

    /// Reads a whole file that is in memory.
    ///
    /// # Errors
    /// For anything but a recording with at least one sample.
    pub fn bytes(bytes: Vec<u8>, isa: Isa) -> Result<Self, AudioError> {
        let container = sniff(&bytes[..bytes.len().min(HEAD_BYTES)])?;
        let len = bytes.len() as u64;
        if container == Container::Wav {
            return Self::new(Box::new(PcmDecoder::wav(Cursor::new(bytes), Some(len))?), isa);
        }
        Self::new(Box::new(CompressedDecoder::new(Box::new(Cursor::new(bytes)), container)?), isa)
    }

    /// Reads headerless mono signed 16-bit little-endian samples of `rate` Hz until the stream ends.
    ///
    /// # Errors
    /// For a rate out of range or a stream without a sample; waits for the first block.
    pub fn raw(stream: impl Read + Send + 'static, rate: u32, isa: Isa) -> Result<Self, AudioError> {
        Self::pcm(stream, Pcm::mono(rate), isa)
    }

    /// Reads headerless samples until the stream ends.
    ///
    /// # Errors
    /// For a rate or number of channels out of range, or a stream without a sample; waits for the first block.
    pub fn pcm(stream: impl Read + Send + 'static, pcm: Pcm, isa: Isa) -> Result<Self, AudioError> {
        if pcm.channels == 0 {
            return Err(AudioError::Channels(0));
        }
        Self::new(Box::new(PcmDecoder::raw(stream, pcm)), isa)
    }

    /// What the recording says of itself.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Fills `out` from its beginning with finite 16 kHz samples and returns how many there are, 0 only at the end (or for an empty `out`).
    /// A live stream returns what has come.
    ///
    /// # Errors
    /// Whatever is wrong with the audio; the reader is of no use afterwards.
    pub fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        let mut written = 0;
        while written < out.len() {
            if self.ended {
                match self.resampler.finish(&mut out[written..]) {
                    0 => break,
                    more => written += more,
                }
            } else if self.taken == self.mono.len() {
                // What is there goes out before waiting for more: a live stream is heard as it comes.
                if written > 0 && self.info.frames.is_none() {
                    break;
                }
                self.ended = !self.advance()?;
            } else {
                let done = self.resampler.process(&self.mono[self.taken..], &mut out[written..]);
                self.taken += done.read;
                written += done.written;
            }
        }
        Ok(written)
    }

    /// All samples that are left: for short audio only, since a stream has no bounds.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_to_end(&mut self) -> Result<Vec<f32>, AudioError> {
        let (mut samples, mut block) = (Vec::new(), [0.0; 4096]);
        loop {
            match self.read(&mut block)? {
                0 => return Ok(samples),
                read => samples.extend_from_slice(&block[..read]),
            }
        }
    }

    /// 16 kHz samples in all, where the length is known beforehand; good for progress, not for buffers.
    pub fn expected_samples(&self) -> Option<u64> {
        self.info.frames.map(|frames| output_len(self.info.sample_rate, frames))
    }

    /// Decodes the first block, so that whatever the header hides shows at once.
    fn new(mut decoder: Box<dyn Decoder>, isa: Isa) -> Result<Self, AudioError> {
        check_spec(decoder.spec())?;
        let mut block = Vec::new();
        if !decoder.next_block(&mut block)? {
            return Err(AudioError::NoSamples);
        }
        let spec = decoder.spec();
        check_spec(spec)?;
        let info = AudioInfo {
            container: decoder.container(),
            codec: decoder.codec(),
            sample_rate: spec.rate,
            channels: spec.channels,
            frames: decoder.frames(),
        };
        let memory = Resampler::<Vec<f32>>::memory_len(spec.rate).map(|len| vec![0.0; len]);
        let resampler = memory.and_then(|memory| Resampler::new(isa, spec.rate, memory));
        let resampler = resampler.map_err(|_| AudioError::SampleRate(spec.rate))?;
        let mut reader = Self { decoder, info, resampler, block, mono: Vec::new(), taken: 0, frames: 0, ended: false };
        reader.mix()?;
        Ok(reader)
    }

    /// Checks the block and mixes its channels.
    fn mix(&mut self) -> Result<(), AudioError> {
        let channels = self.info.channels;
        check_finite(&self.block).map_err(|BadSample { index, value }| {
            let (frame, channel) = (self.frames + (index / channels) as u64, index % channels);
            if value.is_finite() { AudioError::OutOfRange { frame, channel, value } } else { AudioError::NotFinite { frame, channel } }
        })?;
        self.mono.resize(self.block.len() / channels, 0.0);
        downmix(&self.block, channels, &mut self.mono);
        self.taken = 0;
        Ok(())
    }

    /// Decodes the next block; false at the end.
    fn advance(&mut self) -> Result<bool, AudioError> {
        self.frames += self.mono.len() as u64;
        self.block.clear();
        self.mono.clear();
        self.taken = 0;
        let more = self.decoder.next_block(&mut self.block)?;
        if more {
            self.mix()?;
        }
        Ok(more)
    }
}

impl SampleSource for AudioReader {
    /// The error holds an [`AudioError`].
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        Self::read(self, out).map_err(|error| SourceError(Box::new(error)))
    }
}

fn check_spec(spec: Spec) -> Result<(), AudioError> {
    // Zero means that only the first packet tells.
    if spec.rate != 0 && !(MIN_RATE_HZ..=MAX_RATE_HZ).contains(&spec.rate) {
        return Err(AudioError::SampleRate(spec.rate));
    }
    if spec.channels > MAX_CHANNELS {
        return Err(AudioError::Channels(spec.channels));
    }
    Ok(())
}

/// The first bytes, fewer only where the stream is shorter.
fn read_head(stream: &mut impl Read) -> Result<Vec<u8>, AudioError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    stream.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => AudioError::Directory,
        _ => AudioError::Io(error),
    })?;
    Ok(head)
}
