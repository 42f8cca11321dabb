//! Samples to spectra and back.

use ossicle_kernels::math::log;
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use super::{BINS, CURVE, WINDOW};
use crate::arith::One;
use crate::fft512::{POINTS, place, transform};
use crate::tables::fft512::COS;

const _: () = assert!(POINTS == WINDOW);

/// What is added to a magnitude before its logarithm is taken.
const FLOOR: f32 = 3e-4;
/// Half of the window's sum: the magnitude of a sine of amplitude 1.
pub(super) const FULL: f32 = WINDOW as f32 / 4.0;
/// Sum of the squared window: the mean power of white noise of variance 1 in a bin.
pub(super) const NOISE: f32 = WINDOW as f32 * 0.375;

/// The Hann window.
#[inline(always)]
pub(super) fn hann(n: usize) -> f32 {
    0.5 - 0.5 * COS[if n > WINDOW / 2 { WINDOW - n } else { n }]
}

/// A spectrum, its real and its imaginary parts; phases are those in the middle of the window.
#[derive(Clone, Copy)]
pub(super) struct Spectrum {
    pub(super) re: [f32; CURVE],
    pub(super) im: [f32; CURVE],
}

impl Spectrum {
    pub(super) const ZERO: Self = Self { re: [0.0; CURVE], im: [0.0; CURVE] };

    /// Of windowed samples.
    pub(super) fn of(samples: &[f32; WINDOW]) -> Self {
        let mut points = [[0.0; 2]; POINTS];
        for (n, (point, sample)) in points.iter_mut().zip(samples).enumerate() {
            point[0] = sample * hann(n);
        }
        transform(One, &mut points);
        let mut spectrum = Self::ZERO;
        for k in 0..BINS {
            // Half of the window after its first sample: every second bin turns by half.
            let [re, im] = points[place(k)];
            (spectrum.re[k], spectrum.im[k]) = if k % 2 == 0 { (re, im) } else { (-re, -im) };
        }
        spectrum
    }

    /// The samples that it is of, times the window.
    pub(super) fn samples(&self) -> [f32; WINDOW] {
        let mut points = [[0.0; 2]; POINTS];
        for (k, point) in points.iter_mut().enumerate() {
            // The bins after the middle are the conjugates of those before. Real and imaginary parts are exchanged, so that the transform
            // runs backwards; what has no partner is real.
            let own = if k < BINS { k } else { WINDOW - k };
            let (re, im) = if own % 2 == 0 { (self.re[own], self.im[own]) } else { (-self.re[own], -self.im[own]) };
            *point = match own {
                0 | POINTS_HALF => [0.0, re],
                _ if k < BINS => [im, re],
                _ => [-im, re],
            };
        }
        transform(One, &mut points);
        core::array::from_fn(|n| points[place(n)][1] * (1.0 / WINDOW as f32) * hann(n))
    }
}

const POINTS_HALF: usize = POINTS / 2;

/// `ln(|X| + 0.0003)` of the bins of 256 samples, full scale at 0; values after the last bin are 0.
pub fn analyze(isa: Isa, samples: &[f32; WINDOW], out: &mut [f32; CURVE]) {
    let spectrum = Spectrum::of(samples);
    isa.dispatch(Logs { spectrum: &spectrum, out });
    out[BINS..].fill(0.0);
}

/// Logarithms of magnitudes.
struct Logs<'a> {
    spectrum: &'a Spectrum,
    out: &'a mut [f32; CURVE],
}

impl SimdOp for Logs<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Spectrum { re, im } = self.spectrum;
        let parts = re.as_chunks::<LANES>().0.iter().zip(im.as_chunks::<LANES>().0);
        for ((re, im), out) in parts.zip(self.out.as_chunks_mut::<LANES>().0) {
            let magnitude = s.mul(magnitude(s, s.load(re), s.load(im)), s.splat(1.0 / FULL));
            s.store(log(s, s.add(magnitude, s.splat(FLOOR))), out);
        }
    }
}

#[inline(always)]
pub(super) fn magnitude<S: Simd>(s: S, re: S::F32, im: S::F32) -> S::F32 {
    s.sqrt(s.add(s.mul(re, re), s.mul(im, im)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_under_the_squared_window() {
        let samples: [f32; WINDOW] = std::array::from_fn(|n| ((n * n * 37 + n) % 101) as f32 / 101.0 - 0.5);
        let back = Spectrum::of(&samples).samples();
        for (n, (a, b)) in samples.iter().zip(back).enumerate() {
            assert!((a * hann(n) * hann(n) - b).abs() < 1e-6, "sample {n}");
        }
    }

    #[test]
    fn a_spectrum_is_that_of_the_formula() {
        let samples: [f32; WINDOW] = std::array::from_fn(|n| ((n * n * 31 + 5 * n) % 89) as f32 / 89.0 - 0.5);
        let spectrum = Spectrum::of(&samples);
        for k in 0..BINS {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in samples.iter().enumerate() {
                let window = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / WINDOW as f64).cos();
                let phase = -std::f64::consts::TAU * k as f64 * (n as f64 - 128.0) / WINDOW as f64;
                re += f64::from(*x) * window * phase.cos();
                im += f64::from(*x) * window * phase.sin();
            }
            assert!((re - f64::from(spectrum.re[k])).abs() < 1e-5 && (im - f64::from(spectrum.im[k])).abs() < 1e-5, "bin {k}");
        }
    }
}
