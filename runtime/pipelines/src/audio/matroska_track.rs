//! Tracks of Matroska.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64LE,
    CODEC_ID_PCM_S16BE, CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE,
    CODEC_ID_PCM_U8, CODEC_ID_VORBIS,
};

use super::codec::Codec;
use super::ebml::{children, float, unsigned};
use super::{AudioError, Container, MAX_CHANNELS};

const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const CODEC: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const CONTENT_ENCODINGS: u32 = 0x6d80;
const AUDIO: u32 = 0xe1;
const SAMPLING_FREQUENCY: u32 = 0xb5;
const CHANNELS: u32 = 0x9f;
const BIT_DEPTH: u32 = 0x6264;

const AUDIO_TRACK: u64 = 2;
/// Where CodecPrivate holds STREAMINFO: after `fLaC` and a block header.
const FLAC_INFO: std::ops::Range<usize> = 8..42;

/// What is said of a track.
#[derive(Default)]
pub(super) struct Track<'a> {
    number: u64,
    codec: &'a [u8],
    private: &'a [u8],
    /// Whether its packets are compressed once more, or encrypted.
    wrapped: bool,
    rate: f64,
    channels: u64,
    bits: u64,
}

impl<'a> Track<'a> {
    /// The number of the first audio track among those described, and a decoder for it.
    pub(super) fn choose(tracks: &'a [u8]) -> Result<(u64, Codec), AudioError> {
        let entries = children(tracks).filter(|&(id, _)| id == TRACK_ENTRY);
        let unsupported = |feature: &str| AudioError::Unsupported { container: Container::Matroska, feature: feature.into() };
        let mut refused = unsupported("a file without an audio track");
        for track in entries.filter_map(|(_, entry)| Self::parse(entry)) {
            match track.decoder() {
                Ok(codec) => return Ok((track.number, codec)),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Nothing for a track that is not of audio.
    fn parse(entry: &'a [u8]) -> Option<Self> {
        let mut track = Self { rate: 8000.0, channels: 1, ..Self::default() };
        let mut kind = 0;
        for (id, body) in children(entry) {
            match id {
                TRACK_NUMBER => track.number = unsigned(body),
                TRACK_TYPE => kind = unsigned(body),
                CODEC => track.codec = body.strip_suffix(b"\0").unwrap_or(body),
                CODEC_PRIVATE => track.private = body,
                CONTENT_ENCODINGS => track.wrapped = true,
                AUDIO => track.audio(body),
                _ => {}
            }
        }
        (kind == AUDIO_TRACK).then_some(track)
    }

    fn audio(&mut self, body: &[u8]) {
        for (id, body) in children(body) {
            match id {
                SAMPLING_FREQUENCY => self.rate = float(body),
                CHANNELS => self.channels = unsigned(body),
                BIT_DEPTH => self.bits = unsigned(body),
                _ => {}
            }
        }
    }

    fn decoder(&self) -> Result<Codec, AudioError> {
        let unsupported = |feature: String| AudioError::Unsupported { container: Container::Matroska, feature };
        if self.wrapped {
            return Err(unsupported("a track that is compressed or encrypted once more".into()));
        }
        let channels = usize::try_from(self.channels).unwrap_or(usize::MAX);
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(AudioError::Channels(channels));
        }
        let (codec, private) = match (self.codec, self.bits) {
            (b"A_OPUS", _) => (CODEC_ID_OPUS, self.private),
            (b"A_VORBIS", _) => (CODEC_ID_VORBIS, self.private),
            (b"A_FLAC", _) => (CODEC_ID_FLAC, self.private.get(FLAC_INFO).unwrap_or_default()),
            (b"A_ALAC", _) => (CODEC_ID_ALAC, self.private),
            (b"A_AAC", _) => (CODEC_ID_AAC, self.private),
            (b"A_MPEG/L3", _) => (CODEC_ID_MP3, &[][..]),
            (b"A_MPEG/L2", _) => (CODEC_ID_MP2, &[][..]),
            (b"A_PCM/INT/LIT", 16) => (CODEC_ID_PCM_S16LE, &[][..]),
            (b"A_PCM/INT/LIT", 24) => (CODEC_ID_PCM_S24LE, &[][..]),
            (b"A_PCM/INT/LIT", 32) => (CODEC_ID_PCM_S32LE, &[][..]),
            (b"A_PCM/INT/BIG", 16) => (CODEC_ID_PCM_S16BE, &[][..]),
            (b"A_PCM/INT/BIG", 24) => (CODEC_ID_PCM_S24BE, &[][..]),
            (b"A_PCM/INT/BIG", 32) => (CODEC_ID_PCM_S32BE, &[][..]),
            (b"A_PCM/INT/LIT", 8) => (CODEC_ID_PCM_U8, &[][..]),
            (b"A_PCM/FLOAT/IEEE", 32) => (CODEC_ID_PCM_F32LE, &[][..]),
            (b"A_PCM/FLOAT/IEEE", 64) => (CODEC_ID_PCM_F64LE, &[][..]),
            (other, _) => return Err(unsupported(format!("encoding {}", String::from_utf8_lossy(other)))),
        };
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(codec).with_sample_rate(self.rate.round() as u32).with_channels(Channels::Discrete(channels as u16));
        if !private.is_empty() {
            parameters.with_extra_data(private.into());
        }
        Codec::new(&parameters, Container::Matroska)
    }
}
