//! The identification header of Opus (RFC 7845, section 5.1).

/// What begins it.
pub(super) const MAGIC: &[u8; 8] = b"OpusHead";

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpusHead {
    channels: u8,
    /// Ticks of 48 kHz at the beginning that are not part of the recording.
    pub(super) delay: u16,
    /// Output gain in 1/256 dB.
    pub(super) gain: i16,
    /// How several streams make the channels; mono and stereo are one.
    pub(super) streams: Option<Streams>,
}

/// Streams in each packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Streams {
    pub(super) count: u8,
    /// How many of them are stereo; they come first.
    pub(super) coupled: u8,
    /// The decoded channel that each channel is.
    pub(super) mapping: Vec<u8>,
}

impl OpusHead {
    /// Reads the header; nothing if it breaks the rules.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = bytes.strip_prefix(MAGIC)?;
        let &[version, channels, d0, d1, _, _, _, _, g0, g1, family] = fields.first_chunk()?;
        let (delay, gain) = (u16::from_le_bytes([d0, d1]), i16::from_le_bytes([g0, g1]));
        if version > 15 || channels == 0 {
            return None;
        }
        let streams = if family == 0 {
            if channels > 2 {
                return None;
            }
            None
        } else {
            let (&[count, coupled], rest) = fields.get(11..)?.split_first_chunk()?;
            Some(Streams { count, coupled, mapping: rest.get(..channels.into())?.to_vec() })
        };
        Some(Self { channels, delay, gain, streams })
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_headers_of_one_stream_and_of_several() {
        let stereo = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\xff\0";
        let head = OpusHead::parse(stereo).unwrap();
        assert_eq!((head.channels(), head.delay, head.gain, head.streams), (2, 312, -256, None));
        let surround = [&stereo[..9], b"\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\x00\x04\x01\x02\x03\x05"].concat();
        let head = OpusHead::parse(&surround).unwrap();
        let streams = Streams { count: 4, coupled: 2, mapping: vec![0, 4, 1, 2, 3, 5] };
        assert_eq!((head.channels(), head.streams), (6, Some(streams)));
        assert_eq!(OpusHead::parse(&surround[..24]), None);
        assert_eq!(OpusHead::parse(b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\0"), None);
    }
}
