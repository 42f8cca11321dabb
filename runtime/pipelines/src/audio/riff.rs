//! The header of a WAVE file: what hound stumbles over is read here, and each block of samples goes to it under a header it understands.
//!
//! hound refuses or misreads what other programs write: lengths that were not known when a stream began, chunks of odd length, files beyond
//! 4 GiB, format chunks of unusual size, samples with fewer valid bits than they are wide.

use std::io::Read;

use super::counting::Counting;
use super::format::Format;
use super::{AudioError, Container};

/// Writers that do not know the length yet put this or more: 2^31 less a header (sox, arecord), 2^32 - 1 (ffmpeg).
const UNKNOWN_BYTES: u32 = 0x7fff_0000;
/// Stands for "see the ds64 chunk" in files beyond 4 GiB.
const IN_DS64: u32 = u32::MAX;

/// Longest length in a ds64 chunk; more stands for one that is not known.
const MAX_LONG_BYTES: u64 = i64::MAX as u64;

const EXTENSIBLE: u16 = 0xfffe;
/// The part behind the format tag in an extensible format's GUID.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Encodings that are known by name only.
const REFUSED: [(u16, &str); 6] =
    [(0x02, "adpcm_ms"), (0x11, "adpcm_ima_wav"), (0x31, "gsm_ms"), (0x45, "g726"), (0x50, "mpeg"), (0x55, "mp3")];

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WavHeader {
    pub(super) format: Format,
    /// Bytes of all samples; `None` where the writer did not know.
    pub(super) data_bytes: Option<u64>,
    /// The same as the header has it: where `data_bytes` does not believe it, a file may be that long.
    pub(super) claimed_bytes: u64,
    /// Bytes before the first sample.
    pub(super) header_bytes: u64,
}

/// Chunks that are found in such files.
const CHUNKS: [&[u8; 4]; 32] = [
    b"data", b"fmt ", b"fact", b"LIST", b"INFO", b"JUNK", b"junk", b"PAD ", b"FLLR", b"bext", b"iXML", b"ixml", b"axml", b"aXML", b"chna",
    b"ds64", b"r64m", b"cue ", b"plst", b"labl", b"note", b"smpl", b"inst", b"acid", b"PEAK", b"afsp", b"id3 ", b"ID3 ", b"DISP", b"cart",
    b"elm1", b"_PMX",
];

/// Whether a chunk of this name is known.
pub(super) fn is_chunk_id(id: [u8; 4]) -> bool {
    CHUNKS.contains(&&id)
}

/// Whether these could name a chunk.
pub(super) fn is_chunk_name(id: [u8; 4]) -> bool {
    id[0].is_ascii_graphic() && id.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Reads chunks until the samples begin.
pub(super) fn read_header(reader: &mut impl Read) -> Result<WavHeader, AudioError> {
    let mut reader = Counting::new(reader, Container::Wav);
    let [r, i, f, f2, _, _, _, _, rest @ ..] = reader.take::<12>()?;
    if !matches!(&[r, i, f, f2], b"RIFF" | b"RF64" | b"BW64") || &rest != b"WAVE" {
        return Err(reader.malformed("it does not begin with RIFF and WAVE"));
    }
    let (mut format, mut long_bytes) = (None, None);
    let mut odd = false;
    loop {
        let (id, bytes) = chunk(&mut reader, odd)?;
        odd = bytes % 2 == 1;
        match &id {
            b"data" => {
                let format = format.ok_or_else(|| reader.malformed("samples come before their format"))?;
                let (data_bytes, claimed_bytes) = match (bytes, long_bytes) {
                    (IN_DS64, Some(long)) => ((long <= MAX_LONG_BYTES).then_some(long), long),
                    (bytes, _) => ((bytes < UNKNOWN_BYTES).then_some(bytes.into()), bytes.into()),
                };
                return Ok(WavHeader { format, data_bytes, claimed_bytes, header_bytes: reader.count });
            }
            b"fmt " => format = Some(read_format(&mut reader, bytes)?),
            b"ds64" if bytes >= 16 => {
                let [_, _, _, _, _, _, _, _, data @ ..] = reader.take::<16>()?;
                long_bytes = Some(u64::from_le_bytes(data));
                reader.skip(u64::from(bytes - 16))?;
            }
            _ => reader.skip(u64::from(bytes))?,
        }
    }
}

fn read_format<R: Read>(reader: &mut Counting<'_, R>, bytes: u32) -> Result<Format, AudioError> {
    if bytes < 16 {
        return Err(reader.malformed("its format chunk is too short"));
    }
    let [tag @ .., c0, c1, r0, r1, r2, r3, p0, p1, p2, p3, a0, a1, b0, b1] = reader.take::<16>()?;
    let mut tag = u16::from_le_bytes(tag);
    let channels = u16::from_le_bytes([c0, c1]);
    let rate = u32::from_le_bytes([r0, r1, r2, r3]);
    let (frame_bytes, bits) = (u16::from_le_bytes([a0, a1]), u16::from_le_bytes([b0, b1]));
    let mut left = u64::from(bytes) - 16;
    if tag == EXTENSIBLE {
        if left < 24 {
            return Err(reader.malformed("its format chunk is too short"));
        }
        let [_, _, _, _, _, _, _, _, low, high, tail @ ..] = reader.take::<24>()?;
        left -= 24;
        tag = if tail == GUID_TAIL { u16::from_le_bytes([low, high]) } else { 0 };
    }
    reader.skip(left)?;
    if channels == 0 {
        return Err(AudioError::Channels(0));
    }
    if let Some((_, name)) = REFUSED.iter().find(|(known, _)| *known == tag) {
        return Err(reader.unsupported(format!("encoding {name}")));
    }
    let sample_bytes = frame_bytes / channels;
    let needed = u32::from(channels) * u32::from(bits.div_ceil(8));
    let bytes_per_second = u32::from_le_bytes([p0, p1, p2, p3]);
    // 24 bits may lie in four bytes, unless the rate of bytes says that they do not. Elsewhere a wider frame would be read as noise.
    let wide = sample_bytes == 4 && (17..32).contains(&bits) && bytes_per_second != rate.saturating_mul(needed);
    if bits > 0 && u32::from(frame_bytes) != needed && !(wide && frame_bytes % channels == 0) || frame_bytes == 0 {
        let detail = format!("its header gives a frame {frame_bytes} bytes, but {channels} x {bits} bits take {needed}");
        return Err(reader.malformed(detail));
    }
    // Fewer valid bits than the sample has are left-justified, so its width scales them.
    Format::tagged(tag, sample_bytes, rate, channels)
        .ok_or_else(|| reader.unsupported(format!("{}-bit samples of format {tag:#06x}", 8 * u32::from(sample_bytes))))
}

/// The name and length of the next chunk, after one of odd length if `odd`: most writers pad that with a byte, some do not.
fn chunk<R: Read>(reader: &mut Counting<'_, R>, odd: bool) -> Result<([u8; 4], u32), AudioError> {
    let [a, b, c, d] = reader.take()?;
    if !odd {
        return Ok(([a, b, c, d], u32::from_le_bytes(reader.take()?)));
    }
    let [e] = reader.take()?;
    if is_chunk_name([a, b, c, d]) && !is_chunk_id([b, c, d, e]) {
        let [f, g, h] = reader.take()?;
        return Ok(([a, b, c, d], u32::from_le_bytes([e, f, g, h])));
    }
    Ok(([b, c, d, e], u32::from_le_bytes(reader.take()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&id[..], &(body.len() as u32).to_le_bytes(), body, &[0u8; 1][..body.len() % 2]].concat()
    }

    fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let frame_bytes = channels * bits / 8;
        let mut body = [tag, channels].map(u16::to_le_bytes).concat();
        body.extend([rate, rate * u32::from(frame_bytes)].map(u32::to_le_bytes).concat());
        body.extend([frame_bytes, bits].map(u16::to_le_bytes).concat());
        chunk(b"fmt ", &body)
    }

    #[test]
    fn skips_odd_chunks_with_their_padding() {
        let file = [b"RIFF\0\0\0\0WAVE", &chunk(b"LIST", b"odd")[..], &format(1, 2, 44_100, 16), &chunk(b"data", &[0; 8])].concat();
        let header = read_header(&mut &file[..]).unwrap();
        let format = Format::tagged(1, 2, 44_100, 2).unwrap();
        let expected = WavHeader { format, data_bytes: Some(8), claimed_bytes: 8, header_bytes: file.len() as u64 - 8 };
        assert_eq!(header, expected);
    }

    #[test]
    fn knows_lengths_that_are_not_known() {
        for (length, expected) in [(0xffff_ffffu32, None), (0x7fff_ffdc, None), (0x7000_0000, Some(0x7000_0000))] {
            let file = [b"RIFF\0\0\0\0WAVE", &format(3, 1, 16_000, 32)[..], b"data", &length.to_le_bytes()].concat();
            assert_eq!(read_header(&mut &file[..]).unwrap().data_bytes, expected);
        }
    }

    #[test]
    fn a_frame_has_the_bytes_that_its_bits_take() {
        let read = |bits: u16, frame_bytes: u16, bytes_per_second: u32| {
            let mut format = format(1, 1, 8_000, bits);
            format[16..20].copy_from_slice(&bytes_per_second.to_le_bytes());
            format[20..22].copy_from_slice(&frame_bytes.to_le_bytes());
            read_header(&mut &[b"RIFF\0\0\0\0WAVE", &format[..], &chunk(b"data", &[0; 8])].concat()[..]).map(|header| header.format.name())
        };
        for (bits, frame_bytes, bytes_per_second, expected) in
            [(16, 2, 0, "pcm_s16le"), (12, 2, 16_000, "pcm_s16le"), (24, 3, 24_000, "pcm_s24le"), (24, 4, 32_000, "pcm_s32le")]
        {
            assert_eq!(read(bits, frame_bytes, bytes_per_second).unwrap(), expected);
        }
        for (bits, frame_bytes, bytes_per_second) in
            [(16, 4, 32_000), (16, 3, 24_000), (24, 4, 24_000), (24, 6, 48_000), (24, 2, 16_000), (16, 0, 0)]
        {
            let error = read(bits, frame_bytes, bytes_per_second).unwrap_err().to_string();
            let expected = format!("a frame {frame_bytes} bytes, but 1 x {bits} bits take {}", bits / 8);
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn long_files_keep_their_length_in_ds64() {
        let ds64 = [0u64, 5 << 32, 0].map(u64::to_le_bytes).concat();
        let file = [b"RF64\xff\xff\xff\xffWAVE", &chunk(b"ds64", &ds64)[..], &format(1, 1, 16_000, 16), b"data\xff\xff\xff\xff"].concat();
        assert_eq!(read_header(&mut &file[..]).unwrap().data_bytes, Some(5 << 32));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let file = |format: Vec<u8>| [b"RIFF\0\0\0\0WAVE", &format[..], &chunk(b"data", &[0; 8])].concat();
        for (tag, bits, expected) in [(2, 4, "encoding adpcm_ms"), (0x31, 0, "encoding gsm_ms"), (1, 40, "40-bit samples of format 0x0001")]
        {
            match read_header(&mut &file(format(tag, 1, 8_000, bits))[..]) {
                Err(AudioError::Unsupported { feature, .. }) => assert_eq!(feature, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(matches!(read_header(&mut &file(format(1, 0, 8_000, 8))[..]), Err(AudioError::Channels(0))));
        let whole = file(format(1, 1, 8_000, 16));
        for len in 0..whole.len() - 8 {
            assert!(matches!(read_header(&mut &whole[..len]), Err(AudioError::Malformed { .. })), "{len} bytes");
        }
    }
}
