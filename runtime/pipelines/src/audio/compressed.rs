//! Everything symphonia takes apart: flac, mp3, aac, alac, vorbis; and opus inside its containers.

use std::io::ErrorKind;

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::decoder::{Decoder, Spec};
#[cfg(feature = "opus")]
use super::opus::OpusPackets;
use super::{AudioError, Container};

/// Lossy encoders count their delay and padding into the length or not; four mp3 frames cover both.
const LOSSY_SLACK_FRAMES: u64 = 4608;

/// Packets without one decodable frame that may come before the audio, as in a recording cut out of a broadcast.
const LEADING_BAD_PACKETS: usize = 16;

/// A demuxer with the decoder of its first audio track.
pub(super) struct CompressedDecoder {
    format: Box<dyn FormatReader>,
    track: u32,
    packets: Packets,
    container: Container,
    codec: &'static str,
    spec: Spec,
    promised: Option<u64>,
    decoded: u64,
    bad_packets: usize,
}

enum Packets {
    Symphonia(Box<dyn AudioDecoder>),
    #[cfg(feature = "opus")]
    Opus(Box<OpusPackets>),
}

impl CompressedDecoder {
    /// Reads headers up to the first audio packet.
    pub(super) fn new(source: Box<dyn MediaSource>, container: Container) -> Result<Self, AudioError> {
        let seekable = source.is_seekable();
        let stream = MediaSourceStream::new(source, Default::default());
        let tags = MetadataOptions::default().limit_visual_bytes(Limit::Maximum(0));
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), tags)
            .map_err(|error| open_error(error, container, seekable))?;
        let unsupported = |feature: String| AudioError::Unsupported { container, feature };
        let track = format.default_track(TrackType::Audio).ok_or_else(|| unsupported("a file without an audio track".into()))?;
        let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
            return Err(unsupported("an audio track of unknown encoding".into()));
        };
        let codec = codec_name(params).ok_or_else(|| unsupported(format!("encoding {}", params.codec)))?;
        let packets = Packets::new(params, track.delay.unwrap_or(0), container)?;
        let mut spec = Spec { rate: params.sample_rate.unwrap_or(0), channels: params.channels.as_ref().map_or(0, |c| c.count()) };
        let mut promised = track.num_frames;
        if let Some(rate) = packets.fixed_rate() {
            // Opus counts in 48 kHz whatever rate it is decoded at.
            promised = promised.map(|frames| (frames.saturating_sub(track.delay.unwrap_or(0).into())) * u64::from(rate) / 48_000);
            spec.rate = rate;
        }
        let track = track.id;
        Ok(Self { format, track, packets, container, codec, spec, promised, decoded: 0, bad_packets: 0 })
    }

    fn malformed(&self, detail: &str) -> AudioError {
        AudioError::Malformed { container: self.container, detail: detail.into(), frames: self.decoded }
    }

    fn finish(&self) -> Result<bool, AudioError> {
        let slack = if self.codec == "flac" { 0 } else { LOSSY_SLACK_FRAMES };
        match self.promised {
            Some(promised) if self.decoded + slack < promised => {
                Err(AudioError::Truncated { container: self.container, promised, found: self.decoded })
            }
            _ if self.decoded == 0 && self.bad_packets > 0 => Err(self.malformed("no packet of it can be decoded")),
            _ => Ok(false),
        }
    }
}

impl Packets {
    fn new(params: &AudioCodecParameters, delay: u32, container: Container) -> Result<Self, AudioError> {
        if params.codec == CODEC_ID_OPUS {
            #[cfg(feature = "opus")]
            return OpusPackets::new(params, delay, container).map(|packets| Self::Opus(Box::new(packets)));
            #[cfg(not(feature = "opus"))]
            let _ = delay;
            #[cfg(not(feature = "opus"))]
            return Err(AudioError::Unsupported { container, feature: "opus (this build lacks the feature of that name)".into() });
        }
        symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map(Self::Symphonia).map_err(|error| {
            match error {
                Error::Unsupported(feature) => AudioError::Unsupported { container, feature: feature.into() },
                other => AudioError::Malformed { container, detail: other.to_string(), frames: 0 },
            }
        })
    }

    /// The rate a decoder gives whatever the header says.
    fn fixed_rate(&self) -> Option<u32> {
        match self {
            Self::Symphonia(_) => None,
            #[cfg(feature = "opus")]
            Self::Opus(_) => Some(super::SAMPLE_RATE),
        }
    }

    /// Appends a packet's interleaved samples; gives their shape where it may differ from the header's.
    fn decode(&mut self, packet: &Packet, block: &mut Vec<f32>) -> Result<Option<Spec>, Error> {
        match self {
            Self::Symphonia(decoder) => {
                let decoded = decoder.decode(packet)?;
                let start = block.len();
                block.resize(start + decoded.samples_interleaved(), 0.0);
                decoded.copy_to_slice_interleaved(&mut block[start..]);
                Ok(Some(Spec { rate: decoded.spec().rate(), channels: decoded.num_planes() }))
            }
            #[cfg(feature = "opus")]
            Self::Opus(decoder) => decoder.decode(packet, block).map(|()| None).map_err(Error::DecodeError),
        }
    }
}

impl Decoder for CompressedDecoder {
    fn container(&self) -> Container {
        self.container
    }

    fn codec(&self) -> &'static str {
        self.codec
    }

    fn spec(&self) -> Spec {
        self.spec
    }

    fn frames(&self) -> Option<u64> {
        self.promised
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let start = out.len();
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.finish(),
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => return self.finish(),
                Err(Error::IoError(error)) => return Err(AudioError::Io(error)),
                Err(Error::ResetRequired) => return Err(AudioError::FormatChange { frames: self.decoded }),
                Err(error) => return Err(self.malformed(detail(&error))),
            };
            if packet.track_id != self.track {
                continue;
            }
            match self.packets.decode(&packet, out) {
                Ok(spec) => {
                    if out.len() == start {
                        continue;
                    }
                    let spec = spec.unwrap_or(self.spec);
                    if self.decoded == 0 {
                        // Some headers (AAC with band replication) name a rate or channels that the decoder corrects.
                        self.spec = spec;
                    }
                    if spec != self.spec {
                        return Err(AudioError::FormatChange { frames: self.decoded });
                    }
                    self.decoded += ((out.len() - start) / spec.channels.max(1)) as u64;
                    return Ok(true);
                }
                Err(Error::IoError(_) | Error::DecodeError(_)) if self.decoded == 0 && self.bad_packets < LEADING_BAD_PACKETS => {
                    self.bad_packets += 1;
                }
                Err(error) => return Err(self.malformed(detail(&error))),
            }
        }
    }
}

fn codec_name(params: &AudioCodecParameters) -> Option<&'static str> {
    Some(match params.codec {
        CODEC_ID_AAC => "aac",
        CODEC_ID_ALAC => "alac",
        CODEC_ID_FLAC => "flac",
        CODEC_ID_MP3 => "mp3",
        CODEC_ID_OPUS => "opus",
        CODEC_ID_VORBIS => "vorbis",
        _ => return None,
    })
}

fn detail(error: &Error) -> &'static str {
    match error {
        Error::DecodeError(detail) | Error::Unsupported(detail) | Error::LimitError(detail) => detail,
        Error::IoError(_) => "a packet ends too early",
        _ => "the packets do not follow each other",
    }
}

fn open_error(error: Error, container: Container, seekable: bool) -> AudioError {
    let malformed = |detail: &str| AudioError::Malformed { container, detail: detail.into(), frames: 0 };
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => malformed("it ends inside its header"),
        Error::SeekError(_) | Error::IoError(_) | Error::Unsupported(_) if !seekable && container == Container::Mp4 => {
            AudioError::NeedsSeek(container)
        }
        Error::IoError(error) => AudioError::Io(error),
        // The probe's own words for bytes that only looked like audio.
        Error::Unsupported(_) => malformed("no audio follows the first bytes"),
        other => malformed(detail(&other)),
    }
}
