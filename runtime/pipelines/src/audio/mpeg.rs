//! Headers of MPEG audio frames, and what some first frames say of the whole.

/// Bytes that tell what a tag is and how long.
pub(super) const TAG_HEAD_BYTES: usize = 32;

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 4;

/// Bit rates in kbit/s: MPEG-1 layers I, II and III, later versions' layer I, and their layers II and III.
const BIT_RATES: [[u16; 15]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Delay of the decoder itself, which encoders do not count.
const DECODER_DELAY: u32 = 529;

/// What a frame's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// 1, 2 or 3.
    pub(super) layer: u8,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Bytes of the whole frame.
    pub(super) bytes: usize,
    /// Samples of each channel.
    pub(super) samples: u32,
    /// MPEG-1, not MPEG-2 or 2.5.
    first_version: bool,
}

impl FrameHeader {
    /// Of no frame yet.
    pub(super) const NONE: Self = Self { layer: 3, rate: 0, channels: 1, bytes: 0, samples: 0, first_version: true };

    /// Reads a header; nothing for other bytes, and for frames of "free" bit rate, whose length is not told.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, b, c, d] = bytes.first_chunk::<HEADER_BYTES>()? else { return None };
        let (version, layer) = (b >> 3 & 3, 4 - (b >> 1 & 3));
        let (bit_rate, rate) = (usize::from(c >> 4), usize::from(c >> 2 & 3));
        if b & 0xe0 != 0xe0 || version == 1 || layer == 4 || bit_rate == 0 || bit_rate == 15 || rate == 3 {
            return None;
        }
        let first_version = version == 3;
        let table = match (first_version, layer) {
            (true, layer) => usize::from(layer) - 1,
            (false, 1) => 3,
            (false, _) => 4,
        };
        let rate = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][usize::from(version)];
        let bits_per_second = u32::from(BIT_RATES[table][bit_rate]) * 1000;
        let padding = u32::from(c >> 1 & 1);
        let (samples, bytes) = match (layer, first_version) {
            (1, _) => (384, (12 * bits_per_second / rate + padding) * 4),
            (3, false) => (576, 72 * bits_per_second / rate + padding),
            _ => (1152, 144 * bits_per_second / rate + padding),
        };
        let channels = if d >> 6 == 3 { 1 } else { 2 };
        Some(Self { layer, rate, channels, bytes: bytes as usize, samples, first_version })
    }

    /// Whether the other could be the next frame of the same stream.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        (self.layer, self.rate) == (other.layer, other.rate)
    }
}

/// What a first frame without audio says of those that follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overview {
    /// Frames to come.
    pub(super) frames: Option<u32>,
    /// Samples at the beginning that are the encoder's delay.
    pub(super) delay: u32,
    /// Samples at the end that fill the last frames.
    pub(super) padding: u32,
}

impl Overview {
    /// Reads such a frame; nothing for one of audio.
    pub(super) fn parse(frame: &[u8], header: &FrameHeader) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        if let Some(b"VBRI") = frame.get(36..40) {
            return Some(Self { frames: number(frame, 36 + 14), ..Self::default() });
        }
        let side = match (header.first_version, header.channels) {
            (true, 2) => 32,
            (false, 1) => 9,
            _ => 17,
        };
        // With a checksum the tag should be 2 bytes later, but most writers ignore that: both places are tried.
        let at = [4 + side, 6 + side].into_iter().find(|&at| matches!(frame.get(at..at + 4), Some(b"Xing" | b"Info")))?;
        let flags = number(frame, at + 4)?;
        let frames = if flags & 1 != 0 { number(frame, at + 8) } else { None };
        let optional: [(u32, usize); 4] = [(1, 4), (2, 4), (4, 100), (8, 4)];
        let tag = at + 8 + optional.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, bytes)| bytes).sum::<usize>();
        let known = matches!(frame.get(tag..tag + 4), Some(b"LAME" | b"Lavf" | b"Lavc" | b"GOGO"));
        let Some(&[a, b, c]) = frame.get(tag + 21..).and_then(|rest| rest.first_chunk()).filter(|_| known) else {
            return Some(Self { frames, ..Self::default() });
        };
        let delay = u32::from(a) << 4 | u32::from(b) >> 4;
        let padding = u32::from(b & 15) << 8 | u32::from(c);
        Some(Self { frames, delay: delay + DECODER_DELAY, padding: padding.saturating_sub(DECODER_DELAY) })
    }

    /// Number of samples, where the tag gives it.
    pub(super) fn samples(&self, header: &FrameHeader) -> Option<u64> {
        let all = u64::from(self.frames?) * u64::from(header.samples);
        Some(all.saturating_sub(u64::from(self.delay) + u64::from(self.padding)))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What of these bytes is a tag, and how long it is: ID3v2, ID3v1 or APE.
pub(super) fn tag_bytes(head: &[u8]) -> Option<u64> {
    match head {
        [b'I', b'D', b'3', major, minor, flags, a, b, c, d, ..] if (*major, *minor) != (0xff, 0xff) && (a | b | c | d) & 0x80 == 0 => {
            let size = [*a, *b, *c, *d].iter().fold(0, |sum, &byte| sum << 7 | u64::from(byte));
            Some(10 + size + if flags & 0x10 != 0 { 10 } else { 0 })
        }
        [b'T', b'A', b'G', b'+', ..] => Some(227),
        [b'T', b'A', b'G', ..] => Some(128),
        [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', _, _, _, _, a, b, c, d, _, _, _, _, _, _, _, flags, ..] => {
            // A footer: the tag's content lies before it, so that only its 32 bytes are passed over.
            let follows = flags & 0x20 != 0;
            Some(32 + if follows { u64::from(u32::from_le_bytes([*a, *b, *c, *d])) } else { 0 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_frame_headers() {
        let header = FrameHeader::parse(&[0xff, 0xfb, 0x90, 0x64]).unwrap();
        assert_eq!((header.layer, header.rate, header.channels, header.bytes, header.samples), (3, 44_100, 2, 417, 1152));
        // MPEG-2.5, layer III, 8 kHz mono.
        let header = FrameHeader::parse(&[0xff, 0xe3, 0x18, 0xc4]).unwrap();
        assert_eq!((header.layer, header.rate, header.channels, header.bytes, header.samples), (3, 8_000, 1, 72, 576));
        for bad in [[0xff, 0xfb, 0xf0, 0], [0xff, 0xfb, 0x00, 0], [0xff, 0xfb, 0x9c, 0], [0xff, 0xf9, 0x90, 0], [0xff, 0xeb, 0x90, 0]] {
            assert_eq!(FrameHeader::parse(&bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn knows_the_length_of_tags() {
        assert_eq!(tag_bytes(b"ID3\x04\0\0\0\0\x02\x01"), Some(10 + 257));
        assert_eq!(tag_bytes(b"ID3\x04\0\x10\0\0\0\x01"), Some(21));
        assert_eq!(tag_bytes(b"ID3\x04\0\0\0\0\x82\x01"), None);
        assert_eq!(tag_bytes(b"TAGtitle"), Some(128));
        assert_eq!(tag_bytes(b"APETAGEX\xd0\x07\0\0\x20\0\0\0\0\0\0\0\0\0\0\xa0"), Some(64));
        assert_eq!(tag_bytes(b"APETAGEX\xd0\x07\0\0\x20\0\0\0\0\0\0\0\0\0\0\x80"), Some(32));
        assert_eq!(tag_bytes(&[0xff, 0xfb, 0x90, 0x64]), None);
    }
}
