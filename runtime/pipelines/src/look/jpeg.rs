//! Where a JPEG image ends: what cuts a stream of them into frames (ITU-T T.81, annex B).

/// How far an image has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Before a marker's 0xff.
    #[default]
    Outside,
    /// After it.
    Marker,
    /// In the two bytes of a segment's length, after so many of them.
    Length(u8, u16),
    /// So many bytes before a segment's end, and whether coded pixels follow.
    Segment(u16, bool),
    /// Among coded pixels.
    Scan,
    /// After a 0xff among them.
    ScanMarker,
}

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

impl Progress {
    /// Takes the next byte after the first two; true at the image's end.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        *self = match *self {
            Self::Outside if byte == 0xff => Self::Marker,
            // What does not belong there is left to the decoder.
            Self::Outside => Self::Outside,
            Self::Marker | Self::ScanMarker if byte == END => return true,
            Self::Marker | Self::ScanMarker if byte == 0xff => *self,
            // A stuffed byte, or a restart.
            Self::ScanMarker if byte == 0 || (0xd0..=0xd7).contains(&byte) => Self::Scan,
            // Markers without a segment.
            Self::Marker if matches!(byte, 0 | 1 | 0xd0..=0xd8) => Self::Outside,
            Self::Marker | Self::ScanMarker => Self::Length(u8::from(byte == SCAN), 0),
            Self::Length(scan @ 0..=1, _) => Self::Length(scan + 2, u16::from(byte) << 8),
            Self::Length(scan, high) => {
                let rest = (high | u16::from(byte)).saturating_sub(2);
                Self::Segment(rest, scan == 3).skip_empty()
            }
            Self::Segment(rest, scan) => Self::Segment(rest - 1, scan).skip_empty(),
            Self::Scan if byte == 0xff => Self::ScanMarker,
            Self::Scan => Self::Scan,
        };
        false
    }

    fn skip_empty(self) -> Self {
        match self {
            Self::Segment(0, true) => Self::Scan,
            Self::Segment(0, false) => Self::Outside,
            other => other,
        }
    }
}
