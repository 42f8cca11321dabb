//! Uncompressed samples in QuickTime and mp4: which way round their bytes are, as a misread order would be noise.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S8,
    CODEC_ID_PCM_S16BE, CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE,
    CODEC_ID_PCM_U8,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::super::{AudioError, MAX_CHANNELS};
use super::unsupported;

/// Where the first entry's kind stands in the body of a sample description.
pub(super) const KIND: std::ops::Range<usize> = 12..16;

/// Flags of `lpcm`: floating point, big-endian, signed.
const FLOAT: u32 = 1;
const BIG_ENDIAN: u32 = 2;
const SIGNED: u32 = 4;

/// What a decoder needs to know of uncompressed samples; nothing for other encodings.
pub(super) fn parameters(description: &[u8]) -> Result<Option<AudioCodecParameters>, AudioError> {
    let Some(kind) = description.get(KIND) else { return Ok(None) };
    if !matches!(
        kind,
        b"in24" | b"in32" | b"fl32" | b"fl64" | b"twos" | b"sowt" | b"raw " | b"ulaw" | b"alaw" | b"lpcm" | b"ipcm" | b"fpcm"
    ) {
        return Ok(None);
    }
    let short = || unsupported(&format!("{} without a description", String::from_utf8_lossy(kind)));
    let number16 = |at| bytes(description, at).map(u16::from_be_bytes).ok_or_else(short);
    let number32 = |at| bytes(description, at).map(u32::from_be_bytes).ok_or_else(short);
    let version = number16(24)?;
    let (mut channels, mut bits) = (u32::from(number16(32)?), u32::from(number16(34)?));
    let mut rate = f64::from(number32(40)?) / 65_536.0;
    // Where nothing else is said, QuickTime is big-endian.
    let mut flags = if after(description, b"enda", 0) == Some([0, 1]) { SIGNED } else { BIG_ENDIAN | SIGNED };
    match (kind, version) {
        (b"lpcm", 2) => {
            rate = bytes(description, 48).map(f64::from_be_bytes).ok_or_else(short)?;
            (channels, bits, flags) = (number32(56)?, number32(64)?, number32(68)?);
        }
        (b"lpcm", _) => return Err(unsupported("lpcm without its width")),
        (b"ipcm" | b"fpcm", _) => {
            let [little, width] = after(description, b"pcmC", 4).ok_or_else(short)?;
            let order = if little & 1 == 1 { 0 } else { BIG_ENDIAN };
            (bits, flags) = (width.into(), order | if kind == b"fpcm" { FLOAT } else { SIGNED });
        }
        (b"in24", _) => bits = 24,
        (b"in32", _) => bits = 32,
        (b"fl32", _) => (bits, flags) = (32, flags | FLOAT),
        (b"fl64", _) => (bits, flags) = (64, flags | FLOAT),
        (b"twos", _) => flags = BIG_ENDIAN | SIGNED,
        (b"sowt", _) => flags = SIGNED,
        (b"raw ", _) if bits == 8 => flags = 0,
        _ => {}
    }
    let codec = match kind {
        b"ulaw" => CODEC_ID_PCM_MULAW,
        b"alaw" => CODEC_ID_PCM_ALAW,
        _ => codec(bits, flags).ok_or_else(|| unsupported(&format!("{bits}-bit samples of this kind")))?,
    };
    let channels = usize::try_from(channels).unwrap_or(usize::MAX);
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(AudioError::Channels(channels));
    }
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(codec).with_sample_rate(rate.round() as u32).with_channels(Channels::Discrete(channels as u16));
    parameters.with_max_frames_per_packet(1);
    if !matches!(kind, b"ulaw" | b"alaw") {
        parameters.with_bits_per_coded_sample(bits);
    }
    Ok(Some(parameters))
}

/// Bytes of a frame of uncompressed samples; nothing for other encodings.
pub(super) fn frame_bytes(parameters: &AudioCodecParameters) -> Option<u32> {
    let channels = parameters.channels.as_ref().filter(|_| parameters.max_frames_per_packet == Some(1))?.count();
    Some(parameters.bits_per_coded_sample.unwrap_or(8).div_ceil(8) * channels as u32)
}

/// The encoding of samples of this width.
fn codec(bits: u32, flags: u32) -> Option<AudioCodecId> {
    Some(match (bits, flags & FLOAT != 0, flags & BIG_ENDIAN != 0) {
        (8, false, _) if flags & SIGNED == 0 => CODEC_ID_PCM_U8,
        (8, false, _) => CODEC_ID_PCM_S8,
        (16, false, true) => CODEC_ID_PCM_S16BE,
        (16, false, false) => CODEC_ID_PCM_S16LE,
        (24, false, true) => CODEC_ID_PCM_S24BE,
        (24, false, false) => CODEC_ID_PCM_S24LE,
        (32, false, true) => CODEC_ID_PCM_S32BE,
        (32, false, false) => CODEC_ID_PCM_S32LE,
        (32, true, true) => CODEC_ID_PCM_F32BE,
        (32, true, false) => CODEC_ID_PCM_F32LE,
        (64, true, true) => CODEC_ID_PCM_F64BE,
        (64, true, false) => CODEC_ID_PCM_F64LE,
        _ => return None,
    })
}

fn bytes<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Two bytes of the box of this name, from so many on.
fn after(description: &[u8], kind: &[u8; 4], from: usize) -> Option<[u8; 2]> {
    let at = description.windows(4).skip(KIND.end).position(|window| window == kind)? + KIND.end;
    bytes(description, at + 4 + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description of one channel at 16 kHz, with boxes after its fields.
    fn described(kind: &[u8; 4], bits: u8, boxes: &[u8]) -> Vec<u8> {
        let mut body = [0; 44];
        body[12..16].copy_from_slice(kind);
        (body[33], body[35]) = (1, bits);
        body[40..42].copy_from_slice(&16_000u16.to_be_bytes());
        [&body, boxes].concat()
    }

    #[test]
    fn the_order_of_bytes_is_told_by_the_kind_or_a_box() {
        let (little, big) = (&b"\0\0\0\x0aenda\0\x01"[..], &b"\0\0\0\x0aenda\0\0"[..]);
        let coded = |order, width| [b"\0\0\0\x0epcmC\0\0\0\0", &[order, width][..]].concat();
        let cases: [(_, _, Vec<u8>, _); 14] = [
            (b"in24", 16, vec![], CODEC_ID_PCM_S24BE),
            (b"in24", 16, big.to_vec(), CODEC_ID_PCM_S24BE),
            (b"in24", 16, little.to_vec(), CODEC_ID_PCM_S24LE),
            (b"in32", 16, vec![], CODEC_ID_PCM_S32BE),
            (b"fl32", 16, vec![], CODEC_ID_PCM_F32BE),
            (b"fl64", 16, little.to_vec(), CODEC_ID_PCM_F64LE),
            (b"twos", 16, vec![], CODEC_ID_PCM_S16BE),
            (b"twos", 8, vec![], CODEC_ID_PCM_S8),
            (b"sowt", 16, vec![], CODEC_ID_PCM_S16LE),
            (b"raw ", 8, vec![], CODEC_ID_PCM_U8),
            (b"ulaw", 16, vec![], CODEC_ID_PCM_MULAW),
            (b"alaw", 16, vec![], CODEC_ID_PCM_ALAW),
            (b"ipcm", 16, coded(1, 24), CODEC_ID_PCM_S24LE),
            (b"fpcm", 16, coded(0, 32), CODEC_ID_PCM_F32BE),
        ];
        for (kind, bits, boxes, codec) in cases {
            let found = parameters(&described(kind, bits, &boxes)).unwrap().unwrap();
            assert_eq!((found.codec, found.sample_rate), (codec, Some(16_000)), "{}", String::from_utf8_lossy(kind));
        }
        assert!(parameters(&described(b"mp4a", 16, &[])).unwrap().is_none());
        for refused in [
            described(b"lpcm", 16, &[]),
            described(b"ipcm", 16, &[]),
            described(b"sowt", 12, &[]),
            b"\0\0\0\0\0\0\0\0\0\0\0\0sowt".to_vec(),
        ] {
            assert!(parameters(&refused).is_err());
        }
    }

    #[test]
    fn lpcm_says_all_of_itself_in_its_second_version() {
        let mut lpcm = described(b"lpcm", 16, &[0; 36]);
        lpcm[25] = 2;
        lpcm[48..56].copy_from_slice(&48_000f64.to_be_bytes());
        (lpcm[59], lpcm[67]) = (2, 16);
        for (flags, codec) in [(BIG_ENDIAN | SIGNED, CODEC_ID_PCM_S16BE), (SIGNED, CODEC_ID_PCM_S16LE)] {
            lpcm[71] = flags as u8;
            let found = parameters(&lpcm).unwrap().unwrap();
            assert_eq!((found.codec, found.sample_rate, frame_bytes(&found)), (codec, Some(48_000), Some(4)));
        }
    }
}
