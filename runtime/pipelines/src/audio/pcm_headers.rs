//! Headers of AIFF, CAF and AU, whose samples are uncompressed.

use std::io::Read;

use super::counting::Counting;
use super::format::Format;
use super::{AudioError, Container};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PcmHeader {
    pub(super) format: Format,
    /// Bytes of all samples; `None` where the writer did not know.
    pub(super) data_bytes: Option<u64>,
    /// Bytes before the first sample.
    pub(super) header_bytes: u64,
}

/// Reads the header of a file of this kind, up to the first sample.
pub(super) fn read_header(container: Container, stream: &mut (impl Read + ?Sized)) -> Result<PcmHeader, AudioError> {
    let mut reader = Counting::new(stream, container);
    match container {
        Container::Aiff => aiff(&mut reader),
        Container::Caf => caf(&mut reader),
        _ => au(&mut reader),
    }
}

impl<R: Read + ?Sized> Counting<'_, R> {
    fn u16(&mut self) -> Result<u16, AudioError> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, AudioError> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn format(&self, name: &str, rate: u32, channels: u16) -> Result<Format, AudioError> {
        if channels == 0 {
            return Err(AudioError::Channels(0));
        }
        Format::named(name, rate, channels).ok_or_else(|| self.unsupported(format!("encoding {name}")))
    }
}

/// A name of four letters as people read it.
fn letters(name: [u8; 4]) -> String {
    name.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '_' }).collect::<String>().trim_end_matches('_').into()
}

fn aiff<R: Read + ?Sized>(reader: &mut Counting<'_, R>) -> Result<PcmHeader, AudioError> {
    reader.skip(12)?;
    let mut common = None;
    loop {
        let (id, bytes) = (reader.take::<4>()?, u64::from(reader.u32()?));
        match &id {
            b"COMM" if bytes >= 18 => {
                let (channels, frames, bits) = (reader.u16()?, reader.u32()?, reader.u16()?);
                let rate = extended(reader.take()?);
                let (kind, rest) = if bytes >= 22 { (reader.take()?, bytes - 22) } else { (*b"NONE", bytes - 18) };
                reader.skip(rest + bytes % 2)?;
                let name = match (&kind, bits.div_ceil(8)) {
                    (b"NONE" | b"twos", 1) => "pcm_s8",
                    (b"NONE" | b"twos", 2) => "pcm_s16be",
                    (b"NONE" | b"twos" | b"in24", 3) => "pcm_s24be",
                    (b"NONE" | b"twos" | b"in32", 4) => "pcm_s32be",
                    (b"sowt", 2) => "pcm_s16le",
                    (b"sowt", 3) => "pcm_s24le",
                    (b"sowt", 4) => "pcm_s32le",
                    (b"raw ", 1) => "pcm_u8",
                    (b"fl32" | b"FL32", _) => "pcm_f32be",
                    (b"fl64" | b"FL64", _) => "pcm_f64be",
                    (b"ulaw" | b"ULAW", _) => "pcm_mulaw",
                    (b"alaw" | b"ALAW", _) => "pcm_alaw",
                    _ => return Err(reader.unsupported(format!("{bits}-bit samples of encoding {}", letters(kind)))),
                };
                common = Some((reader.format(name, rate, channels)?, frames));
            }
            b"SSND" => {
                let (format, frames) = common.ok_or_else(|| reader.malformed("samples come before their format"))?;
                let offset = reader.u32()?;
                reader.skip(4 + u64::from(offset))?;
                let known = bytes.saturating_sub(8 + u64::from(offset));
                // Either may hold a stale length after a crash, as a recorder that died leaves it.
                let data_bytes = (u64::from(frames) * format.frame_bytes() as u64).max(if bytes < 0x7fff_0000 { known } else { 0 });
                return Ok(PcmHeader { format, data_bytes: Some(data_bytes), header_bytes: reader.count });
            }
            _ => reader.skip(bytes + bytes % 2)?,
        }
    }
}

/// A rate in the 80-bit floating point of old; 0 for what is none.
fn extended(bytes: [u8; 10]) -> u32 {
    let [e0, e1, mantissa @ ..] = bytes;
    let exponent = i32::from(u16::from_be_bytes([e0, e1])) - 16_383 - 63;
    let rate = u64::from_be_bytes(mantissa) as f64 * f64::from(exponent.clamp(-200, 200)).exp2();
    if rate < f64::from(u32::MAX) { rate.round() as u32 } else { 0 }
}

fn caf<R: Read + ?Sized>(reader: &mut Counting<'_, R>) -> Result<PcmHeader, AudioError> {
    reader.skip(8)?;
    let mut format = None;
    loop {
        let id = reader.take::<4>()?;
        let bytes = i64::from_be_bytes(reader.take()?);
        match &id {
            b"desc" if bytes >= 32 => {
                let (rate, kind, flags) = (f64::from_be_bytes(reader.take()?), reader.take::<4>()?, reader.u32()?);
                reader.skip(8)?;
                let (channels, bits) = (reader.u32()?, reader.u32()?);
                reader.skip(bytes as u64 - 32)?;
                let name = match (&kind, bits, flags & 3) {
                    (b"lpcm", 8, 0 | 2) => "pcm_s8",
                    (b"lpcm", 16, 0) => "pcm_s16be",
                    (b"lpcm", 16, 2) => "pcm_s16le",
                    (b"lpcm", 24, 0) => "pcm_s24be",
                    (b"lpcm", 24, 2) => "pcm_s24le",
                    (b"lpcm", 32, 0) => "pcm_s32be",
                    (b"lpcm", 32, 2) => "pcm_s32le",
                    (b"lpcm", 32, 1) => "pcm_f32be",
                    (b"lpcm", 32, 3) => "pcm_f32le",
                    (b"lpcm", 64, 1) => "pcm_f64be",
                    (b"lpcm", 64, 3) => "pcm_f64le",
                    (b"ulaw", ..) => "pcm_mulaw",
                    (b"alaw", ..) => "pcm_alaw",
                    (b"lpcm", ..) => return Err(reader.unsupported(format!("{bits}-bit samples"))),
                    _ => return Err(reader.unsupported(format!("encoding {}", letters(kind)))),
                };
                let rate = if rate.is_finite() { rate.round() as u32 } else { 0 };
                format = Some(reader.format(name, rate, u16::try_from(channels).unwrap_or(u16::MAX))?);
            }
            b"data" => {
                let format = format.ok_or_else(|| reader.malformed("samples come before their format"))?;
                reader.skip(4)?;
                // -1 stands for "up to the end".
                let data_bytes = u64::try_from(bytes).ok().map(|bytes| bytes.saturating_sub(4));
                return Ok(PcmHeader { format, data_bytes, header_bytes: reader.count });
            }
            _ => reader.skip(u64::try_from(bytes).map_err(|_| reader.malformed("a chunk has no length"))?)?,
        }
    }
}

fn au<R: Read + ?Sized>(reader: &mut Counting<'_, R>) -> Result<PcmHeader, AudioError> {
    reader.skip(4)?;
    let (offset, bytes, encoding) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (rate, channels) = (reader.u32()?, reader.u32()?);
    let name = match encoding {
        1 => "pcm_mulaw",
        2 => "pcm_s8",
        3 => "pcm_s16be",
        4 => "pcm_s24be",
        5 => "pcm_s32be",
        6 => "pcm_f32be",
        7 => "pcm_f64be",
        27 => "pcm_alaw",
        other => return Err(reader.unsupported(format!("encoding {other}"))),
    };
    let format = reader.format(name, rate, u16::try_from(channels).unwrap_or(u16::MAX))?;
    reader.skip(u64::from(offset).saturating_sub(24))?;
    Ok(PcmHeader { format, data_bytes: (bytes != u32::MAX).then_some(bytes.into()), header_bytes: reader.count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_old() {
        assert_eq!(extended([0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0]), 44_100);
        assert_eq!(extended([0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0]), 16_000);
        assert_eq!((extended([0; 10]), extended([0xff; 10])), (0, 0));
    }
}
