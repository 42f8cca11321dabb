//! What can be wrong with audio.

use std::{error, fmt, io};

use super::{Container, MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ};

/// Why audio cannot be read. `Display` says what is wrong and where inside the audio; [`AudioError::remedy`] what would be right. The name of
/// the file is the caller's to add.
#[derive(Debug)]
pub enum AudioError {
    /// No such file.
    NotFound,
    /// A directory stands where a file should.
    Directory,
    /// Opening or reading failed.
    Io(io::Error),
    /// There is not one byte.
    EmptyFile,
    /// A well-formed file without any sample.
    NoSamples,
    /// The content is text.
    Text,
    /// The first bytes belong to no format known here.
    UnknownFormat,
    /// A known format with a feature that this build does not decode.
    Unsupported {
        /// The container.
        container: Container,
        /// What is missing.
        feature: String,
    },
    /// The bytes break the rules of their format.
    Malformed {
        /// The container.
        container: Container,
        /// Which rule.
        detail: String,
        /// Frames (samples of one channel) decoded before.
        frames: u64,
    },
    /// The audio ends before the length its header promises.
    Truncated {
        /// The container.
        container: Container,
        /// Frames promised.
        promised: u64,
        /// Frames there.
        found: u64,
    },
    /// A sample is NaN or infinite.
    NotFinite {
        /// Index of the frame, from 0.
        frame: u64,
        /// Index of the channel, from 0.
        channel: usize,
    },
    /// A floating-point sample is beyond [`MAX_AMPLITUDE`](super::MAX_AMPLITUDE).
    OutOfRange {
        /// Index of the frame, from 0.
        frame: u64,
        /// Index of the channel, from 0.
        channel: usize,
        /// The sample.
        value: f32,
    },
    /// A sampling rate outside [`MIN_RATE_HZ`] to [`MAX_RATE_HZ`].
    SampleRate(u32),
    /// No channel, or more than [`MAX_CHANNELS`].
    Channels(usize),
    /// The stream changes its rate or its number of channels midway.
    FormatChange {
        /// Frames decoded before.
        frames: u64,
    },
    /// The format needs to be read out of order, which a pipe does not allow.
    NeedsSeek(Container),
}

impl AudioError {
    /// What would be right, in a few words.
    pub fn remedy(&self) -> &'static str {
        const FORMATS: &str = if cfg!(feature = "opus") {
            "give a wav, flac, mp3, ogg (vorbis, opus) or m4a (aac, alac) recording"
        } else {
            "give a wav, flac, mp3, ogg (vorbis) or m4a (aac, alac) recording"
        };
        match self {
            Self::NotFound => "give the path of an existing recording, or - for standard input",
            Self::Directory => "give a file in it",
            Self::Io(_) => "make it readable",
            Self::EmptyFile | Self::NoSamples => "record at least one sample",
            Self::Text | Self::UnknownFormat | Self::Unsupported { .. } => FORMATS,
            Self::Malformed { .. } => "export the recording again",
            Self::Truncated { .. } => "copy the whole file, or export it again",
            Self::NotFinite { .. } => "every sample must be a finite number",
            Self::OutOfRange { .. } => "scale floating-point samples to -1..1",
            Self::SampleRate(_) => "record at 16000 Hz, or any rate from 8000 to 192000",
            Self::Channels(_) => "record 1 to 32 channels",
            Self::FormatChange { .. } => "split it into files of one format",
            Self::NeedsSeek(_) => "save it to a file first, or move the index to the front (faststart)",
        }
    }
}

impl fmt::Display for AudioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "no such file"),
            Self::Directory => write!(f, "is a directory"),
            Self::Io(error) => write!(f, "cannot read: {error}"),
            Self::EmptyFile => write!(f, "empty file"),
            Self::NoSamples => write!(f, "no audio in it"),
            Self::Text => write!(f, "text, not audio"),
            Self::UnknownFormat => write!(f, "not a known audio format"),
            Self::Unsupported { container, feature } => write!(f, "{container}: cannot decode {feature}"),
            Self::Malformed { container, detail, frames: 0 } => write!(f, "damaged {container}: {detail}"),
            Self::Malformed { container, detail, frames } => write!(f, "damaged {container} after sample {frames}: {detail}"),
            Self::Truncated { container, promised, found } => {
                write!(f, "truncated {container}: {found} of {promised} samples are there")
            }
            Self::NotFinite { frame, channel } => write!(f, "sample {frame} of channel {channel} is not a finite number"),
            Self::OutOfRange { frame, channel, value } => write!(f, "sample {frame} of channel {channel} is {value:e}"),
            Self::SampleRate(rate) => write!(f, "sampling rate of {rate} Hz is outside {MIN_RATE_HZ} to {MAX_RATE_HZ}"),
            Self::Channels(channels) => write!(f, "{channels} channels are outside 1 to {MAX_CHANNELS}"),
            Self::FormatChange { frames } => write!(f, "the format changes after sample {frames}"),
            Self::NeedsSeek(container) => write!(f, "{container} with its index at the end cannot come from a pipe"),
        }
    }
}

impl error::Error for AudioError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
