//! Recordings that say what they are by their content type alone.

use ossicle::audio::{Encoding, Pcm};

/// Samples without a header, by their type: `audio/basic` (RFC 2046), `audio/PCMU` and `audio/PCMA` (RFC 3551), with `rate` and `channels`.
/// Nothing for any other type.
pub(super) fn samples(content_type: &str) -> Option<Pcm> {
    let mut parts = content_type.split(';').map(str::trim);
    let encoding = match parts.next()?.to_ascii_lowercase().as_str() {
        "audio/basic" | "audio/pcmu" | "audio/x-mulaw" => Encoding::MuLaw,
        "audio/pcma" | "audio/x-alaw" => Encoding::ALaw,
        _ => return None,
    };
    let mut pcm = Pcm { rate: 8000, channels: 1, encoding };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"').parse();
        match (name.trim().to_ascii_lowercase().as_str(), value) {
            ("rate", Ok(rate)) => pcm.rate = rate,
            ("channels", Ok(channels)) => pcm.channels = u16::try_from(channels).unwrap_or(u16::MAX),
            _ => {}
        }
    }
    Some(pcm)
}

/// Whether a body of this type is a recording itself, not a form with one in it.
pub(super) fn is_recording(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("audio/") || kind.starts_with("video/") || kind == "application/octet-stream" || kind == "application/ogg"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_telephones() {
        let mulaw = Pcm { rate: 8000, channels: 1, encoding: Encoding::MuLaw };
        assert_eq!(samples("audio/basic"), Some(mulaw));
        assert_eq!(samples("Audio/PCMU; rate=16000; channels=2"), Some(Pcm { rate: 16_000, channels: 2, ..mulaw }));
        assert_eq!(samples("audio/PCMA;rate=\"8000\""), Some(Pcm { encoding: Encoding::ALaw, ..mulaw }));
        assert_eq!((samples("audio/wav"), samples("")), (None, None));
        assert!(is_recording("audio/wav") && is_recording("application/octet-stream") && !is_recording("multipart/form-data; boundary=a"));
    }
}
