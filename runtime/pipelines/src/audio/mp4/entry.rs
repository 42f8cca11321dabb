//! What describes the encoding of an mp4's track.

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

use super::{AudioError, malformed, pcm_entry, unsupported};

/// Longest description; real ones have a few hundred bytes.
pub(super) const MAX_BYTES: u64 = 1 << 16;

/// Sample entries that are known by name only.
const REFUSED: [(&[u8; 4], &str); 12] = [
    (b"samr", "AMR"),
    (b"sawb", "AMR-WB"),
    (b"sawp", "AMR-WB+"),
    (b"ac-3", "AC-3"),
    (b"ec-3", "E-AC-3"),
    (b"ac-4", "AC-4"),
    (b"dtsc", "DTS"),
    (b"mha1", "MPEG-H"),
    (b"QDM2", "QDesign"),
    (b"ima4", "IMA ADPCM"),
    (b"Qclp", "QCELP"),
    (b"enca", "encrypted audio"),
];

/// Delay, rate and gain in a header of Opus.
const BIG_ENDIAN: [std::ops::Range<usize>; 3] = [10..12, 12..16, 16..18];

/// What a decoder needs to know, out of the body of a sample description (`stsd`).
pub(super) fn parameters(description: &[u8]) -> Result<AudioCodecParameters, AudioError> {
    if let Some(name) = refused(description) {
        return Err(unsupported(name));
    }
    if let Some(parameters) = pcm_entry::parameters(description)? {
        return Ok(parameters);
    }
    // symphonia's parser wants a file around it: one of a single track without a sample.
    let stream = MediaSourceStream::new(Box::new(std::io::Cursor::new(around(description))), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(|_| malformed("the description of its audio is not valid"))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| unsupported("an audio track of unknown encoding"))?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let mut parameters = parameters.cloned().ok_or_else(|| malformed("the description of its audio is not valid"))?;
    if let (CODEC_ID_OPUS, Some(head)) = (parameters.codec, &mut parameters.extra_data) {
        // In mp4 numbers are big-endian, in the header that is made of it they should not be.
        for range in BIG_ENDIAN {
            head.get_mut(range).into_iter().for_each(<[u8]>::reverse);
        }
    }
    Ok(parameters)
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
}

/// The smallest file with this sample description.
fn around(description: &[u8]) -> Vec<u8> {
    // Times a second, where the header of the movie and that of the medium have them.
    let mut header = [0; 100];
    header[15] = 1;
    let mut track = [0; 84];
    track[15] = 1;
    let mut handler = [0; 25];
    handler[8..12].copy_from_slice(b"soun");
    let tables = [boxed(b"stsd", description), boxed(b"stts", &[0; 8]), boxed(b"stsc", &[0; 8]), boxed(b"stsz", &[0; 12])];
    let tables = boxed(b"stbl", &[tables.concat(), boxed(b"stco", &[0; 8])].concat());
    let media = [boxed(b"mdhd", &header[..24]), boxed(b"hdlr", &handler), boxed(b"minf", &tables)].concat();
    let track = boxed(b"trak", &[boxed(b"tkhd", &track), boxed(b"mdia", &media)].concat());
    let movie = boxed(b"moov", &[boxed(b"mvhd", &header), track].concat());
    [boxed(b"ftyp", b"M4A \0\0\0\0"), movie, boxed(b"mdat", b"")].concat()
}

/// The name of the encoding in a sample description if it is not decoded.
fn refused(description: &[u8]) -> Option<&'static str> {
    let kind = description.get(pcm_entry::KIND)?;
    if let Some((_, name)) = REFUSED.iter().find(|(known, _)| *known == kind) {
        return Some(name);
    }
    if kind != b"mp4a" {
        return None;
    }
    let at = description.windows(4).position(|window| window == b"esds")?;
    match object_type(description.get(at + 8..)?)? {
        5 => Some("HE-AAC"),
        29 => Some("HE-AAC v2"),
        42 => Some("xHE-AAC"),
        23 | 39 => Some("AAC-LD"),
        _ => None,
    }
}

/// The kind of AAC in the descriptors of an `esds` box.
fn object_type(mut bytes: &[u8]) -> Option<u8> {
    loop {
        let (&tag, mut rest) = bytes.split_first()?;
        // Its length, seven bits at a time.
        for _ in 0..4 {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            if byte & 0x80 == 0 {
                break;
            }
        }
        match tag {
            3 => bytes = rest.get(3..)?,
            4 => bytes = rest.get(13..)?,
            5 => return rest.first().map(|first| first >> 3),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::opus_head::OpusHead;
    use super::*;

    #[test]
    fn the_kind_of_aac_is_found() {
        // Object type 2 (LC) and 5 (with band replication), lengths short and long.
        for (first, expected) in [(0x12, 2), (0x2b, 5)] {
            let short = [3, 25, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, first, 0x10];
            assert_eq!(object_type(&short), Some(expected));
            let long =
                [&[3, 0x80, 0x80, 0x80, 25, 0, 0, 0, 4, 0x80, 0x80, 0x80, 17][..], &[0; 13], &[5, 0x80, 0x80, 0x80, 2, first]].concat();
            assert_eq!(object_type(&long), Some(expected));
        }
    }

    #[test]
    fn descriptions_are_read_or_refused() {
        let entry = |kind: &[u8; 4], version: u16| {
            let mut body = [0; 28];
            body[8..10].copy_from_slice(&version.to_be_bytes());
            body[17] = 1;
            body[19] = 16;
            body[24..26].copy_from_slice(&16_000u16.to_be_bytes());
            [&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(kind, &body)].concat()
        };
        let raw = parameters(&entry(b"sowt", 0)).unwrap();
        assert_eq!((raw.sample_rate, raw.channels.unwrap().count()), (Some(16_000), 1));
        for version in [0, 1] {
            assert_eq!(parameters(&entry(b"lpcm", version)).unwrap_err().to_string(), "m4a: cannot decode lpcm without its width");
        }
        let head = [&[0, 1][..], &312u16.to_be_bytes(), &16_000u32.to_be_bytes(), &(-256i16).to_be_bytes(), &[0]].concat();
        let mut opus = entry(b"Opus", 0);
        opus.extend(boxed(b"dOps", &head));
        opus[8..12].copy_from_slice(&(36 + 8 + 11u32).to_be_bytes());
        let head = OpusHead::parse(&parameters(&opus).unwrap().extra_data.unwrap()).unwrap();
        assert_eq!((head.channels(), head.delay, head.gain), (1, 312, -256));
        for description in [&b""[..], &[0; 8], &entry(b"mp4v", 0), &entry(b"mp4a", 7)] {
            assert!(parameters(description).is_err());
        }
    }
}
