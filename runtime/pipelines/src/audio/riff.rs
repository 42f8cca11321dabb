//! The header of a WAVE file: what hound stumbles over is read here, and each block of samples goes to it under a header it understands.
//!
//! hound refuses or misreads what other programs write: lengths that were not known when a stream began, chunks of odd length, files beyond
//! 4 GiB, format chunks of unusual size, samples with fewer valid bits than they are wide.

use std::io::{ErrorKind, Read};

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_MULAW};

use super::{AudioError, Container, Encoding, Pcm};

/// Writers that do not know the length yet put this or more: 2^31 less a header (sox, arecord), 2^32 - 1 (ffmpeg).
const UNKNOWN_BYTES: u32 = 0x7fff_0000;
/// Stands for "see the ds64 chunk" in files beyond 4 GiB.
const IN_DS64: u32 = u32::MAX;

const EXTENSIBLE: u16 = 0xfffe;
/// The part behind the format tag in an extensible format's GUID.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Encodings: tag, bytes of a sample, name, and symphonia's codec for those that hound lacks.
const ENCODINGS: [(u16, u16, &str, Option<AudioCodecId>); 8] = [
    (1, 1, "pcm_u8", None),
    (1, 2, "pcm_s16le", None),
    (1, 3, "pcm_s24le", None),
    (1, 4, "pcm_s32le", None),
    (3, 4, "pcm_f32le", None),
    (3, 8, "pcm_f64le", Some(CODEC_ID_PCM_F64LE)),
    (6, 1, "pcm_alaw", Some(CODEC_ID_PCM_ALAW)),
    (7, 1, "pcm_mulaw", Some(CODEC_ID_PCM_MULAW)),
];

/// Encodings that are known by name only.
const REFUSED: [(u16, &str); 6] =
    [(0x02, "adpcm_ms"), (0x11, "adpcm_ima_wav"), (0x31, "gsm_ms"), (0x45, "g726"), (0x50, "mpeg"), (0x55, "mp3")];

/// How samples lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Index in [`ENCODINGS`].
    encoding: usize,
    pub(super) rate: u32,
    pub(super) channels: u16,
}

impl Format {
    /// Samples that no header describes.
    pub(super) fn raw(pcm: Pcm) -> Self {
        let encoding = match pcm.encoding {
            Encoding::S16Le => 1,
            Encoding::F32Le => 4,
        };
        Self { encoding, rate: pcm.rate, channels: pcm.channels }
    }

    /// The encoding's name, as other tools have it.
    pub(super) fn name(&self) -> &'static str {
        ENCODINGS[self.encoding].2
    }

    /// The codec, if it is not one of hound's.
    pub(super) fn symphonia(&self) -> Option<AudioCodecId> {
        ENCODINGS[self.encoding].3
    }

    /// Bytes of a sample of all channels.
    pub(super) fn frame_bytes(&self) -> usize {
        usize::from(ENCODINGS[self.encoding].1) * usize::from(self.channels)
    }

    /// A whole header in front of `data_bytes` bytes of samples, in the form that every reader knows.
    pub(super) fn header(&self, data_bytes: u32) -> Vec<u8> {
        let (tag, sample_bytes, ..) = ENCODINGS[self.encoding];
        let frame_bytes = self.frame_bytes() as u32;
        let mut header = b"RIFF".to_vec();
        header.extend(data_bytes.saturating_add(36).to_le_bytes());
        header.extend(b"WAVEfmt \x10\0\0\0");
        header.extend([tag, self.channels].map(u16::to_le_bytes).concat());
        header.extend([self.rate, self.rate.saturating_mul(frame_bytes)].map(u32::to_le_bytes).concat());
        header.extend([frame_bytes as u16, 8 * sample_bytes].map(u16::to_le_bytes).concat());
        header.extend(b"data");
        header.extend(data_bytes.to_le_bytes());
        header
    }
}

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

/// Reads chunks until the samples begin.
pub(super) fn read_header(reader: &mut impl Read) -> Result<WavHeader, AudioError> {
    let mut reader = Counting { inner: reader, count: 0 };
    let [r, i, f, f2, _, _, _, _, rest @ ..] = reader.take::<12>()?;
    if !matches!(&[r, i, f, f2], b"RIFF" | b"RF64") || &rest != b"WAVE" {
        return Err(malformed("it does not begin with RIFF and WAVE"));
    }
    let (mut format, mut long_bytes) = (None, None);
    loop {
        let id = reader.take::<4>()?;
        let bytes = u32::from_le_bytes(reader.take()?);
        match &id {
            b"data" => {
                let format = format.ok_or_else(|| malformed("samples come before their format"))?;
                let (data_bytes, claimed_bytes) = match (bytes, long_bytes) {
                    (IN_DS64, Some(long)) => (Some(long), long),
                    (bytes, _) => ((bytes < UNKNOWN_BYTES).then_some(bytes.into()), bytes.into()),
                };
                return Ok(WavHeader { format, data_bytes, claimed_bytes, header_bytes: reader.count });
            }
            b"fmt " => {
                format = Some(read_format(&mut reader, bytes)?);
                reader.skip(u64::from(bytes % 2))?;
            }
            b"ds64" if bytes >= 16 => {
                let [_, _, _, _, _, _, _, _, data @ ..] = reader.take::<16>()?;
                long_bytes = Some(u64::from_le_bytes(data));
                reader.skip(u64::from(bytes - 16) + u64::from(bytes % 2))?;
            }
            _ => reader.skip(u64::from(bytes) + u64::from(bytes % 2))?,
        }
    }
}

fn read_format<R: Read>(reader: &mut Counting<'_, R>, bytes: u32) -> Result<Format, AudioError> {
    if bytes < 16 {
        return Err(malformed("its format chunk is too short"));
    }
    let [tag @ .., c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1] = reader.take::<16>()?;
    let mut tag = u16::from_le_bytes(tag);
    let channels = u16::from_le_bytes([c0, c1]);
    let rate = u32::from_le_bytes([r0, r1, r2, r3]);
    let (frame_bytes, bits) = (u16::from_le_bytes([a0, a1]), u16::from_le_bytes([b0, b1]));
    let mut left = u64::from(bytes) - 16;
    if tag == EXTENSIBLE {
        if left < 24 {
            return Err(malformed("its format chunk is too short"));
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
        return Err(AudioError::Unsupported { container: Container::Wav, feature: format!("encoding {name}") });
    }
    let sample_bytes = frame_bytes / channels;
    if frame_bytes % channels != 0 || bits.div_ceil(8) > sample_bytes {
        return Err(malformed("its frame size does not fit its channels and bits"));
    }
    // Fewer valid bits than the sample has are left-justified, so its width scales them.
    match ENCODINGS.iter().position(|&(known, bytes, ..)| (known, bytes) == (tag, sample_bytes)) {
        Some(encoding) => Ok(Format { encoding, rate, channels }),
        None => {
            let feature = format!("{}-bit samples of format {tag:#06x}", 8 * u32::from(sample_bytes));
            Err(AudioError::Unsupported { container: Container::Wav, feature })
        }
    }
}

fn malformed(detail: &str) -> AudioError {
    AudioError::Malformed { container: Container::Wav, detail: detail.into(), frames: 0 }
}

/// Reads and counts.
struct Counting<'a, R> {
    inner: &'a mut R,
    count: u64,
}

impl<R: Read> Counting<'_, R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], AudioError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => malformed("it ends before its samples begin"),
            _ => AudioError::Io(error),
        })?;
        self.count += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), AudioError> {
        let skipped = std::io::copy(&mut self.inner.by_ref().take(bytes), &mut std::io::sink()).map_err(AudioError::Io)?;
        self.count += skipped;
        if skipped < bytes { Err(malformed("it ends before its samples begin")) } else { Ok(()) }
    }
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
        let format = Format { encoding: 1, rate: 44_100, channels: 2 };
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

    #[test]
    fn a_header_written_is_a_header_read() {
        for (encoding, &(_, bytes, name, _)) in ENCODINGS.iter().enumerate() {
            let format = Format { encoding, rate: 8_000, channels: 3 };
            assert_eq!((format.frame_bytes(), format.name()), (3 * usize::from(bytes), name));
            let file = format.header(24);
            let expected = WavHeader { format, data_bytes: Some(24), claimed_bytes: 24, header_bytes: file.len() as u64 };
            assert_eq!(read_header(&mut &file[..]).unwrap(), expected, "{name}");
        }
    }
}
