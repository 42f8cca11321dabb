//! Samples as FLAC: RFC 9639, one channel of 16 bits, fixed predictors and Rice codes.

/// Samples of a frame: 0.17 s.
const BLOCK: usize = 4096;
/// Halvings of a whole block into parts with a Rice parameter each.
const PARTS_LOG2: u32 = 4;
/// The largest Rice parameter of 4 bits; 15 means something else.
const MAX_RICE: u32 = 14;
/// The largest order of a fixed predictor.
const MAX_ORDER: usize = 4;

/// Bytes before a FLAC file's frames.
pub const FLAC_HEADER: usize = 42;

/// The start of a FLAC file with so many samples a second, and so many in all; 0 if that is not known.
pub fn flac_header(rate: u32, samples: u64) -> [u8; FLAC_HEADER] {
    const CHANNELS: u64 = 1;
    const BITS: u64 = 16;
    let samples = if samples >> 36 == 0 { samples } else { 0 };
    let shape = u64::from(rate & 0xf_ffff) << 44 | (CHANNELS - 1) << 41 | (BITS - 1) << 36 | samples;
    let mut header = [0; FLAC_HEADER];
    header[..4].copy_from_slice(b"fLaC");
    // The last block of metadata, of 34 bytes. Sizes of frames and the sum of all samples are not given.
    header[4..8].copy_from_slice(&[0x80, 0, 0, 34]);
    header[8..10].copy_from_slice(&(BLOCK as u16).to_be_bytes());
    header[10..12].copy_from_slice(&(BLOCK as u16).to_be_bytes());
    header[18..26].copy_from_slice(&shape.to_be_bytes());
    header
}

/// Makes frames of samples.
#[derive(Debug)]
pub struct FlacEncoder {
    block: Vec<i16>,
    residual: Vec<i32>,
    bits: Bits,
    frames: u32,
}

impl Default for FlacEncoder {
    fn default() -> Self {
        let bits = Bits { bytes: Vec::with_capacity(2 * BLOCK + 64), held: 0, count: 0 };
        Self { block: Vec::with_capacity(BLOCK), residual: Vec::with_capacity(BLOCK), bits, frames: 0 }
    }
}

impl FlacEncoder {
    /// Appends the frames that are whole with these samples: signed 16-bit little-endian; half a sample at the end is left out.
    pub fn push(&mut self, samples: &[u8], out: &mut Vec<u8>) {
        for &sample in samples.as_chunks().0 {
            self.block.push(i16::from_le_bytes(sample));
            if self.block.len() == BLOCK {
                self.frame(out);
            }
        }
    }

    /// Appends what is left as a shorter frame.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.block.is_empty() {
            self.frame(out);
        }
    }

    fn frame(&mut self, out: &mut Vec<u8>) {
        let Self { block, residual, bits, frames } = self;
        bits.bytes.clear();
        bits.put(0xfff8, 16);
        // 4096 samples, or a number of them behind the number of the frame; the rate is that of the header.
        let whole = block.len() == BLOCK;
        bits.put(if whole { 0b1100_0000 } else { 0b0111_0000 }, 8);
        // One channel, 16 bits.
        bits.put(0b0000_1000, 8);
        number(*frames, bits);
        if !whole {
            bits.put(block.len() as u32 - 1, 16);
        }
        let sum = crc8(&bits.bytes);
        bits.put(sum.into(), 8);
        subframe(block, residual, bits);
        bits.align();
        let sum = crc16(&bits.bytes);
        bits.put(sum.into(), 16);
        out.extend_from_slice(&bits.bytes);
        *frames += 1;
        block.clear();
    }
}

fn subframe(block: &[i16], residual: &mut Vec<i32>, bits: &mut Bits) {
    if block.iter().all(|sample| *sample == block[0]) {
        bits.put(0, 8);
        return bits.put(block[0] as u16 as u32, 16);
    }
    let orders = 0..=MAX_ORDER.min(block.len() - 1);
    let cost = |order: usize| differences(block, order).map(|value| u64::from(value.unsigned_abs())).sum::<u64>();
    let order = orders.min_by_key(|order| cost(*order)).unwrap_or(0);
    residual.clear();
    residual.extend(differences(block, order));
    let log2 = if block.len() == BLOCK { PARTS_LOG2 } else { 0 };
    let part = block.len() >> log2;
    // The first part has no residual for the samples that the others are predicted from.
    let parts = || (0..1usize << log2).map(|at| (at * part).saturating_sub(order)..((at + 1) * part).saturating_sub(order));
    let plain = 16 * block.len() as u64;
    let coded: u64 = parts().map(|range| 4 + rice(&residual[range]).1).sum();
    if coded + 16 * order as u64 + 6 >= plain {
        bits.put(0b0000_0010, 8);
        return block.iter().for_each(|sample| bits.put(*sample as u16 as u32, 16));
    }
    bits.put((0b1000 + order as u32) << 1, 8);
    block[..order].iter().for_each(|sample| bits.put(*sample as u16 as u32, 16));
    bits.put(log2, 6);
    for range in parts() {
        let values = &residual[range];
        let parameter = rice(values).0;
        bits.put(parameter, 4);
        for &value in values {
            let folded = fold(value);
            (0..folded >> parameter).for_each(|_| bits.put(0, 1));
            bits.put(1, 1);
            bits.put(folded & ((1 << parameter) - 1), parameter);
        }
    }
}

/// What is left of samples behind the first `order` when each is predicted from those before it.
fn differences(block: &[i16], order: usize) -> impl Iterator<Item = i32> {
    const WEIGHTS: [[i32; MAX_ORDER + 1]; MAX_ORDER + 1] =
        [[1, 0, 0, 0, 0], [1, -1, 0, 0, 0], [1, -2, 1, 0, 0], [1, -3, 3, -1, 0], [1, -4, 6, -4, 1]];
    block
        .windows(order + 1)
        .map(move |samples| samples.iter().rev().zip(WEIGHTS[order]).map(|(sample, weight)| i32::from(*sample) * weight).sum())
}

/// Signed numbers as unsigned ones, small where they are near 0.
fn fold(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// The best Rice parameter, and the bits that the values take with it.
fn rice(values: &[i32]) -> (u32, u64) {
    let bits = |parameter: u32| values.iter().map(|&value| u64::from((fold(value) >> parameter) + 1 + parameter)).sum::<u64>();
    // About the logarithm of the mean; its neighbours may be better by a little.
    let sum: u64 = values.iter().map(|&value| u64::from(fold(value))).sum();
    let near = (sum / (values.len() as u64).max(1)).checked_ilog2().unwrap_or(0).min(MAX_RICE);
    (near.saturating_sub(1)..=(near + 1).min(MAX_RICE))
        .map(|parameter| (parameter, bits(parameter)))
        .min_by_key(|choice| choice.1)
        .unwrap_or((0, 0))
}

/// A frame's number as UTF-8 writes characters, up to 36 bits (here 31).
fn number(value: u32, bits: &mut Bits) {
    if value < 0x80 {
        return bits.put(value, 8);
    }
    // Six bits in each byte behind the first, which has as many ones in front as there are bytes.
    let more = (1..=5).find(|more| value >> (6 * more) < 1 << (6 - more)).unwrap_or(5);
    let lead = 0xff00_u32 >> (more + 1) & 0xff;
    bits.put(lead | value >> (6 * more), 8);
    (0..more).rev().for_each(|at| bits.put(0x80 | value >> (6 * at) & 0x3f, 8));
}

/// Bytes from bits, the first of them highest.
#[derive(Debug)]
struct Bits {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.held = self.held << count | u64::from(value);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.held >> self.count) as u8);
        }
        self.held &= (1 << self.count) - 1;
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count) % 8);
    }
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 }))
}

fn crc16(bytes: &[u8]) -> u16 {
    let step = |crc: u16| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::AudioReader;

    fn encode(samples: &[i16], step: usize) -> Vec<u8> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let (mut out, mut encoder) = (flac_header(16_000, samples.len() as u64).to_vec(), FlacEncoder::default());
        bytes.chunks(2 * step).for_each(|part| encoder.push(part, &mut out));
        encoder.finish(&mut out);
        out
    }

    fn decode(bytes: Vec<u8>) -> Vec<i16> {
        let samples = AudioReader::bytes(bytes, ossicle_kernels::simd::Isa::detect()).unwrap().read_to_end().unwrap();
        samples.iter().map(|sample| (sample * 32_768.0) as i16).collect()
    }

    #[test]
    fn speech_like_silent_and_loud_samples_read_back() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        let tone: Vec<i16> = (0..20_000).map(|at| ((f64::from(at) * 0.05).sin() * 9000.0) as i16).collect();
        let extremes: Vec<i16> = (0..9000).map(|at| if at % 2 == 0 { i16::MIN } else { i16::MAX }).collect();
        let loud: Vec<i16> = (0..9000).map(|_| noise()).collect();
        let steps: Vec<i16> = (0..9000).map(|at| if at < 5000 { 0 } else { 12_345 }).collect();
        for (samples, most) in [(&tone, 20_000), (&vec![0; 10_000], 200), (&extremes, 18_400), (&loud, 18_400), (&steps, 2000)] {
            for step in [1, 1000, 30_000] {
                let bytes = encode(samples, step);
                assert!(bytes.len() < most, "{} bytes", bytes.len());
                assert_eq!(&decode(bytes), samples);
            }
        }
        // More frames than numbers of one byte.
        let long = vec![7; BLOCK * 200 + 1];
        assert_eq!(decode(encode(&long, 4000)), long);
    }

    #[test]
    fn numbers_are_written_as_characters_are() {
        for value in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x1_0000, 0x10_ffff] {
            let mut bits = Bits { bytes: vec![], held: 0, count: 0 };
            number(value, &mut bits);
            assert_eq!(bits.bytes, char::from_u32(value).unwrap().to_string().as_bytes(), "{value:x}");
        }
    }

    proptest! {
        #[test]
        fn any_samples_read_back(samples in proptest::collection::vec(any::<i16>(), 1..40), shift in 0u32..15) {
            let samples: Vec<i16> = samples.iter().map(|sample| sample >> shift).collect();
            prop_assert_eq!(decode(encode(&samples, 7)), samples);
        }
    }
}
