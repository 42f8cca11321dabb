//! Resizing as Pillow does it, byte for byte: filters as wide as the reduction asks for, weights of 22 bits, columns before rows
//! (`src/libImaging/Resample.c`; version 13 takes rows first where the height shrinks far more than the width, which can change a byte by
//! one). What networks were trained on was resized so.

use super::{Image, Resample};

/// Bits behind the point of a weight.
const BITS: u32 = 22;

/// The source pixels of one output pixel.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// `image` at another size.
///
/// # Panics
/// If a side is zero, or the result is larger than an image can be.
pub fn resize(image: &Image, width: usize, height: usize, resample: Resample) -> Image {
    assert!(width > 0 && height > 0, "{width} x {height}");
    let (from_width, from_height) = (image.width(), image.height());
    let mut pixels = image.rgb().to_vec();
    if width != from_width {
        let taps = taps(from_width, width, resample);
        let rows = pixels.chunks_exact(3 * from_width);
        pixels = rows.flat_map(|row| taps.iter().flat_map(|taps| taps.of(row, 3, 0))).collect();
    }
    if height != from_height {
        let taps = taps(from_height, height, resample);
        pixels = taps.iter().flat_map(|taps| (0..width).flat_map(|x| taps.of(&pixels, 3 * width, 3 * x)).collect::<Vec<_>>()).collect();
    }
    Image::new(width, pixels).unwrap_or_else(|| panic!("{width} x {height}"))
}

impl Taps {
    /// The three colours from pixels `stride` bytes apart, the first of all at `offset`.
    fn of(&self, pixels: &[u8], stride: usize, offset: usize) -> [u8; 3] {
        let mut sums = [1i32 << (BITS - 1); 3];
        for (i, &weight) in self.weights.iter().enumerate() {
            let pixel = &pixels[(self.first + i) * stride + offset..][..3];
            for (sum, &colour) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(colour) * weight;
            }
        }
        sums.map(|sum| (sum >> BITS).clamp(0, 255) as u8)
    }
}

fn taps(from: usize, to: usize, resample: Resample) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reduction = scale.max(1.0);
    let support = resample.support() * reduction;
    let one = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        // Casts cut towards zero, and below zero to zero.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|x| resample.weight((x as f64 - centre + 0.5) / reduction)).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let scaled = weight / total * f64::from(1 << BITS);
            (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        };
        Taps { first, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}

impl Resample {
    /// How far the filter reaches, in pixels of the output.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(width: usize, height: usize) -> Image {
        let rgb = (0..height * width).flat_map(|i| [i * 37 % 256, i * i % 251, i * 11 % 253].map(|x| x as u8)).collect();
        Image::new(width, rgb).unwrap()
    }

    #[test]
    fn bytes_are_pillows() {
        // Image.fromarray(pattern).resize((width, height), resample): the sum of i * byte over all bytes i.
        let cases = [
            ((7, 5), (14, 10), Resample::Bilinear, 10145042),
            ((7, 5), (14, 10), Resample::Bicubic, 10180373),
            ((64, 48), (32, 32), Resample::Bilinear, 577724139),
            ((64, 48), (32, 32), Resample::Bicubic, 577323160),
            ((31, 57), (9, 57), Resample::Bilinear, 144116806),
            ((31, 57), (9, 57), Resample::Bicubic, 144159014),
            ((20, 20), (20, 7), Resample::Bilinear, 10702666),
            ((20, 20), (20, 7), Resample::Bicubic, 10710407),
            ((300, 200), (33, 21), Resample::Bilinear, 263901442),
            ((300, 200), (33, 21), Resample::Bicubic, 263893066),
        ];
        for (from, to, resample, wanted) in cases {
            let resized = resize(&pattern(from.0, from.1), to.0, to.1, resample);
            let sum: u64 = resized.rgb().iter().enumerate().map(|(i, &byte)| i as u64 * u64::from(byte)).sum();
            assert_eq!((resized.width(), resized.height(), sum), (to.0, to.1, wanted), "{from:?} to {to:?}, {resample:?}");
        }
    }

    #[test]
    fn one_colour_stays() {
        let grey = Image::new(5, vec![131; 3 * 5 * 7]).unwrap();
        for resample in [Resample::Bilinear, Resample::Bicubic] {
            assert!(resize(&grey, 9, 3, resample).rgb().iter().all(|&byte| byte == 131));
        }
    }
}
