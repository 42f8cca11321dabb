//! From bytes to samples: sniffing, decoding, checking, mixing, resampling.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use ossicle_frontend::resample::{Resampler, output_len};
use ossicle_frontend::samples::{BadSample, check_finite};
use ossicle_kernels::simd::Isa;
use symphonia::core::io::{MediaSource, ReadOnlySource};

use super::compressed::CompressedDecoder;
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::flac::without_metadata;
use super::head::read_head;
use super::matroska::MatroskaDecoder;
use super::mix::Mixer;
use super::mp3::Mp3Decoder;
use super::ogg::OggDecoder;
use super::ogg_pages;
use super::pcm_decoder::PcmDecoder;
use super::sniff::sniff;
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
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use ossicle::{Audio, SampleSource};
///
/// let mut audio = Audio::open("samples/kitchen.wav")?;
/// let mut second = vec![0.0; 16_000];
/// assert!(SampleSource::read(&mut audio, &mut second)? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AudioReader {
    decoder: Box<dyn Decoder>,
    info: AudioInfo,
    isa: Isa,
    /// Shape of what is in `block` and goes to the resampler.
    spec: Spec,
    resampler: Resampler<Vec<f32>>,
    mixer: Mixer,
    /// Decoded, interleaved samples that are not mixed yet.
    block: Vec<f32>,
    /// The same, mixed; read from `taken` on.
    mono: Vec<f32>,
    taken: usize,
    /// Frames of all blocks.
    frames: u64,
    progress: Progress,
    strict: bool,
    /// Where the last page of an Ogg file says that it ends.
    last_position: Option<u64>,
}

/// How far a reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Decoding on.
    Within,
    /// The block has another shape than what came before, of which the resampler still holds the end.
    Changing,
    /// All is decoded; the resampler still holds the end.
    Ended,
}

impl AudioReader {
    /// Opens a file; a pipe or device by name is read as a stream.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// assert!(ossicle::Audio::open("README.md").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For anything but a recording with at least one sample.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, AudioError> {
        Self::open_with(path, Isa::detect())
    }

    /// As [`open`](Self::open), resampling with this instruction set; it changes no bit.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::open_with("samples/kitchen.wav", ossicle::Isa::detect())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, isa: Isa) -> Result<Self, AudioError> {
        let cannot_open = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => AudioError::NotFound,
            ErrorKind::IsADirectory => AudioError::Directory,
            _ => AudioError::Io(error),
        };
        Self::file(File::open(path).map_err(cannot_open)?, isa)
    }

    /// Reads an open file from its start; a pipe or device is read as a stream.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::file(std::fs::File::open("samples/kitchen.wav")?, ossicle::Isa::detect())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        Self::source(Box::new(file), isa)
    }

    /// Reads a stream that cannot go back, such as standard input.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let stream = std::fs::File::open("samples/kitchen.wav")?;
    /// let audio = ossicle::Audio::stream(stream, ossicle::Isa::detect())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For anything but audio with at least one sample; waits for the first block.
    pub fn stream(stream: impl Read + Send + Sync + 'static, isa: Isa) -> Result<Self, AudioError> {
        Self::source(Box::new(ReadOnlySource::new(stream)), isa)
    }

    /// Reads a whole file that is in memory.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::bytes(std::fs::read("samples/kitchen.wav")?, ossicle::Isa::detect())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For anything but a recording with at least one sample.
    pub fn bytes(bytes: Vec<u8>, isa: Isa) -> Result<Self, AudioError> {
        Self::source(Box::new(Cursor::new(bytes)), isa)
    }

    /// Reads whatever the first bytes say that it is.
    fn source(mut source: Box<dyn MediaSource>, isa: Isa) -> Result<Self, AudioError> {
        let (head, skipped) = read_head(&mut source)?;
        let container = sniff(&head)?;
        if container == Container::Mp4 && source.is_seekable() && skipped == 0 {
            source.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
            return Self::new(Box::new(CompressedDecoder::mp4(source)?), isa);
        }
        let last_position = if container == Container::Ogg { last_position(&mut source)? } else { None };
        let length = source.byte_len().filter(|_| source.is_seekable()).map(|length| length.saturating_sub(skipped));
        let stream: Box<dyn Read + Send + Sync> = Box::new(Cursor::new(head).chain(source));
        let compressed = |stream| Ok::<Box<dyn Decoder>, AudioError>(Box::new(CompressedDecoder::new(stream, container)?));
        let decoder: Box<dyn Decoder> = match container {
            Container::Wav => Box::new(PcmDecoder::wav(stream, length)?),
            Container::Aiff | Container::Caf | Container::Au => Box::new(PcmDecoder::described(stream, container, length)?),
            Container::Mp3 => Box::new(Mp3Decoder::new(stream)?),
            Container::Ogg => Box::new(OggDecoder::new(stream)),
            Container::Flac => compressed(Box::new(ReadOnlySource::new(without_metadata(stream)?)))?,
            Container::Matroska => Box::new(MatroskaDecoder::new(stream)?),
            Container::Mp4 => Box::new(CompressedDecoder::mp4(Box::new(ReadOnlySource::new(stream)))?),
            Container::Adts | Container::Raw => compressed(Box::new(ReadOnlySource::new(stream)))?,
        };
        Ok(Self { last_position, ..Self::new(decoder, isa)? })
    }

    /// Reads headerless mono signed 16-bit little-endian samples of `rate` Hz until the stream ends.
    ///
    /// ```
    /// let samples = std::io::Cursor::new(vec![0; 32_000]);
    /// let mut audio = ossicle::Audio::raw(samples, 16_000, ossicle::Isa::detect())?;
    /// assert_eq!(audio.read_to_end()?.len(), 16_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// assert_eq!(audio.info().channels, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Fills `out` from its beginning with finite 16 kHz samples and returns how many there are, 0 only at the end (or for an empty `out`).
    /// A live stream returns what has come.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// let mut block = [0.0; 512];
    /// assert_eq!(audio.read(&mut block)?, 512);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the audio; the reader is of no use afterwards.
    pub fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        let mut written = 0;
        while written < out.len() {
            if self.taken < self.mono.len() {
                let done = self.resampler.process(&self.mono[self.taken..], &mut out[written..]);
                self.taken += done.read;
                written += done.written;
                continue;
            }
            match self.progress {
                Progress::Within => {
                    // What is there goes out before waiting for more: a live stream is heard as it comes.
                    if written > 0 && self.info.frames.is_none() {
                        break;
                    }
                    self.advance()?;
                }
                Progress::Changing => match self.resampler.finish(&mut out[written..]) {
                    0 => self.change()?,
                    more => written += more,
                },
                Progress::Ended => match self.resampler.finish(&mut out[written..]) {
                    0 => break,
                    more => written += more,
                },
            }
        }
        Ok(written)
    }

    /// All samples that are left: for short audio only, since a stream has no bounds.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// let samples = audio.read_to_end()?;
    /// assert!(samples.len() > 16_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// let expected = audio.expected_samples();
    /// assert_eq!(expected, Some(audio.read_to_end()?.len() as u64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expected_samples(&self) -> Option<u64> {
        self.info.frames.map(|frames| output_len(self.info.sample_rate, frames))
    }

    /// About how many seconds there are in a recording of so many bytes, where anything tells: its length, the end of its last page, or the
    /// bytes that a second of it takes so far.
    pub fn estimated_seconds(&self, bytes: u64) -> Option<f64> {
        let exact = self.info.frames.map(|frames| frames as f64 / f64::from(self.info.sample_rate));
        // Opus counts in 48 kHz whatever it holds.
        let position_rate = if self.info.codec == "opus" { 48_000 } else { self.info.sample_rate };
        let last = self.last_position.map(|position| position as f64 / f64::from(position_rate));
        exact.or(last).or_else(|| Some(bytes as f64 / self.decoder.bytes_per_second()?))
    }

    /// What was missing or damaged in what has been read so far; whole once [`read`](Self::read) has returned 0.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut audio = ossicle::Audio::open("samples/kitchen.wav")?;
    /// audio.read_to_end()?;
    /// assert!(audio.damage().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn damage(&self) -> Vec<Damage> {
        let mut damages = Damages::default();
        damages.extend(self.decoder.damage());
        if self.mixer.opposite_phase() {
            damages.add(Damage::OppositePhase);
        }
        damages.list().to_vec()
    }

    /// Refuses a recording from which something is missing, now or where it shows.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let audio = ossicle::Audio::open("samples/kitchen.wav")?.strict()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AudioError::Damaged`] if its header already shows it.
    pub fn strict(mut self) -> Result<Self, AudioError> {
        self.strict = true;
        self.check_damage()?;
        Ok(self)
    }

    /// Takes one channel, counted from 1, instead of the mean of all.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// assert!(ossicle::Audio::open("samples/kitchen.wav")?.channel(2).is_err(), "it has one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AudioError::NoChannel`] if there are fewer.
    pub fn channel(mut self, channel: usize) -> Result<Self, AudioError> {
        if !(1..=self.spec.channels).contains(&channel) {
            return Err(AudioError::NoChannel { wanted: channel, channels: self.spec.channels });
        }
        self.mixer.take_only(channel - 1);
        Ok(self)
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
        let resampler = resampler(isa, spec.rate)?;
        let mixer = Mixer::new(spec.channels);
        let (mono, progress) = (Vec::new(), Progress::Within);
        let mut reader = Self {
            decoder,
            info,
            isa,
            spec,
            resampler,
            mixer,
            block,
            mono,
            taken: 0,
            frames: 0,
            progress,
            strict: false,
            last_position: None,
        };
        reader.check_block(0)?;
        Ok(reader)
    }

    /// Checks what has been decoded into the block from `start` on.
    fn check_block(&mut self, start: usize) -> Result<(), AudioError> {
        let channels = self.decoder.spec().channels.max(1);
        check_finite(&self.block[start..]).map_err(|BadSample { index, value }| {
            let (frame, channel) = (self.frames + (index / channels) as u64, index % channels);
            if value.is_finite() { AudioError::OutOfRange { frame, channel, value } } else { AudioError::NotFinite { frame, channel } }
        })?;
        self.frames += ((self.block.len() - start) / channels) as u64;
        Ok(())
    }

    fn check_damage(&self) -> Result<(), AudioError> {
        let damage = if self.strict { self.decoder.damage().iter().find(|damage| damage.is_loss()) } else { None };
        damage.map_or(Ok(()), |&damage| Err(AudioError::Damaged { container: self.info.container, damage }))
    }

    /// Mixes what is decoded, and decodes the next block where that is nothing.
    fn advance(&mut self) -> Result<(), AudioError> {
        self.mono.clear();
        self.taken = 0;
        self.mixer.mix(&mut self.block, &mut self.mono, false);
        if !self.mono.is_empty() {
            return Ok(());
        }
        let start = self.block.len();
        let more = self.decoder.next_block(&mut self.block)?;
        self.check_damage()?;
        if !more {
            self.progress = Progress::Ended;
            self.mixer.mix(&mut self.block, &mut self.mono, true);
            return Ok(());
        }
        self.check_block(start)?;
        if self.decoder.spec() != self.spec {
            check_spec(self.decoder.spec())?;
            // What was left of the shape before goes first.
            let new = self.block.split_off(start);
            self.mixer.mix(&mut self.block, &mut self.mono, true);
            self.block = new;
            self.progress = Progress::Changing;
        }
        Ok(())
    }

    /// Goes on with the shape of the block.
    fn change(&mut self) -> Result<(), AudioError> {
        let spec = self.decoder.spec();
        self.resampler = resampler(self.isa, spec.rate)?;
        self.mixer.set_channels(spec.channels);
        self.spec = spec;
        self.progress = Progress::Within;
        Ok(())
    }
}

impl SampleSource for AudioReader {
    /// The error holds an [`AudioError`].
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        Self::read(self, out).map_err(|error| SourceError(Box::new(error)))
    }
}

fn resampler(isa: Isa, rate: u32) -> Result<Resampler<Vec<f32>>, AudioError> {
    let memory = Resampler::<Vec<f32>>::memory_len(rate).map(|len| vec![0.0; len]);
    memory.and_then(|memory| Resampler::new(isa, rate, memory)).map_err(|_| AudioError::SampleRate(rate))
}

/// Where the last page of an Ogg file says that it ends; the source is left where it was. Nothing of a stream.
fn last_position(source: &mut Box<dyn MediaSource>) -> Result<Option<u64>, AudioError> {
    /// The longest page.
    const TAIL_BYTES: u64 = 65_307;
    let Some(length) = source.byte_len().filter(|_| source.is_seekable()) else { return Ok(None) };
    let at = source.stream_position().map_err(AudioError::Io)?;
    source.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).map_err(AudioError::Io)?;
    let mut tail = Vec::new();
    source.take(TAIL_BYTES).read_to_end(&mut tail).map_err(AudioError::Io)?;
    source.seek(SeekFrom::Start(at)).map_err(AudioError::Io)?;
    Ok(ogg_pages::last_position(&tail))
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
