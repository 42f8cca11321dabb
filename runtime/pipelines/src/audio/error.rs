//! What can be wrong with audio.

use std::{error, fmt, io};

use super::{Container, Damage, MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ};

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
    /// A format that is known by name only.
    Foreign(&'static str),
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
    /// Something is missing, and the reader is strict.
    Damaged {
        /// The container.
        container: Container,
        /// What is missing.
        damage: Damage,
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
    /// There are fewer channels than the one wanted.
    NoChannel {
        /// Which, from 1.
        wanted: usize,
        /// How many there are.
        channels: usize,
    },
    /// The format needs to be read out of order, which a pipe does not allow.
    NeedsSeek(Container),
}

impl AudioError {
    /// What would be right, in a few words.
    pub fn remedy(&self) -> &'static str {
        const FORMATS: &str = if cfg!(feature = "opus") {
            "give a wav, flac, mp3, ogg (vorbis, opus), webm, m4a (aac, alac), aiff, caf or au recording"
        } else {
            "give a wav, flac, mp3, ogg (vorbis), webm (vorbis), m4a (aac, alac), aiff, caf or au recording"
        };
        match self {
            Self::NotFound => "give the path of an existing recording, or - for standard input",
            Self::Directory => "give a file in it",
            Self::Io(_) => "make it readable",
            Self::EmptyFile | Self::NoSamples => "record at least one sample",
            Self::Text | Self::UnknownFormat => FORMATS,
            Self::Foreign(_) | Self::Unsupported { .. } => "convert it first: ffmpeg -i FILE out.wav",
            Self::Malformed { .. } => "export the recording again",
            Self::Damaged { .. } => "copy the whole file or export it again, or leave out --strict",
            Self::NotFinite { .. } => "every sample must be a finite number",
            Self::OutOfRange { .. } => "scale floating-point samples to -1..1",
            Self::SampleRate(_) => "record at 16000 Hz, or any rate from 8000 to 192000",
            Self::Channels(_) => "record 1 to 32 channels",
            Self::NoChannel { .. } => "give one that it has, counted from 1",
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
            Self::Foreign(name) => write!(f, "cannot decode {name}"),
            Self::Unsupported { container, feature } => write!(f, "{container}: cannot decode {feature}"),
            Self::Malformed { container, detail, frames: 0 } => write!(f, "damaged {container}: {detail}"),
            Self::Malformed { container, detail, frames } => write!(f, "damaged {container} after sample {frames}: {detail}"),
            Self::Damaged { container, damage } => write!(f, "incomplete {container}: {damage}"),
            Self::NotFinite { frame, channel } => write!(f, "sample {frame} of channel {channel} is not a finite number"),
            Self::OutOfRange { frame, channel, value } => write!(f, "sample {frame} of channel {channel} is {value:e}"),
            Self::SampleRate(rate) => write!(f, "sampling rate of {rate} Hz is outside {MIN_RATE_HZ} to {MAX_RATE_HZ}"),
            Self::Channels(channels) => write!(f, "{channels} channels are outside 1 to {MAX_CHANNELS}"),
            Self::NoChannel { wanted, channels: 1 } => write!(f, "no channel {wanted}: there is one channel"),
            Self::NoChannel { wanted, channels } => write!(f, "no channel {wanted}: there are {channels}"),
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
