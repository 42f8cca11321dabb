//! The header of a WAVE file, up to its samples.

use std::io::{ErrorKind, Read};

use super::{AudioError, Container};

/// Writers that do not know the length yet put this or more: 2^31 less a header (sox, arecord), 2^32 - 1 (ffmpeg).
const UNKNOWN_BYTES: u32 = 0x7fff_0000;
/// Stands for "see the ds64 chunk" in files beyond 4 GiB.
const IN_DS64: u32 = u32::MAX;

const FORMAT_PCM: u16 = 1;
const FORMAT_FLOAT: u16 = 3;
const FORMAT_ALAW: u16 = 6;
const FORMAT_MULAW: u16 = 7;
const FORMAT_EXTENSIBLE: u16 = 0xfffe;
/// The part behind the format tag in an extensible format's GUID.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// How a sample lies in the file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WavHeader {
    pub(super) encoding: Encoding,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Bytes of all samples; `None` where the writer did not know.
    pub(super) data_bytes: Option<u64>,
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
                let (encoding, rate, channels) = format.ok_or_else(|| malformed("samples come before their format"))?;
                let data_bytes = match (bytes, long_bytes) {
                    (IN_DS64, Some(long)) => Some(long),
                    (bytes, _) => (bytes < UNKNOWN_BYTES).then_some(bytes.into()),
                };
                return Ok(WavHeader { encoding, rate, channels, data_bytes, header_bytes: reader.count });
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

fn read_format<R: Read>(reader: &mut Counting<'_, R>, bytes: u32) -> Result<(Encoding, u32, usize), AudioError> {
    if bytes < 16 {
        return Err(malformed("its format chunk is too short"));
    }
    let [tag @ .., c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1] = reader.take::<16>()?;
    let mut tag = u16::from_le_bytes(tag);
    let channels = usize::from(u16::from_le_bytes([c0, c1]));
    let rate = u32::from_le_bytes([r0, r1, r2, r3]);
    let (frame_bytes, bits) = (usize::from(u16::from_le_bytes([a0, a1])), u16::from_le_bytes([b0, b1]));
    let mut left = u64::from(bytes) - 16;
    if tag == FORMAT_EXTENSIBLE {
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
    let sample_bytes = frame_bytes / channels;
    if frame_bytes % channels != 0 || usize::from(bits) > 8 * sample_bytes {
        return Err(malformed("its frame size does not fit its channels and bits"));
    }
    // Fewer valid bits than the sample has are left-justified, so its width scales them.
    let encoding = match (tag, sample_bytes) {
        (FORMAT_PCM, 1) => Encoding::U8,
        (FORMAT_PCM, 2) => Encoding::S16,
        (FORMAT_PCM, 3) => Encoding::S24,
        (FORMAT_PCM, 4) => Encoding::S32,
        (FORMAT_FLOAT, 4) => Encoding::F32,
        (FORMAT_FLOAT, 8) => Encoding::F64,
        (FORMAT_ALAW, 1) => Encoding::ALaw,
        (FORMAT_MULAW, 1) => Encoding::MuLaw,
        (tag, bytes) => {
            let feature = format!("{}-bit samples of format {tag:#06x}", 8 * bytes);
            return Err(AudioError::Unsupported { container: Container::Wav, feature });
        }
    };
    Ok((encoding, rate, channels))
}

impl Encoding {
    /// Bytes of a sample.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Short name, as other tools have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U8 => "pcm_u8",
            Self::S16 => "pcm_s16le",
            Self::S24 => "pcm_s24le",
            Self::S32 => "pcm_s32le",
            Self::F32 => "pcm_f32le",
            Self::F64 => "pcm_f64le",
            Self::ALaw => "pcm_alaw",
            Self::MuLaw => "pcm_mulaw",
        }
    }

    /// Appends `bytes`, whole samples, as numbers; integers become -1..1 by their width.
    pub(super) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, sample: impl Fn([u8; N]) -> f32) {
            out.extend(bytes.as_chunks().0.iter().map(|&b| sample(b)));
        }
        match self {
            Self::U8 => each(bytes, out, |[b]| (f32::from(b) - 128.0) / 128.0),
            Self::S16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Self::S24 => each(bytes, out, |[a, b, c]| (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0),
            Self::S32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::ALaw => each(bytes, out, |[b]| f32::from(alaw(b)) / 32_768.0),
            Self::MuLaw => each(bytes, out, |[b]| f32::from(mulaw(b)) / 32_768.0),
        }
    }
}

/// G.711 A-law to 16 bits: sign, 3 bits of exponent, 4 of mantissa, every second bit inverted.
fn alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = ((byte >> 4) & 7, i16::from(byte & 15) << 4);
    let magnitude = if exponent == 0 { mantissa + 8 } else { (mantissa + 0x108) << (exponent - 1) };
    if byte & 0x80 == 0 { -magnitude } else { magnitude }
}

/// G.711 mu-law to 16 bits: all bits inverted, a bias of 132 on the magnitude.
fn mulaw(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = (((i16::from(byte & 15) << 3) + 0x84) << ((byte >> 4) & 7)) - 0x84;
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
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

    fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        encoding.decode(bytes, &mut out);
        out
    }

    #[test]
    fn samples_scale_by_their_width() {
        assert_eq!(decode(Encoding::U8, &[0, 128, 255]), [-1.0, 0.0, 127.0 / 128.0]);
        assert_eq!(decode(Encoding::S16, &[0, 0x80, 0, 0, 0xff, 0x7f]), [-1.0, 0.0, 32767.0 / 32768.0]);
        assert_eq!(decode(Encoding::S24, &[0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0xff]), [-1.0, 1.0 / 8_388_608.0, -1.0 / 8_388_608.0]);
        assert_eq!(decode(Encoding::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(decode(Encoding::F32, &0.25f32.to_le_bytes()), [0.25]);
        assert_eq!(decode(Encoding::F64, &0.25f64.to_le_bytes()), [0.25]);
    }

    #[test]
    fn companded_samples_match_the_tables_of_g711() {
        // Smallest and largest magnitudes of both signs, from the tables of the standard.
        assert_eq!([0xff, 0x7f, 0x80, 0x00, 0xf0].map(mulaw), [0, 0, 32124, -32124, 120]);
        assert_eq!([0xd5, 0x55, 0xaa, 0x2a].map(alaw), [8, -8, 32256, -32256]);
    }

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
        let expected =
            WavHeader { encoding: Encoding::S16, rate: 44_100, channels: 2, data_bytes: Some(8), header_bytes: file.len() as u64 - 8 };
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
        assert!(matches!(read_header(&mut &file(format(2, 1, 8_000, 8))[..]), Err(AudioError::Unsupported { .. })));
        assert!(matches!(read_header(&mut &file(format(1, 0, 8_000, 8))[..]), Err(AudioError::Channels(0))));
        let whole = file(format(1, 1, 8_000, 16));
        for len in 0..whole.len() - 8 {
            assert!(matches!(read_header(&mut &whole[..len]), Err(AudioError::Malformed { .. })), "{len} bytes");
        }
    }
}
