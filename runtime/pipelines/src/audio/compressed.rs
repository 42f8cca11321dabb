//! Packets of containers that hold compressed audio of one kind: flac and aac, which symphonia takes apart, and mp4.

use std::io::ErrorKind;

use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::{Packet, PacketRef};

use super::codec::{Codec, detail, whole};
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::mp4::{Mp4, Next};
use super::silence::Silence;
use super::{AudioError, Container};

/// Lossy encoders count their delay and padding into the length or not; 4608 frames cover both.
const LOSSY_SLACK_FRAMES: u64 = 4608;

/// Packets without one decodable frame that may come before the audio, as in a recording cut out of a broadcast.
const LEADING_BAD_PACKETS: usize = 16;

/// Packets without one decodable frame that end a recording: hours of any. A few bytes of an index can promise billions.
const MOST_BAD_PACKETS: usize = 1 << 18;

/// What gives the packets.
enum Demuxer {
    /// One of symphonia's, and the number of its audio track.
    Symphonia(Box<dyn FormatReader>, u32),
    Mp4(Box<Mp4>),
}

/// What comes next.
enum Step {
    Packet(Packet),
    Bytes(Vec<u8>),
    End,
    /// No more packets are found in what follows.
    Broken(&'static str),
}

const ENDS_EARLY: &str = "it ends too early";
const EMPTY: &str = "a packet is empty";

impl Demuxer {
    fn next(&mut self) -> Result<Step, AudioError> {
        match self {
            Self::Symphonia(format, track) => loop {
                return Ok(match format.next_packet() {
                    Ok(Some(packet)) if packet.track_id != *track => continue,
                    Ok(Some(packet)) => Step::Packet(packet),
                    Ok(None) => Step::End,
                    Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => Step::Broken(ENDS_EARLY),
                    Err(Error::IoError(error)) => return Err(AudioError::Io(error)),
                    Err(error) => Step::Broken(detail(&error)),
                });
            },
            Self::Mp4(mp4) => Ok(match mp4.next()? {
                Next::Packet(bytes) => Step::Bytes(bytes),
                Next::End => Step::End,
                Next::Missing => Step::Broken(ENDS_EARLY),
            }),
        }
    }
}

/// A demuxer with the decoder of its first audio track.
pub(super) struct CompressedDecoder {
    demuxer: Demuxer,
    codec: Codec,
    container: Container,
    spec: Spec,
    promised: Option<u64>,
    decoded: u64,
    /// Where the next packet belongs.
    next: Option<u64>,
    /// Frames that are missing before a packet, which waits until silence has taken their place.
    silence: Silence,
    waiting: Option<Step>,
    bad_packets: usize,
    /// Of them, those since the last that could be decoded.
    bad_run: usize,
    torn: bool,
    damages: Damages,
}

impl CompressedDecoder {
    /// Reads headers up to the first audio packet.
    pub(super) fn new(source: Box<dyn MediaSource>, container: Container) -> Result<Self, AudioError> {
        let stream = MediaSourceStream::new(source, Default::default());
        let tags = MetadataOptions::default().limit_visual_bytes(Limit::Maximum(0));
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), tags)
            .map_err(|error| open_error(error, container))?;
        let unsupported = |feature: &str| AudioError::Unsupported { container, feature: feature.into() };
        let track = format.default_track(TrackType::Audio).ok_or_else(|| unsupported("a file without an audio track"))?;
        let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
            return Err(unsupported("an audio track of unknown encoding"));
        };
        let codec = Codec::new(params, container)?;
        let spec = Spec { rate: params.sample_rate.unwrap_or(0), channels: params.channels.as_ref().map_or(0, |c| c.count()) };
        let (promised, track) = (track.num_frames, track.id);
        Ok(Self::with(Demuxer::Symphonia(format, track), codec, container, spec, promised))
    }

    /// Reads the index of an mp4.
    pub(super) fn mp4(source: Box<dyn MediaSource>) -> Result<Self, AudioError> {
        let (mut mp4, params, codec) = Mp4::new(source, |params| Codec::new(params, Container::Mp4))?;
        let mut spec = Spec { rate: params.sample_rate.unwrap_or(0), channels: params.channels.as_ref().map_or(0, |c| c.count()) };
        let mut promised = mp4.frames(spec.rate)?;
        if let Some(rate) = codec.fixed_rate() {
            promised = promised.map(|frames| frames / u64::from(codec.ticks_per_frame()));
            spec.rate = rate;
        }
        Ok(Self::with(Demuxer::Mp4(Box::new(mp4)), codec, Container::Mp4, spec, promised))
    }

    fn with(demuxer: Demuxer, codec: Codec, container: Container, spec: Spec, promised: Option<u64>) -> Self {
        let (decoded, next, waiting, bad_packets, bad_run, torn) = (0, None, None, 0, 0, false);
        let (silence, damages) = (Silence::default(), Damages::default());
        Self { demuxer, codec, container, spec, promised, decoded, next, silence, waiting, bad_packets, bad_run, torn, damages }
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
        } else if (self.torn || matches!(&self.demuxer, Demuxer::Mp4(mp4) if mp4.is_torn())) && self.decoded > 0 {
            self.damages.add(Damage::NoEnd { at: self.at() });
        }
        Ok(false)
    }

    /// Frames of FLAC say where they belong: silence takes the place of those that are missing.
    fn note_gap(&mut self, packet: &Packet) {
        let Some(pts) = u64::try_from(packet.pts.get()).ok().filter(|_| self.container == Container::Flac) else { return };
        if let Some(missing) = self.next.and_then(|next| pts.checked_sub(next)).filter(|&missing| missing > 0) {
            self.damages.add(Damage::Gap { at: self.at(), places: 1 });
            self.silence.begin(missing, self.spec);
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
            if let frames @ 1.. = self.silence.append(self.spec, out) {
                self.decoded += frames;
                return Ok(true);
            }
            let step = match self.waiting.take() {
                Some(step) => step,
                None => {
                    let step = self.demuxer.next()?;
                    if let Step::Packet(packet) = &step {
                        self.note_gap(packet);
                    }
                    if !self.silence.is_over() {
                        self.waiting = Some(step);
                        continue;
                    }
                    step
                }
            };
            let packet: PacketRef<'_> = match &step {
                Step::Packet(packet) => packet.as_packet_ref(),
                Step::Bytes(bytes) => whole(bytes),
                Step::End => return self.finish(),
                Step::Broken(detail) => return self.broken_off(detail),
            };
            let decoded = if packet.data.is_empty() { Err(Error::DecodeError(EMPTY)) } else { self.codec.decode(&packet, out) };
            match decoded {
                Ok(decoded) => {
                    self.bad_run = 0;
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
                    self.bad_run += 1;
                    if self.decoded > 0 || self.bad_packets > LEADING_BAD_PACKETS {
                        self.damages.add(Damage::Undecodable { at: self.at(), packets: 1 });
                    }
                    if self.bad_run == MOST_BAD_PACKETS {
                        return self.broken_off("no packet of it can be decoded");
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

/// What symphonia finds wrong with a header.
fn open_error(error: Error, container: Container) -> AudioError {
    let malformed = |detail: &str| AudioError::Malformed { container, detail: detail.into(), frames: 0 };
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => malformed("it ends inside its header"),
        Error::IoError(error) => AudioError::Io(error),
        // The probe's own words for bytes that only looked like audio.
        Error::Unsupported(_) => malformed("no audio follows the first bytes"),
        other => malformed(detail(&other)),
    }
}
