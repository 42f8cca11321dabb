//! Samples from events to a recording.

use std::fmt;

use ossicle::audio::{AudioError, MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ};
use ossicle_kernels::simd::Isa;
use serde_json::{Map, Value};

use crate::spill::{Kept, Share, Spill, SpillError};

/// Bytes of a plain wav header.
pub(crate) const HEAD_BYTES: usize = 44;

/// Shape of interleaved PCM: little-endian, unsigned for one byte a sample and signed otherwise, as in wav.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Frames per second.
    pub rate: u32,
    /// Bytes of a sample, 1 to 4.
    pub width: u16,
    /// Samples of a frame.
    pub channels: u16,
}

/// Why samples are not taken.
#[derive(Debug)]
pub enum FormatError {
    /// A number is missing or out of range.
    Number {
        /// Its name.
        name: &'static str,
        /// The smallest that is taken.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// A chunk differs from the one before it.
    Changed,
    /// A recording is not made of whole frames.
    Ragged,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { name, least, most } => write!(f, "{name}: give a whole number from {least} to {most}"),
            Self::Changed => f.write_str("rate, width or channels changed within a recording: send audio-stop first"),
            Self::Ragged => f.write_str("the recording ends within a frame of width times channels bytes"),
        }
    }
}

impl std::error::Error for FormatError {}

impl Format {
    /// The format in the data of an event.
    ///
    /// # Errors
    /// If a number is missing or out of range.
    pub fn of(data: &Map<String, Value>) -> Result<Self, FormatError> {
        let number = |name: &'static str, least: u32, most: u32| {
            let value = data.get(name).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
            value.filter(|value| (least..=most).contains(value)).ok_or(FormatError::Number { name, least, most })
        };
        let rate = number("rate", MIN_RATE_HZ, MAX_RATE_HZ)?;
        let (width, channels) = (number("width", 1, 4)?, number("channels", 1, MAX_CHANNELS as u32)?);
        Ok(Self { rate, width: width as u16, channels: channels as u16 })
    }

    fn frame_bytes(self) -> u64 {
        u64::from(self.width) * u64::from(self.channels)
    }
}

/// A recording under way.
pub(crate) struct Recording {
    format: Format,
    spill: Spill,
    /// Bytes of samples that the time allowed has.
    most: u64,
}

/// Why chunks do not become a recording.
#[derive(Debug)]
pub(crate) enum RecordingError {
    Format(FormatError),
    TooLong,
    Spill(SpillError),
    Audio(AudioError),
}

impl Recording {
    /// An empty recording of up to `seconds` and `bytes`.
    pub(crate) fn new(format: Format, seconds: u32, bytes: u64, share: Share) -> Result<Self, SpillError> {
        let most = u64::from(seconds) * u64::from(format.rate) * format.frame_bytes();
        // Wav counts in 32 bits.
        let bytes = bytes.min(u64::from(u32::MAX) - 2 * HEAD_BYTES as u64);
        let mut spill = Spill::new(bytes.saturating_add(HEAD_BYTES as u64), share);
        // Its length is known at the end.
        spill.push(&[0; HEAD_BYTES])?;
        Ok(Self { format, spill, most })
    }

    /// Takes a chunk's samples.
    pub(crate) fn push(&mut self, format: Format, samples: &[u8]) -> Result<(), RecordingError> {
        if format != self.format {
            return Err(RecordingError::Format(FormatError::Changed));
        }
        if self.bytes().saturating_add(samples.len() as u64) > self.most {
            return Err(RecordingError::TooLong);
        }
        self.spill.push(samples).map_err(RecordingError::Spill)
    }

    /// Bytes of samples so far.
    fn bytes(&self) -> u64 {
        self.spill.len() - HEAD_BYTES as u64
    }

    /// Whether there is no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The recording as the file it would be.
    pub(crate) fn into_audio(self, isa: Isa) -> Result<Kept, RecordingError> {
        let (Format { rate, width, channels }, bytes) = (self.format, self.bytes());
        if !bytes.is_multiple_of(self.format.frame_bytes()) {
            return Err(RecordingError::Format(FormatError::Ragged));
        }
        self.spill.into_audio(&wav_head(rate, width, channels, bytes as u32), isa).map_err(RecordingError::Audio)
    }
}

/// The header of a wav file of `bytes` bytes of samples.
pub(crate) fn wav_head(rate: u32, width: u16, channels: u16, bytes: u32) -> [u8; HEAD_BYTES] {
    let block = width * channels;
    let parts: [&[u8]; 12] = [
        b"RIFF",
        &(bytes + HEAD_BYTES as u32 - 8).to_le_bytes(),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &(8 * width).to_le_bytes(),
        b"data",
        &bytes.to_le_bytes(),
    ];
    let mut head = [0; HEAD_BYTES];
    let mut at = 0;
    for part in parts {
        head[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    head
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spill::Budget;

    fn format(rate: u32, width: u16, channels: u16) -> Result<Format, FormatError> {
        let data = json!({"rate": rate, "width": width, "channels": channels});
        Format::of(data.as_object().unwrap())
    }

    #[test]
    fn numbers_have_ranges() {
        assert_eq!(format(16_000, 2, 1).unwrap(), Format { rate: 16_000, width: 2, channels: 1 });
        for (rate, width, channels, wrong) in
            [(7_999, 2, 1, "rate"), (192_001, 2, 1, "rate"), (16_000, 0, 1, "width"), (16_000, 5, 1, "width"), (16_000, 2, 33, "channels")]
        {
            assert!(matches!(format(rate, width, channels), Err(FormatError::Number { name, .. }) if name == wrong));
        }
        let text = json!({"rate": "16000", "width": 2, "channels": 1});
        assert!(Format::of(text.as_object().unwrap()).is_err());
    }

    #[test]
    fn any_width_and_number_of_channels_reads_back() {
        for width in 1..=4u16 {
            for channels in [1, 2, 6, 32] {
                let format = format(16_000, width, channels).unwrap();
                let mut recording = Recording::new(format, 10, 1 << 20, Budget::new(1 << 20, 1 << 20).share(None)).unwrap();
                assert!(recording.is_empty());
                // A quarter of full scale, in every channel.
                let quarter = if width == 1 { vec![128 + 32] } else { [vec![0; width as usize - 1], vec![32]].concat() };
                let frame = quarter.repeat(channels as usize);
                for frames in [1, 2, 30] {
                    recording.push(format, &frame.repeat(frames)).unwrap();
                }
                let samples = recording.into_audio(Isa::detect()).unwrap().audio.read_to_end().unwrap();
                assert_eq!(samples, [0.25; 33], "{width} {channels}");
            }
        }
    }

    #[test]
    fn chunks_that_do_not_fit() {
        let (mono, stereo) = (format(16_000, 2, 1).unwrap(), format(16_000, 2, 2).unwrap());
        let budget = Budget::new(1 << 20, 1 << 20);
        let mut recording = Recording::new(mono, 1, 1 << 20, budget.share(None)).unwrap();
        assert!(matches!(recording.push(stereo, &[0; 4]), Err(RecordingError::Format(FormatError::Changed))));
        recording.push(mono, &[0; 32_000]).unwrap();
        assert!(matches!(recording.push(mono, &[0; 2]), Err(RecordingError::TooLong)));
        // Not too long, but larger than is taken.
        let mut large = Recording::new(mono, 10, 32_000, budget.share(None)).unwrap();
        large.push(mono, &[0; 32_000]).unwrap();
        assert!(matches!(large.push(mono, &[0; 2]), Err(RecordingError::Spill(SpillError::TooLarge { .. }))));
        let mut ragged = Recording::new(mono, 1, 1 << 20, budget.share(None)).unwrap();
        ragged.push(mono, &[0; 3]).unwrap();
        assert!(matches!(ragged.into_audio(Isa::detect()), Err(RecordingError::Format(FormatError::Ragged))));
    }
}
