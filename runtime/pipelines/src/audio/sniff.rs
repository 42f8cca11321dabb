//! Telling formats apart by their first bytes; a file's name is never asked.

use std::fmt;

use super::AudioError;

/// How many first bytes [`sniff`] looks at.
pub(super) const HEAD_BYTES: usize = 512;

/// What wraps the encoded audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RIFF WAVE.
    Wav,
    /// Native FLAC.
    Flac,
    /// MPEG audio, layer III.
    Mp3,
    /// AAC frames with ADTS headers.
    Adts,
    /// Ogg: Vorbis, Opus or FLAC.
    Ogg,
    /// ISO base media (m4a, mp4, mov).
    Mp4,
    /// Samples without any header.
    Raw,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Adts => "aac",
            Self::Ogg => "ogg",
            Self::Mp4 => "m4a",
            Self::Raw => "raw",
        })
    }
}

/// Names the container that begins with `head`.
pub(super) fn sniff(head: &[u8]) -> Result<Container, AudioError> {
    match head {
        [] => Err(AudioError::EmptyFile),
        [b'R', b'I' | b'F', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Ok(Container::Wav),
        [b'f', b'L', b'a', b'C', ..] => Ok(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Ok(Container::Ogg),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(Container::Mp4),
        // An ID3 tag may stand before MPEG audio, ADTS or FLAC; symphonia looks behind it.
        [b'I', b'D', b'3', ..] => Ok(Container::Mp3),
        // Both begin with a sync word; the layer field is 0 in ADTS and never in MPEG audio.
        [0xff, b, ..] if b & 0xf6 == 0xf0 => Ok(Container::Adts),
        [0xff, b, ..] if b & 0xe0 == 0xe0 && b & 0x06 != 0 => Ok(Container::Mp3),
        _ if is_text(head) => Err(AudioError::Text),
        _ => Err(AudioError::UnknownFormat),
    }
}

/// Whether `head` is UTF-8 (perhaps cut in its last character) without control characters other than white space.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_containers() {
        assert_eq!(sniff(b"RIFF\0\0\0\0WAVEfmt ").ok(), Some(Container::Wav));
        assert_eq!(sniff(b"fLaC\0\0\0\x22").ok(), Some(Container::Flac));
        assert_eq!(sniff(b"OggS\0\x02").ok(), Some(Container::Ogg));
        assert_eq!(sniff(b"\0\0\0\x20ftypM4A ").ok(), Some(Container::Mp4));
        assert_eq!(sniff(b"ID3\x04\0\0").ok(), Some(Container::Mp3));
        assert_eq!(sniff(&[0xff, 0xfb, 0x90, 0]).ok(), Some(Container::Mp3));
        assert_eq!(sniff(&[0xff, 0xf1, 0x50, 0x80]).ok(), Some(Container::Adts));
    }

    #[test]
    fn tells_text_from_noise() {
        assert!(matches!(sniff(b""), Err(AudioError::EmptyFile)));
        assert!(matches!(sniff("Straße, caf\u{e9}\n".as_bytes()), Err(AudioError::Text)));
        let cut = &"aé".as_bytes()[..2];
        assert!(matches!(sniff(cut), Err(AudioError::Text)));
        assert!(matches!(sniff(&[0x1b, 0x80, 0x01]), Err(AudioError::UnknownFormat)));
        assert!(matches!(sniff(b"a\0b"), Err(AudioError::UnknownFormat)));
    }
}
