//! Resizing as Pillow does it, byte for byte: filters as wide as the reduction asks for, weights of 22 bits, columns before rows
//! (`src/libImaging/Resample.c`; version 13 takes rows first where the height shrinks far more than the width, which can change a byte by
//! one). What networks were trained on was resized so.

use std::ops::Range;

use super::{Image, Resample};

/// Bits behind the point of a weight.
const BITS: u32 = 22;

/// The source pixels of one output pixel.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// A part of `image` at another size: what `columns` and `rows` are of it if the whole is brought to `width` and `height`,
/// `[rows][columns][3]`. Nothing else is computed, so memory goes with what is asked for, not with the whole.
///
/// # Panics
/// If a part is empty, or reaches beyond the size.
pub(super) fn resize(
    image: &Image,
    (width, height): (usize, usize),
    (columns, rows): (Range<usize>, Range<usize>),
    resample: Resample,
) -> Vec<u8> {
    assert!(!columns.is_empty() && columns.end <= width && !rows.is_empty() && rows.end <= height, "{columns:?}, {rows:?}");
    let across = taps(image.width(), width, columns, resample);
    let down = taps(image.height(), height, rows, resample);
    let stride = 3 * across.len();
    let mut sums = vec![1i32 << (BITS - 1); stride * down.len()];
    let mut row = vec![0; stride];
    // Of the output rows, the first that the source row is not above, and the first that it does not reach.
    let (mut done, mut reached) = (0, 0);
    for y in down.first().map_or(0, |taps| taps.first)..down.last().map_or(0, Taps::end) {
        while done < down.len() && down[done].end() <= y {
            done += 1;
        }
        while reached < down.len() && down[reached].first <= y {
            reached += 1;
        }
        let source = &image.rgb()[3 * image.width() * y..][..3 * image.width()];
        row.as_chunks_mut::<3>().0.iter_mut().zip(&across).for_each(|(pixel, taps)| *pixel = taps.of(source));
        for (taps, sums) in down[done..reached].iter().zip(sums[done * stride..].chunks_exact_mut(stride)) {
            let weight = taps.weights[y - taps.first];
            sums.iter_mut().zip(&row).for_each(|(sum, &byte)| *sum += i32::from(byte) * weight);
        }
    }
    sums.into_iter().map(byte).collect()
}

/// A sum of weighted bytes as a byte.
fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

impl Taps {
    /// Behind the last pixel.
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    /// The three colours from a row of pixels.
    fn of(&self, pixels: &[u8]) -> [u8; 3] {
        let mut sums = [1i32 << (BITS - 1); 3];
        for (&weight, pixel) in self.weights.iter().zip(pixels[3 * self.first..].as_chunks::<3>().0) {
            for (sum, &colour) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(colour) * weight;
            }
        }
        sums.map(byte)
    }
}

/// The taps of pixels `part` of `to`.
fn taps(from: usize, to: usize, part: Range<usize>, resample: Resample) -> Vec<Taps> {
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
    part.map(one).collect()
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
            let image = pattern(from.0, from.1);
            let resized = resize(&image, to, (0..to.0, 0..to.1), resample);
            let sum: u64 = resized.iter().enumerate().map(|(i, &byte)| i as u64 * u64::from(byte)).sum();
            assert_eq!((resized.len(), sum), (3 * to.0 * to.1, wanted), "{from:?} to {to:?}, {resample:?}");
            // A part is what it is of the whole.
            let (columns, rows) = (to.0 / 3..to.0 - 1, to.1 / 4..to.1 / 2);
            let part = resize(&image, to, (columns.clone(), rows.clone()), resample);
            let cut = rows.flat_map(|row| &resized[3 * to.0 * row..][3 * columns.start..3 * columns.end]).copied();
            assert_eq!(part, cut.collect::<Vec<_>>(), "{from:?} to {to:?}, {resample:?}");
        }
    }

    #[test]
    fn the_middle_of_a_thin_image_is_computed_alone() {
        // The whole would be 64 GB.
        let thin = Image::new(1, (0..3 * 32_768).map(|i| (i / 384) as u8).collect()).unwrap();
        let (width, height) = (800, 800 * 32_768);
        for resample in [Resample::Bilinear, Resample::Bicubic] {
            let part = resize(&thin, (width, height), (398..402, height / 2 - 2..height / 2 + 2), resample);
            assert_eq!(part, [[127; 24], [128; 24]].concat());
        }
    }

    #[test]
    fn one_colour_stays() {
        let grey = Image::new(5, vec![131; 3 * 5 * 7]).unwrap();
        for resample in [Resample::Bilinear, Resample::Bicubic] {
            assert!(resize(&grey, (9, 3), (0..9, 0..3), resample).iter().all(|&byte| byte == 131));
        }
    }
}
