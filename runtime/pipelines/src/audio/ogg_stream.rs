//! One logical stream of Ogg: from pages to packets to samples.

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_VORBIS};
use symphonia::core::errors::Error;

use super::codec::{Codec, Decoded, whole};
use super::ogg_pages::Page;
use super::opus_head::{self, OpusHead};
use super::{AudioError, Container};

/// The longest packet that is put together; a setup header or frame of lossless audio is a small part of it.
const MAX_PACKET_BYTES: usize = 1 << 20;

/// Longest audio of a page: 255 packets of 60 ms and more are possible, and one second is usual.
const MAX_PAGE_SECONDS: u64 = 20;

/// Where the packet that begins FLAC in Ogg keeps the description of its stream.
const FLAC_INFO: std::ops::Range<usize> = 17..51;

/// Encodings of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opus,
    Vorbis,
    Flac,
}

impl Kind {
    /// The encoding of a stream that begins with this packet; nothing for what is not audio.
    ///
    /// # Errors
    /// The name of an encoding that is known but not decoded.
    pub(super) fn of(packet: &[u8]) -> Result<Option<Self>, &'static str> {
        match packet {
            _ if packet.starts_with(opus_head::MAGIC) => Ok(Some(Self::Opus)),
            [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => Ok(Some(Self::Vorbis)),
            [0x7f, b'F', b'L', b'A', b'C', ..] => Ok(Some(Self::Flac)),
            [b'S', b'p', b'e', b'e', b'x', b' ', ..] => Err("speex"),
            [b'C', b'E', b'L', b'T', ..] => Err("celt"),
            [0, 0, 0, 0, b'P', b'C', b'M', ..] => Err("pcm in ogg"),
            _ => Ok(None),
        }
    }
}

/// What is wrong with a packet, or with the whole stream.
pub(super) enum Bad {
    Packet,
    Stream(AudioError),
}

/// A stream that is followed.
pub(super) struct Stream {
    pub(super) serial: u32,
    kind: Kind,
    codec: Option<Codec>,
    /// Vorbis: the first header, until the last.
    head: Vec<u8>,
    /// The packet that is being put together.
    packet: Vec<u8>,
    /// Whether what comes continues a packet.
    within: bool,
    /// Whether the packet that is under way is not wanted, or its beginning is lost.
    dropping: bool,
    next_sequence: u32,
    /// Pages that are missing between the headers and the first audio.
    lost: u32,
    /// Position in the stream of what has been decoded, in frames from its start.
    position: u64,
    /// Where the stream starts, in its own counting.
    start: Option<u64>,
    audio: bool,
    pub(super) ended: bool,
}

impl Stream {
    /// A stream that begins with this page.
    pub(super) fn new(kind: Kind, page: &Page) -> Self {
        Self {
            serial: page.serial,
            kind,
            codec: None,
            head: Vec::new(),
            packet: Vec::new(),
            within: false,
            dropping: false,
            next_sequence: page.sequence.wrapping_add(1),
            lost: 0,
            position: 0,
            start: None,
            audio: false,
            ended: page.is_last(),
        }
    }

    pub(super) fn codec(&self) -> Option<&Codec> {
        self.codec.as_ref()
    }

    pub(super) fn has_codec(&self) -> bool {
        self.codec.is_some()
    }

    /// Whether audio has been decoded.
    pub(super) fn has_audio(&self) -> bool {
        self.audio
    }

    /// Whether the first audio is missing.
    pub(super) fn lacks_beginning(&self) -> bool {
        !self.audio && self.lost > 0
    }

    /// Takes note of the next page; true if there is a gap before it.
    pub(super) fn begin_page(&mut self, page: &Page) -> bool {
        let missing = page.sequence != self.next_sequence;
        if missing && !self.audio && self.codec.is_some() {
            self.lost = page.sequence.wrapping_sub(self.next_sequence);
        }
        self.next_sequence = page.sequence.wrapping_add(1);
        self.ended |= page.is_last();
        if missing || page.is_continued() != self.within {
            // The rest of a packet without its beginning, or a beginning without its rest.
            let torn = missing || self.within;
            self.packet.clear();
            self.within = page.is_continued();
            self.dropping = self.within;
            return torn;
        }
        false
    }

    /// Adds to the packet that is under way; something once it has ended and is wanted.
    pub(super) fn take(&mut self, part: &[u8], ends: bool) -> Option<Result<(), Bad>> {
        if !self.within {
            self.packet.clear();
            self.dropping = match self.kind {
                Kind::Opus => part.starts_with(b"OpusTags"),
                Kind::Vorbis => part.first() == Some(&3),
                Kind::Flac => self.codec.is_some() && part.first() != Some(&0xff),
            };
        }
        self.within = !ends;
        let too_long = !self.dropping && self.packet.len() + part.len() > MAX_PACKET_BYTES;
        self.dropping |= too_long;
        if !self.dropping {
            self.packet.extend_from_slice(part);
        }
        if too_long {
            return Some(Err(Bad::Packet));
        }
        (ends && !self.dropping).then_some(Ok(()))
    }

    /// Decodes the packet that has ended; nothing for a header.
    pub(super) fn decode(&mut self, page: &Page, out: &mut Vec<f32>) -> Result<Option<Decoded>, Bad> {
        let packet = std::mem::take(&mut self.packet);
        let decoded = self.decode_packet(&packet, page, out);
        self.packet = packet;
        decoded
    }

    fn decode_packet(&mut self, packet: &[u8], page: &Page, out: &mut Vec<f32>) -> Result<Option<Decoded>, Bad> {
        let Some(codec) = &mut self.codec else {
            self.codec = self.header(packet).map_err(Bad::Stream)?;
            return Ok(None);
        };
        if self.kind == Kind::Vorbis && packet.first().is_some_and(|first| first & 1 == 1) {
            return Ok(None);
        }
        let start = out.len();
        let decoded = codec.decode(&whole(packet), out).map_err(|_: Error| Bad::Packet)?;
        self.audio = true;
        self.position = self.position.saturating_add(decoded.frames);
        if let Some(granule) = page.granule.filter(|_| page.is_last()) {
            // The last page says where the recording ends; its encoder fills the last packet.
            let end = granule.saturating_sub(self.start.unwrap_or(0)) / u64::from(codec.ticks_per_frame());
            let beyond = usize::try_from(self.position.saturating_sub(end)).unwrap_or(usize::MAX);
            let channels = decoded.spec.channels;
            let kept = ((out.len() - start) / channels.max(1)).saturating_sub(beyond);
            out.truncate(start + kept * channels);
        }
        Ok(Some(decoded))
    }

    /// Takes in a header; gives the decoder once it is known.
    fn header(&mut self, packet: &[u8]) -> Result<Option<Codec>, AudioError> {
        let malformed = |detail: &str| AudioError::Malformed { container: Container::Ogg, detail: detail.into(), frames: 0 };
        let mut parameters = AudioCodecParameters::new();
        match self.kind {
            Kind::Opus => {
                let head = OpusHead::parse(packet).ok_or_else(|| malformed("its opus header is not valid"))?;
                return Codec::opus(&head, Container::Ogg).map(Some);
            }
            Kind::Flac => {
                let info = packet.get(FLAC_INFO).ok_or_else(|| malformed("its flac header is not valid"))?;
                parameters.for_codec(CODEC_ID_FLAC).with_extra_data(info.into());
            }
            Kind::Vorbis if packet.first() == Some(&1) => {
                self.head = packet.to_vec();
                return Ok(None);
            }
            Kind::Vorbis => {
                self.head.extend_from_slice(packet);
                parameters.for_codec(CODEC_ID_VORBIS).with_extra_data(std::mem::take(&mut self.head).into());
            }
        }
        Codec::new(&parameters, Container::Ogg).map(Some)
    }

    /// Compares what has been decoded with where the page says that it is; gives how many frames, of which there are `rate` a second, are
    /// missing.
    pub(super) fn end_page(&mut self, page: &Page, rate: u32) -> u64 {
        let (Some(granule), Some(codec)) = (page.granule, &self.codec) else { return 0 };
        // The last page of a stream may end before its samples do.
        if !self.audio || page.is_last() && self.start.is_none() {
            return 0;
        }
        let ticks = u64::from(codec.ticks_per_frame());
        let before = self.position.saturating_mul(ticks);
        // What was recorded from within a stream begins with any position; one that lost pages may begin with as much as they held.
        let first = granule.saturating_sub(before);
        let most = u64::from(self.lost).saturating_mul(MAX_PAGE_SECONDS * u64::from(rate) * ticks);
        let start = *self.start.get_or_insert(if first <= most { 0 } else { first });
        let position = self.position.max(granule.saturating_sub(start) / ticks);
        position - std::mem::replace(&mut self.position, position)
    }
}
