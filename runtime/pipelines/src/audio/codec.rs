//! From packets to samples, whatever container they came in.

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32BE,
    CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S8, CODEC_ID_PCM_S16BE,
    CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE, CODEC_ID_PCM_U8, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::decoder::Spec;
#[cfg(feature = "opus")]
use super::opus::OpusPackets;
use super::opus_head::OpusHead;
use super::{AudioError, Container, vorbis_books};

/// A decoder of packets.
pub(super) enum Codec {
    /// One of symphonia's, with its name.
    Symphonia(Box<dyn AudioDecoder>, &'static str),
    #[cfg(feature = "opus")]
    Opus(Box<OpusPackets>),
}

/// What a packet gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    pub(super) spec: Spec,
    /// Frames, with those of an encoder's delay that were dropped.
    pub(super) frames: u64,
}

impl Codec {
    /// A decoder of symphonia's for this encoding.
    pub(super) fn new(parameters: &AudioCodecParameters, container: Container) -> Result<Self, AudioError> {
        let unsupported = |feature: String| AudioError::Unsupported { container, feature };
        let name = name(parameters.codec).ok_or_else(|| unsupported(format!("encoding {}", parameters.codec)))?;
        if parameters.codec == CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().and_then(OpusHead::parse);
            return match head {
                Some(head) => Self::opus(&head, container),
                None => Err(AudioError::Malformed { container, detail: "its opus header is not valid".into(), frames: 0 }),
            };
        }
        if parameters.codec == CODEC_ID_VORBIS {
            vorbis_books::check(parameters.extra_data.as_deref().unwrap_or_default(), container)?;
        }
        let decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default());
        decoder.map(|decoder| Self::Symphonia(decoder, name)).map_err(|error| match error {
            Error::Unsupported(feature) => unsupported(feature.into()),
            other => AudioError::Malformed { container, detail: other.to_string(), frames: 0 },
        })
    }

    /// A decoder of an Opus stream.
    pub(super) fn opus(head: &OpusHead, container: Container) -> Result<Self, AudioError> {
        // A decoder is made for each stream, whether or not a channel is made of it.
        let streams = head.streams.as_ref().map_or(1, |streams| usize::from(streams.count));
        let most = head.channels().max(streams);
        if most > super::MAX_CHANNELS {
            return Err(AudioError::Channels(most));
        }
        #[cfg(feature = "opus")]
        return OpusPackets::new(head, container).map(|packets| Self::Opus(Box::new(packets)));
        #[cfg(not(feature = "opus"))]
        Err(AudioError::Unsupported { container, feature: "opus (this build lacks the feature of that name)".into() })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Symphonia(_, name) => name,
            #[cfg(feature = "opus")]
            Self::Opus(_) => "opus",
        }
    }

    /// Container time units in a decoded frame: 3 for Opus (counted at 48 kHz, decoded at 16 kHz), otherwise 1.
    pub(super) fn ticks_per_frame(&self) -> u32 {
        match self {
            Self::Symphonia(..) => 1,
            #[cfg(feature = "opus")]
            Self::Opus(_) => super::opus::TICKS_PER_FRAME,
        }
    }

    /// The rate a decoder gives whatever the header says.
    pub(super) fn fixed_rate(&self) -> Option<u32> {
        match self {
            Self::Symphonia(..) => None,
            #[cfg(feature = "opus")]
            Self::Opus(_) => Some(super::SAMPLE_RATE),
        }
    }

    /// Appends a packet's interleaved samples.
    pub(super) fn decode(&mut self, packet: &PacketRef<'_>, out: &mut Vec<f32>) -> Result<Decoded, Error> {
        match self {
            Self::Symphonia(decoder, _) => {
                let decoded = decoder.decode_ref(packet)?;
                let start = out.len();
                out.resize(start + decoded.samples_interleaved(), 0.0);
                decoded.copy_to_slice_interleaved(&mut out[start..]);
                let spec = Spec { rate: decoded.spec().rate(), channels: decoded.num_planes() };
                Ok(Decoded { spec, frames: ((out.len() - start) / spec.channels.max(1)) as u64 })
            }
            #[cfg(feature = "opus")]
            Self::Opus(decoder) => {
                let start = out.len();
                let frames = decoder.decode(packet.data, out).map_err(Error::DecodeError)?;
                let padding = packet.trim_end.get() / u64::from(super::opus::TICKS_PER_FRAME);
                let padding = usize::try_from(padding).unwrap_or(usize::MAX).saturating_mul(decoder.channels());
                out.truncate(out.len().saturating_sub(padding).max(start));
                Ok(Decoded { spec: Spec { rate: super::SAMPLE_RATE, channels: decoder.channels() }, frames: frames as u64 })
            }
        }
    }
}

/// A packet that is to be decoded whole.
pub(super) fn whole(data: &[u8]) -> PacketRef<'_> {
    PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, data)
}

fn name(codec: AudioCodecId) -> Option<&'static str> {
    Some(match codec {
        CODEC_ID_AAC => "aac",
        CODEC_ID_ALAC => "alac",
        CODEC_ID_FLAC => "flac",
        CODEC_ID_MP2 => "mp2",
        CODEC_ID_MP3 => "mp3",
        CODEC_ID_PCM_ALAW => "pcm_alaw",
        CODEC_ID_PCM_F32BE => "pcm_f32be",
        CODEC_ID_PCM_F32LE => "pcm_f32le",
        CODEC_ID_PCM_F64BE => "pcm_f64be",
        CODEC_ID_PCM_F64LE => "pcm_f64le",
        CODEC_ID_PCM_MULAW => "pcm_mulaw",
        CODEC_ID_PCM_S8 => "pcm_s8",
        CODEC_ID_PCM_S16BE => "pcm_s16be",
        CODEC_ID_PCM_S16LE => "pcm_s16le",
        CODEC_ID_PCM_S24BE => "pcm_s24be",
        CODEC_ID_PCM_S24LE => "pcm_s24le",
        CODEC_ID_PCM_S32BE => "pcm_s32be",
        CODEC_ID_PCM_S32LE => "pcm_s32le",
        CODEC_ID_PCM_U8 => "pcm_u8",
        CODEC_ID_OPUS => "opus",
        CODEC_ID_VORBIS => "vorbis",
        _ => return None,
    })
}

/// What went wrong, in a few words.
pub(super) fn detail(error: &Error) -> &'static str {
    match error {
        Error::DecodeError(detail) | Error::Unsupported(detail) | Error::LimitError(detail) => detail,
        Error::IoError(_) => "a packet ends too early",
        _ => "the packets do not follow each other",
    }
}
