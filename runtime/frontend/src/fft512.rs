//! Power spectrum of 400 real, windowed samples, as a transform of 512.
//!
//! The samples are packed as 256 complex values, of which 200 are not zero: four passes of radix 4 (decimation in frequency, in place, the
//! output in reversed order), then a pass that separates the packed halves, as in [`fft`](crate::fft).

use crate::arith::Arith;
use crate::fft::{FFT_SAMPLES, Source, dft4, load, separate, store};
use crate::tables::fft400::HALF_HANN;
use crate::tables::fft512::{COS, SIN, SPLIT_COS, SPLIT_SIN};

/// Complex points of the packed transform.
pub(crate) const POINTS: usize = 256;
/// Bins of the power spectrum, 0 to 8 kHz.
pub(crate) const POWER_BINS: usize = POINTS + 1;

/// Where the transform leaves frequency `k`: its four digits of base 4, reversed.
#[inline(always)]
pub(crate) fn place(k: usize) -> usize {
    (k & 3) << 6 | (k >> 2 & 3) << 4 | (k >> 4 & 3) << 2 | k >> 6
}

/// `|X[k]|^2` of the Hann-windowed frame, zeros behind it, for `k` in `0..=256`. `z` is scratch.
#[inline(always)]
pub(crate) fn power_spectrum<A: Arith>(a: A, frame: &impl Source<A>, z: &mut [[A::Cell; 2]; POINTS], power: &mut [A::Cell; POWER_BINS]) {
    for (n, cell) in z.iter_mut().enumerate() {
        if 2 * n < FFT_SAMPLES {
            let re = a.mul(frame.sample(a, 2 * n), a.splat(HALF_HANN[2 * n]));
            let im = a.mul(frame.sample(a, 2 * n + 1), a.splat(HALF_HANN[2 * n + 1]));
            store(a, (re, im), cell);
        } else {
            store(a, (a.splat(0.0), a.splat(0.0)), cell);
        }
    }
    transform(a, z);
    separate(a, z, place, &SPLIT_COS, &SPLIT_SIN, power);
}

/// The transform of 256 points in place; frequency `k` lands at `place(k)`.
#[inline(always)]
pub(crate) fn transform<A: Arith>(a: A, z: &mut [[A::Cell; 2]; POINTS]) {
    for quarter in [64, 16, 4, 1] {
        for block in z.chunks_exact_mut(4 * quarter) {
            pass(a, block, quarter);
        }
    }
}

/// One pass over a block of `4 * quarter` points: transforms of 4, then the turn by `exp(-2 pi i j k / (4 quarter))`.
#[inline(always)]
fn pass<A: Arith>(a: A, block: &mut [[A::Cell; 2]], quarter: usize) {
    let step = POINTS / (4 * quarter);
    for j in 0..quarter {
        let x = [load(a, &block[j]), load(a, &block[j + quarter]), load(a, &block[j + 2 * quarter]), load(a, &block[j + 3 * quarter])];
        let y = dft4(a, x);
        store(a, y[0], &mut block[j]);
        for (k, (re, im)) in y.into_iter().enumerate().skip(1) {
            let cell = &mut block[j + k * quarter];
            if j == 0 {
                store(a, (re, im), cell);
            } else {
                let (cos, sin) = (a.splat(COS[j * k * step]), a.splat(SIN[j * k * step]));
                let turned = (a.add(a.mul(re, cos), a.mul(im, sin)), a.sub(a.mul(im, cos), a.mul(re, sin)));
                store(a, turned, cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::One;

    #[test]
    fn power_equals_rustfft() {
        crate::fft::tests::check_power(512, |frame| {
            let (mut z, mut power) = ([[0.0; 2]; POINTS], [0.0; POWER_BINS]);
            power_spectrum(One, frame, &mut z, &mut power);
            power.to_vec()
        });
    }
}
