//! MPEG audio: frames are found here, whatever stands between them, and decoded by symphonia.

use std::io::Read;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::MpaDecoder;

use super::bytes::Bytes;
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::mpeg::{FrameHeader, HEADER_BYTES, Overview, TAG_HEAD_BYTES, tag_bytes};
use super::{AudioError, Container};

/// Bytes that may come before the first frame without a word: the rest of a frame, as in a recording cut out of a broadcast.
const LEADING_BYTES: u64 = 2_881;
/// Bytes looked at for the beginning of a frame or tag.
const SCAN_BYTES: usize = 4096;
/// Frames by which encoders miscount theirs.
const SLACK_FRAMES: u64 = 2;

/// A recording of MPEG audio frames: also of several, one after the other.
pub(super) struct Mp3Decoder {
    bytes: Bytes,
    decoder: Option<MpaDecoder>,
    /// The last frame.
    last: Option<FrameHeader>,
    /// The frame that was looked at to know the shape.
    first: Vec<u8>,
    part: Part,
    promised: Option<u64>,
    decoded: u64,
    /// Samples that the headers promise beyond those that are there.
    missing: u64,
    undecodable: u32,
    damages: Damages,
}

/// What one encoder wrote in one go.
#[derive(Default)]
struct Part {
    overview: Overview,
    /// Frames so far.
    frames: u64,
}

impl Part {
    /// Which samples of its next frame belong to the recording.
    fn range(&self, samples: u32) -> (usize, usize) {
        let (delay, padding) = (u64::from(self.overview.delay), u64::from(self.overview.padding));
        let start = self.frames * u64::from(samples);
        let end = start + u64::from(samples);
        let from = delay.clamp(start, end) - start;
        // Frames beyond the announced count belong to another file that was appended, and are kept whole.
        let promised = self.overview.frames.map(u64::from).filter(|&frames| self.frames < frames);
        let last = promised.map_or(end, |frames| (frames * u64::from(samples)).saturating_sub(padding).clamp(start, end));
        (from as usize, (last - start).max(from) as usize)
    }
}

impl Mp3Decoder {
    /// Finds the first frame.
    pub(super) fn new(stream: Box<dyn Read + Send>) -> Result<Self, AudioError> {
        let mut decoder = Self {
            bytes: Bytes::new(stream),
            decoder: None,
            last: None,
            first: Vec::new(),
            part: Part::default(),
            promised: None,
            decoded: 0,
            missing: 0,
            undecodable: 0,
            damages: Damages::default(),
        };
        let mut frame = Vec::new();
        if !decoder.next_frame(&mut frame)? {
            let detail = "no audio follows the first bytes".into();
            return Err(AudioError::Malformed { container: Container::Mp3, detail, frames: 0 });
        }
        decoder.promised = match (decoder.last, Overview::parse(&frame, &decoder.header())) {
            (Some(header), Some(overview)) => overview.samples(&header),
            _ => None,
        };
        decoder.first = frame;
        Ok(decoder)
    }

    fn header(&self) -> FrameHeader {
        self.last.unwrap_or(FrameHeader::NONE)
    }

    /// Where in the audio, in seconds.
    fn at(&self) -> f64 {
        self.decoded as f64 / f64::from(self.header().rate.max(1))
    }

    /// Takes the next frame; false at the end.
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Result<bool, AudioError> {
        let (mut skipped, mut zeros) = (0u64, true);
        loop {
            let head = self.bytes.look(TAG_HEAD_BYTES)?;
            if head.len() < HEADER_BYTES {
                return Ok(false);
            }
            if let Some(tag) = tag_bytes(head) {
                if self.bytes.skip(tag)? < tag {
                    // Nobody writes half a tag: its length is damaged, and audio may have been passed over.
                    self.damages.add(Damage::NoEnd { at: self.at() });
                    return Ok(false);
                }
                continue;
            }
            if let Some(header) = FrameHeader::parse(head) {
                let expected = self.last.is_some_and(|last| last.goes_with(&header));
                // Where one is expected, no more is asked for than it has: a live stream is heard as it comes.
                let sure = expected && skipped == 0;
                let ahead = self.bytes.look(if sure { header.bytes } else { header.bytes + TAG_HEAD_BYTES })?;
                if ahead.len() < header.bytes {
                    if expected {
                        self.torn(skipped);
                        return Ok(false);
                    }
                } else if sure || follows(&ahead[header.bytes..], &header) {
                    frame.clear();
                    frame.extend_from_slice(&ahead[..header.bytes]);
                    self.bytes.skip(header.bytes as u64)?;
                    self.found(header, skipped, zeros);
                    return Ok(true);
                }
            }
            // On to the next byte that may begin a frame or a tag.
            let scan = self.bytes.look(SCAN_BYTES)?;
            let next = scan[1..].iter().position(|byte| matches!(byte, 0xff | b'I' | b'T' | b'A')).map_or(scan.len(), |next| next + 1);
            zeros &= scan[..next].iter().all(|&byte| byte == 0);
            skipped += next as u64;
            self.bytes.skip(next as u64)?;
        }
    }

    /// A frame that breaks off at the end.
    fn torn(&mut self, skipped: u64) {
        if self.part.overview.frames.is_none() && skipped == 0 {
            self.damages.add(Damage::NoEnd { at: self.at() });
        }
    }

    /// Takes note of a frame and what stood before it.
    fn found(&mut self, header: FrameHeader, skipped: u64, zeros: bool) {
        let silent = self.last.is_none() && (zeros || skipped <= LEADING_BYTES);
        if skipped > 0 && !silent {
            self.damages.add(Damage::Skipped { at: self.at(), bytes: skipped, places: 1 });
            // The bit reservoir of earlier frames does not apply after a gap.
            self.decoder = None;
        }
        if self.last.is_some_and(|last| (last.layer, last.rate, last.channels) != (header.layer, header.rate, header.channels)) {
            self.decoder = None;
        }
        self.last = Some(header);
    }

    /// Begins what another encoder wrote.
    fn begin(&mut self, overview: Overview) {
        self.end_part();
        self.part = Part { overview, frames: 0 };
        self.decoder = None;
    }

    fn end_part(&mut self) {
        let promised = self.part.overview.frames.map_or(0, u64::from);
        if self.part.frames > 0 && self.part.frames + SLACK_FRAMES < promised {
            let whole = self.part.overview.samples(&self.header()).unwrap_or(0);
            let found = (self.part.frames * u64::from(self.header().samples)).saturating_sub(self.part.overview.delay.into());
            self.missing += whole.saturating_sub(found);
        }
    }

    fn finish(&mut self) -> Result<bool, AudioError> {
        self.end_part();
        self.part = Part::default();
        if self.decoded == 0 && self.undecodable > 0 {
            let detail = "no packet of it can be decoded".into();
            return Err(AudioError::Malformed { container: Container::Mp3, detail, frames: 0 });
        }
        if self.missing > 0 && self.decoded > 0 {
            let promised = self.decoded + self.missing;
            self.damages.add(Damage::Short { promised, found: self.decoded, rate: self.header().rate });
            self.missing = 0;
        }
        Ok(false)
    }

    /// Appends a frame's samples; false if it cannot be decoded.
    fn decode(&mut self, frame: &[u8], out: &mut Vec<f32>) -> bool {
        let header = self.header();
        let start = out.len();
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                let codec = [CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3][usize::from(header.layer).clamp(1, 3) - 1];
                let mut parameters = AudioCodecParameters::new();
                parameters.for_codec(codec);
                match MpaDecoder::try_new(&parameters, &AudioDecoderOptions::default()) {
                    Ok(decoder) => none.insert(decoder),
                    Err(_) => return false,
                }
            }
        };
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::from(u64::from(header.samples)), frame);
        let Ok(decoded) = decoder.decode_ref(&packet) else { return false };
        let channels = header.channels;
        if decoded.num_planes() != channels {
            return false;
        }
        out.resize(start + decoded.samples_interleaved(), 0.0);
        decoded.copy_to_slice_interleaved(&mut out[start..]);
        let (from, to) = self.part.range(header.samples);
        out.truncate(out.len().min(start + to * channels));
        out.drain(start..out.len().min(start + from * channels));
        self.decoded += ((out.len() - start) / channels) as u64;
        true
    }
}

/// Whether these bytes may follow a frame of the same stream.
fn follows(bytes: &[u8], header: &FrameHeader) -> bool {
    match FrameHeader::parse(bytes) {
        Some(next) => next.goes_with(header),
        None => bytes.len() < HEADER_BYTES || tag_bytes(bytes).is_some(),
    }
}

impl Decoder for Mp3Decoder {
    fn container(&self) -> Container {
        Container::Mp3
    }

    fn codec(&self) -> &'static str {
        ["mp1", "mp2", "mp3"][usize::from(self.header().layer).clamp(1, 3) - 1]
    }

    fn spec(&self) -> Spec {
        Spec { rate: self.header().rate, channels: self.header().channels }
    }

    fn frames(&self) -> Option<u64> {
        self.promised
    }

    fn bytes_per_second(&self) -> Option<f64> {
        let header = self.last?;
        Some(header.bytes as f64 * f64::from(header.rate) / f64::from(header.samples.max(1)))
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let start = out.len();
        let mut frame = std::mem::take(&mut self.first);
        loop {
            if frame.is_empty() && !self.next_frame(&mut frame)? {
                return self.finish();
            }
            if let Some(overview) = Overview::parse(&frame, &self.header()) {
                self.begin(overview);
            } else {
                if !self.decode(&frame, out) {
                    out.truncate(start);
                    self.undecodable += 1;
                    self.damages.add(Damage::Undecodable { at: self.at(), packets: 1 });
                }
                self.part.frames += 1;
            }
            if out.len() > start {
                return Ok(true);
            }
            frame.clear();
        }
    }

    fn damage(&self) -> &[Damage] {
        self.damages.list()
    }
}
