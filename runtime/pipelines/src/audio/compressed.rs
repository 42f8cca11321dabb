//! What symphonia takes apart: flac, aac, and mp4 with aac, alac or opus in it.

use std::io::ErrorKind;

use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::codec::{Codec, detail};
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::{AudioError, Container};

/// Lossy encoders count their delay and padding into the length or not; 4608 frames cover both.
const LOSSY_SLACK_FRAMES: u64 = 4608;

/// Packets without one decodable frame that may come before the audio, as in a recording cut out of a broadcast.
const LEADING_BAD_PACKETS: usize = 16;

/// A demuxer with the decoder of its first audio track.
pub(super) struct CompressedDecoder {
    format: Box<dyn FormatReader>,
    track: u32,
    codec: Codec,
    container: Container,
    spec: Spec,
    promised: Option<u64>,
    decoded: u64,
    /// Where the next packet belongs.
    next: Option<u64>,
    bad_packets: usize,
    torn: bool,
    damages: Damages,
}

impl CompressedDecoder {
    /// Reads headers up to the first audio packet; `torn` if the file is known to be cut off.
    pub(super) fn new(source: Box<dyn MediaSource>, container: Container, torn: bool) -> Result<Self, AudioError> {
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
        let codec = Codec::new(params, container)?;
        let mut spec = Spec { rate: params.sample_rate.unwrap_or(0), channels: params.channels.as_ref().map_or(0, |c| c.count()) };
        let mut promised = track.num_frames;
        if let Some(rate) = codec.fixed_rate() {
            let ticks = u64::from(codec.ticks_per_frame());
            promised = promised.map(|frames| frames.saturating_sub(track.delay.unwrap_or(0).into()) / ticks);
            spec.rate = rate;
        }
        let track = track.id;
        Ok(Self {
            format,
            track,
            codec,
            container,
            spec,
            promised,
            decoded: 0,
            next: None,
            bad_packets: 0,
            torn,
            damages: Damages::default(),
        })
    }

    fn malformed(&self, detail: &str) -> AudioError {
        AudioError::Malformed { container: self.container, detail: detail.into(), frames: self.decoded }
    }

    /// Where in the audio, in seconds.
    fn at(&self) -> f64 {
        self.decoded as f64 / f64::from(self.spec.rate.max(1))
    }

    fn finish(&mut self) -> Result<bool, AudioError> {
        if self.decoded == 0 && self.bad_packets > 0 {
            return Err(self.malformed("no packet of it can be decoded"));
        }
        let slack = if self.container == Container::Flac { 0 } else { LOSSY_SLACK_FRAMES };
        if let Some(promised) = self.promised.filter(|&promised| 0 < self.decoded && self.decoded + slack < promised) {
            self.damages.add(Damage::Short { promised, found: self.decoded, rate: self.spec.rate });
        } else if self.torn && self.decoded > 0 {
            self.damages.add(Damage::NoEnd { at: self.at() });
        }
        Ok(false)
    }

    /// Frames of FLAC say where they belong.
    fn note_gap(&mut self, packet: &Packet) {
        let Some(pts) = u64::try_from(packet.pts.get()).ok().filter(|_| self.container == Container::Flac) else { return };
        if self.next.is_some_and(|next| pts > next) {
            self.damages.add(Damage::Gap { at: self.at(), places: 1 });
        }
        self.next = Some(pts.saturating_add(packet.dur.get()));
    }

    /// The end where the demuxer finds no more packets in what follows.
    fn broken_off(&mut self, detail: &str) -> Result<bool, AudioError> {
        if self.decoded == 0 {
            return Err(self.malformed(detail));
        }
        self.torn = true;
        self.finish()
    }
}

impl Decoder for CompressedDecoder {
    fn container(&self) -> Container {
        self.container
    }

    fn codec(&self) -> &'static str {
        self.codec.name()
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
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => return self.broken_off("it ends too early"),
                Err(Error::IoError(error)) => return Err(AudioError::Io(error)),
                Err(error) => return self.broken_off(detail(&error)),
            };
            if packet.track_id != self.track {
                continue;
            }
            self.note_gap(&packet);
            match self.codec.decode(&packet.as_packet_ref(), out) {
                Ok(decoded) => {
                    // Some headers (AAC with band replication) name a rate or channels that the decoder corrects.
                    self.spec = decoded.spec;
                    if out.len() > start {
                        self.decoded += ((out.len() - start) / self.spec.channels.max(1)) as u64;
                        return Ok(true);
                    }
                }
                Err(Error::IoError(_) | Error::DecodeError(_)) => {
                    out.truncate(start);
                    self.bad_packets += 1;
                    if self.decoded > 0 || self.bad_packets > LEADING_BAD_PACKETS {
                        self.damages.add(Damage::Undecodable { at: self.at(), packets: 1 });
                    }
                }
                Err(error) => return self.broken_off(detail(&error)),
            }
        }
    }

    fn damage(&self) -> &[Damage] {
        self.damages.list()
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
