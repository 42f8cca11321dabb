//! Samples as 16-bit PCM, raw or in a wav file.

/// Bytes before a wav file's samples.
pub const WAV_HEADER: usize = 44;

/// Appends samples as signed 16-bit little-endian: full scale is 32767, what is above it is cut off.
pub fn to_pcm(samples: &[f32], out: &mut Vec<u8>) {
    for sample in samples {
        // Where f32 has no bits below one, adding rounds to even: the sum's low bits are the integer.
        const WHOLE: f32 = 12_582_912.0;
        let value = sample.clamp(-1.0, 1.0) * 32_767.0 + WHOLE;
        out.extend(((value.to_bits() & 0xffff) as u16).to_le_bytes());
    }
}

/// The start of a wav file of one channel with so many samples a second and so many bytes of them; with as many as its fields hold where there
/// are more.
pub fn wav_header(rate: u32, bytes: u64) -> [u8; WAV_HEADER] {
    const SAMPLE: u16 = 2;
    // Whole samples.
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(u32::MAX - WAV_HEADER as u32) & !1;
    let mut header = [0; WAV_HEADER];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(bytes + WAV_HEADER as u32 - 8).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &1u16.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(SAMPLE)).to_le_bytes(),
        &SAMPLE.to_le_bytes(),
        &(8 * SAMPLE).to_le_bytes(),
        b"data",
        &bytes.to_le_bytes(),
    ];
    let mut at = 0;
    for field in fields {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wav_files_are_read_back() {
        let samples = [0.0, 0.5, -1.0, 1.0, 7.0, -7.0, 1.0 / 32_767.0];
        let mut bytes = wav_header(24_000, 2 * samples.len() as u64).to_vec();
        to_pcm(&samples, &mut bytes);
        let mut reader = hound::WavReader::new(&bytes[..]).unwrap();
        assert_eq!(
            reader.spec(),
            hound::WavSpec { channels: 1, sample_rate: 24_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int }
        );
        let values: Vec<i16> = reader.samples().collect::<Result<_, _>>().unwrap();
        assert_eq!(values, [0, 16_384, -32_767, 32_767, 32_767, -32_767, 1]);
    }
}
