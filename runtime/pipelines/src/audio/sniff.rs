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
    /// MPEG audio, layers I to III.
    Mp3,
    /// AAC frames with ADTS headers.
    Adts,
    /// Ogg: Vorbis, Opus or FLAC.
    Ogg,
    /// Matroska, and WebM, which is a part of it.
    Matroska,
    /// AIFF and AIFF-C.
    Aiff,
    /// Core Audio Format.
    Caf,
    /// AU, also known as SND.
    Au,
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
            Self::Matroska => "webm",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::Au => "au",
            Self::Mp4 => "m4a",
            Self::Raw => "raw",
        })
    }
}

/// Names the container that begins with `head`.
pub(super) fn sniff(head: &[u8]) -> Result<Container, AudioError> {
    match head {
        [] => Err(AudioError::EmptyFile),
        [b'R' | b'B', b'I' | b'F' | b'W', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Ok(Container::Wav),
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Ok(Container::Aiff),
        [b'c', b'a', b'f', b'f', 0, ..] => Ok(Container::Caf),
        [b'.', b's', b'n', b'd', ..] => Ok(Container::Au),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Ok(Container::Matroska),
        [b'f', b'L', b'a', b'C', ..] => Ok(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Ok(Container::Ogg),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(Container::Mp4),
        // An ID3 tag may stand before MPEG audio, ADTS or FLAC; symphonia looks behind it.
        [b'I', b'D', b'3', ..] => Ok(Container::Mp3),
        _ if let Some(name) = foreign(head) => Err(AudioError::Foreign(name)),
        // Both begin with a sync word; the layer field is 0 in ADTS and never in MPEG audio.
        [0xff, b, ..] if b & 0xf6 == 0xf0 => Ok(Container::Adts),
        [0xff, b, ..] if b & 0xe0 == 0xe0 && b & 0x06 != 0 => Ok(Container::Mp3),
        _ if is_text(head) => Err(AudioError::Text),
        _ => Err(AudioError::UnknownFormat),
    }
}

/// First bytes of formats that are known by name only, and how many bytes before them.
const FOREIGN: [(usize, &[u8], &str); 23] = [
    (0, b"RIFX", "big-endian wav (RIFX)"),
    (0, b"#!AMR-WB", "AMR-WB"),
    (0, b"#!AMR", "AMR"),
    (0, &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], "Windows Media (wma)"),
    (0, &[0x0b, 0x77], "AC-3"),
    (0, &[0x7f, 0xfe, 0x80, 0x01], "DTS"),
    (0, b"DSD ", "DSD (dsf)"),
    (0, b"FRM8", "DSD (dff)"),
    (0, b".RMF", "RealMedia"),
    (0, &[b'.', b'r', b'a', 0xfd], "RealAudio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio (ape)"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio (tta)"),
    (0, b"MThd", "MIDI, which has notes and no sound"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"Creative Voice File", "Creative Voice (voc)"),
    (0, b"FLV\x01", "Flash video (flv)"),
    (8, b"AVI ", "AVI video"),
    (0, &[0, 0, 1, 0xba], "MPEG video"),
    (0, b"riff\x2e\x91\xcf\x11", "Wave64 (w64)"),
    (0, b"ADIF", "AAC with an ADIF header"),
];

/// The name of a format that is not decoded.
fn foreign(head: &[u8]) -> Option<&'static str> {
    // A packet of 188 bytes begins with a sync byte, again and again.
    if head.len() >= 377 && [0, 188, 376].iter().all(|&at| head[at] == 0x47) {
        return Some("MPEG transport stream (ts)");
    }
    FOREIGN.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|head| head.starts_with(magic))).map(|(_, _, name)| *name)
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
