//! How uncompressed samples lie in a file.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S8, CODEC_ID_PCM_S16BE,
    CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S32BE,
};

use super::{Encoding, Pcm};

/// Encodings that WAVE has no tag for.
const NO_TAG: u16 = 0;

/// Encodings: tag in WAVE, bytes of a sample, name, and symphonia's codec for those that hound lacks.
const ENCODINGS: [(u16, u16, &str, Option<AudioCodecId>); 14] = [
    (1, 1, "pcm_u8", None),
    (1, 2, "pcm_s16le", None),
    (1, 3, "pcm_s24le", None),
    (1, 4, "pcm_s32le", None),
    (3, 4, "pcm_f32le", None),
    (3, 8, "pcm_f64le", Some(CODEC_ID_PCM_F64LE)),
    (6, 1, "pcm_alaw", Some(CODEC_ID_PCM_ALAW)),
    (7, 1, "pcm_mulaw", Some(CODEC_ID_PCM_MULAW)),
    (NO_TAG, 1, "pcm_s8", Some(CODEC_ID_PCM_S8)),
    (NO_TAG, 2, "pcm_s16be", Some(CODEC_ID_PCM_S16BE)),
    (NO_TAG, 3, "pcm_s24be", Some(CODEC_ID_PCM_S24BE)),
    (NO_TAG, 4, "pcm_s32be", Some(CODEC_ID_PCM_S32BE)),
    (NO_TAG, 4, "pcm_f32be", Some(CODEC_ID_PCM_F32BE)),
    (NO_TAG, 8, "pcm_f64be", Some(CODEC_ID_PCM_F64BE)),
];

/// How samples lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Index in [`ENCODINGS`].
    encoding: usize,
    pub(super) rate: u32,
    pub(super) channels: u16,
}

impl Format {
    /// Samples that no header describes.
    pub(super) fn raw(pcm: Pcm) -> Self {
        let encoding = match pcm.encoding {
            Encoding::U8 => 0,
            Encoding::S16Le => 1,
            Encoding::S24Le => 2,
            Encoding::S32Le => 3,
            Encoding::F32Le => 4,
            Encoding::ALaw => 6,
            Encoding::MuLaw => 7,
        };
        Self { encoding, rate: pcm.rate, channels: pcm.channels }
    }

    /// The encoding with this tag and so many bytes for a sample.
    pub(super) fn tagged(tag: u16, sample_bytes: u16, rate: u32, channels: u16) -> Option<Self> {
        let known = |&(known, bytes, ..): &(u16, u16, &str, _)| known != NO_TAG && (known, bytes) == (tag, sample_bytes);
        ENCODINGS.iter().position(known).map(|encoding| Self { encoding, rate, channels })
    }

    /// The encoding of this name.
    pub(super) fn named(name: &str, rate: u32, channels: u16) -> Option<Self> {
        ENCODINGS.iter().position(|&(_, _, known, _)| known == name).map(|encoding| Self { encoding, rate, channels })
    }

    /// The encoding's name, as other tools have it.
    pub(super) fn name(&self) -> &'static str {
        ENCODINGS[self.encoding].2
    }

    /// The codec, if it is not one of hound's.
    pub(super) fn symphonia(&self) -> Option<AudioCodecId> {
        ENCODINGS[self.encoding].3
    }

    /// Bytes of a sample of all channels.
    pub(super) fn frame_bytes(&self) -> usize {
        usize::from(ENCODINGS[self.encoding].1) * usize::from(self.channels)
    }

    /// A whole header in front of `data_bytes` bytes of samples, in the form that every reader knows.
    pub(super) fn header(&self, data_bytes: u32) -> Vec<u8> {
        let (tag, sample_bytes, ..) = ENCODINGS[self.encoding];
        let frame_bytes = self.frame_bytes() as u32;
        let mut header = b"RIFF".to_vec();
        header.extend(data_bytes.saturating_add(36).to_le_bytes());
        header.extend(b"WAVEfmt \x10\0\0\0");
        header.extend([tag, self.channels].map(u16::to_le_bytes).concat());
        header.extend([self.rate, self.rate.saturating_mul(frame_bytes)].map(u32::to_le_bytes).concat());
        header.extend([frame_bytes as u16, 8 * sample_bytes].map(u16::to_le_bytes).concat());
        header.extend(b"data");
        header.extend(data_bytes.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::super::riff::{WavHeader, read_header};
    use super::*;

    #[test]
    fn a_header_written_is_a_header_read() {
        for (encoding, &(tag, bytes, name, _)) in ENCODINGS.iter().enumerate() {
            let format = Format { encoding, rate: 8_000, channels: 3 };
            assert_eq!((format.frame_bytes(), format.name()), (3 * usize::from(bytes), name));
            assert_eq!(Format::named(name, 8_000, 3), Some(format));
            if tag == NO_TAG {
                continue;
            }
            let file = format.header(24);
            let expected = WavHeader { format, data_bytes: Some(24), claimed_bytes: 24, header_bytes: file.len() as u64 };
            assert_eq!(read_header(&mut &file[..]).unwrap(), expected, "{name}");
        }
    }
}
