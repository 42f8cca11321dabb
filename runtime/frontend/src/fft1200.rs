//! Spectrum of 1200 real samples and back.
//!
//! The samples are packed as 600 complex values. 600 = 8 x 3 x 25 with coprime factors, so the prime-factor mapping needs no twiddles between
//! the transforms. A last pass separates the packed halves, and a first one joins them for the way back.

use crate::arith::Arith;
use crate::fft::{Complex, INNER, add, add_i, dft8, dft25, load, scale, store, sub, sub_i};
use crate::tables::fft1200::{SPLIT_COS, SPLIT_SIN};

/// Samples per transform.
pub(crate) const SAMPLES: usize = 1200;
/// Bins of the spectrum, the first and the last of them real.
pub(crate) const BINS: usize = SAMPLES / 2 + 1;
/// Complex points of the packed transform.
pub(crate) const POINTS: usize = SAMPLES / 2;

const OUTER: usize = 8;
const MIDDLE: usize = 3;
/// sin(2 pi / 3)
const SIN_THIRD: f32 = 0.866_025_4;

/// Where the packed values come from.
pub(crate) trait Packed<A: Arith> {
    /// Value `n` of [`POINTS`].
    fn point(&self, a: A, n: usize) -> Complex<A>;
}

#[inline(always)]
fn dft3<A: Arith>(a: A, x: [Complex<A>; 3]) -> [Complex<A>; 3] {
    let (sum, difference) = (add(a, x[1], x[2]), scale(a, sub(a, x[1], x[2]), SIN_THIRD));
    let middle = sub(a, x[0], scale(a, sum, 0.5));
    [add(a, x[0], sum), sub_i(a, middle, difference), add_i(a, middle, difference)]
}

/// Transforms the packed values; output `k` lands at [`place`]`(k)`.
#[inline(always)]
pub(crate) fn transform<A: Arith>(a: A, source: &impl Packed<A>, z: &mut [[A::Cell; 2]; POINTS]) {
    for third in 0..MIDDLE {
        for column in 0..INNER {
            let mut x = [(a.splat(0.0), a.splat(0.0)); OUTER];
            for (row, x) in x.iter_mut().enumerate() {
                *x = source.point(a, (MIDDLE * INNER * row + OUTER * INNER * third + OUTER * MIDDLE * column) % POINTS);
            }
            for (row, y) in dft8(a, x).into_iter().enumerate() {
                store(a, y, &mut z[(MIDDLE * row + third) * INNER + column]);
            }
        }
    }
    for row in z.as_chunks_mut::<{ MIDDLE * INNER }>().0 {
        for column in 0..INNER {
            let x = [load(a, &row[column]), load(a, &row[INNER + column]), load(a, &row[2 * INNER + column])];
            for (third, y) in dft3(a, x).into_iter().enumerate() {
                store(a, y, &mut row[INNER * third + column]);
            }
        }
    }
    for row in z.as_chunks_mut::<INNER>().0 {
        dft25(a, row);
    }
}

/// Index of point `k` after the transform.
#[inline(always)]
pub(crate) fn place(k: usize) -> usize {
    let inner = k % INNER;
    INNER * (MIDDLE * (k % OUTER) + k % MIDDLE) + 5 * (inner % 5) + inner / 5
}

/// Twice the spectrum of real samples whose pairs were packed and transformed.
///
/// With E = Z[k] + conj Z[N - k] and T = -i exp(-2 pi i k / 2N) (Z[k] - conj Z[N - k]) it is E + T at k and conj(E - T) at N - k.
#[inline(always)]
pub(crate) fn separate<A: Arith>(a: A, z: &[[A::Cell; 2]; POINTS], spectrum: &mut [[A::Cell; 2]; BINS]) {
    let zero = a.splat(0.0);
    let (re, im) = load(a, &z[0]);
    let (first, last) = (a.add(re, im), a.sub(re, im));
    store(a, (a.add(first, first), zero), &mut spectrum[0]);
    store(a, (a.add(last, last), zero), &mut spectrum[POINTS]);
    for k in 1..POINTS / 2 {
        let (x, y) = (load(a, &z[place(k)]), load(a, &z[place(POINTS - k)]));
        let even = (a.add(x.0, y.0), a.sub(x.1, y.1));
        let odd = (a.sub(x.0, y.0), a.add(x.1, y.1));
        let (cos, sin) = (a.splat(SPLIT_COS[k]), a.splat(SPLIT_SIN[k]));
        // T is (re, -im).
        let re = a.sub(a.mul(odd.1, cos), a.mul(odd.0, sin));
        let im = a.add(a.mul(odd.0, cos), a.mul(odd.1, sin));
        store(a, (a.add(even.0, re), a.sub(even.1, im)), &mut spectrum[k]);
        store(a, (a.sub(even.0, re), a.sub(zero, a.add(even.1, im))), &mut spectrum[POINTS - k]);
    }
    let (re, im) = load(a, &z[place(POINTS / 2)]);
    store(a, (a.add(re, re), a.sub(zero, a.add(im, im))), &mut spectrum[POINTS / 2]);
}

/// Joins a spectrum, in place, to what [`transform`] makes [`SAMPLES`] times the packed samples of, with the parts of each complex value
/// exchanged before and after. What is imaginary in the first and the last bin is left out.
///
/// With E = S[k] + conj S[N - k] and U = i exp(2 pi i k / 2N) (S[k] - conj S[N - k]) it is E + U at k and conj(E - U) at N - k.
#[inline(always)]
pub(crate) fn join<A: Arith>(a: A, spectrum: &mut [[A::Cell; 2]; BINS]) {
    let (first, last) = (a.load(&spectrum[0][0]), a.load(&spectrum[POINTS][0]));
    store(a, (a.add(first, last), a.sub(first, last)), &mut spectrum[0]);
    let zero = a.splat(0.0);
    for k in 1..POINTS / 2 {
        let (x, y) = (load(a, &spectrum[k]), load(a, &spectrum[POINTS - k]));
        let even = (a.add(x.0, y.0), a.sub(x.1, y.1));
        let odd = (a.sub(x.0, y.0), a.add(x.1, y.1));
        let (cos, sin) = (a.splat(SPLIT_COS[k]), a.splat(SPLIT_SIN[k]));
        // U is (-re, im).
        let re = a.add(a.mul(odd.0, sin), a.mul(odd.1, cos));
        let im = a.sub(a.mul(odd.0, cos), a.mul(odd.1, sin));
        store(a, (a.sub(even.0, re), a.add(even.1, im)), &mut spectrum[k]);
        store(a, (a.add(even.0, re), a.sub(im, even.1)), &mut spectrum[POINTS - k]);
    }
    let (re, im) = load(a, &spectrum[POINTS / 2]);
    store(a, (a.add(re, re), a.sub(zero, a.add(im, im))), &mut spectrum[POINTS / 2]);
}

/// A joined spectrum, the parts of each value exchanged.
pub(crate) struct Exchanged<'a, A: Arith>(pub(crate) &'a [[A::Cell; 2]; BINS]);

impl<A: Arith> Packed<A> for Exchanged<'_, A> {
    #[inline(always)]
    fn point(&self, a: A, n: usize) -> Complex<A> {
        let (re, im) = load(a, &self.0[n]);
        (im, re)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::One;
    use rustfft::FftPlanner;
    use rustfft::num_complex::Complex as Point;

    struct Samples([f32; SAMPLES]);

    impl Packed<One> for Samples {
        fn point(&self, _: One, n: usize) -> (f32, f32) {
            (self.0[2 * n], self.0[2 * n + 1])
        }
    }

    fn noise(seed: u32) -> [f32; SAMPLES] {
        let mut state = seed;
        core::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
    }

    #[test]
    fn spectra_equal_rustfft_and_lead_back() {
        let impulse = |at: usize| core::array::from_fn(|n| if n == at { 1.0 } else { 0.0 });
        let frames = (0..20).map(noise).chain([0, 1, 2, 599, 600, 1199].map(impulse));
        for (round, samples) in frames.enumerate() {
            let (mut z, mut spectrum) = ([[0.0; 2]; POINTS], [[0.0; 2]; BINS]);
            transform(One, &Samples(samples), &mut z);
            separate(One, &z, &mut spectrum);
            let mut wanted: Vec<Point<f64>> = samples.iter().map(|&x| Point::new(f64::from(x), 0.0)).collect();
            FftPlanner::new().plan_fft_forward(SAMPLES).process(&mut wanted);
            let peak = wanted.iter().fold(0.0f64, |most, x| most.max(x.norm()));
            for (k, (got, want)) in spectrum.iter().zip(&wanted).enumerate() {
                let error = (Point::new(f64::from(got[0]), f64::from(got[1])) / 2.0 - want).norm();
                assert!(error <= 5e-7 * peak, "frame {round}, bin {k}: off by {:.1e} of the peak", error / peak);
            }
            join(One, &mut spectrum);
            transform(One, &Exchanged::<One>(&spectrum), &mut z);
            for (n, &sample) in samples.iter().enumerate() {
                let got = z[place(n / 2)][1 - n % 2] / (2 * SAMPLES) as f32;
                assert!((got - sample).abs() < 2e-6, "frame {round}, sample {n}: {got}, not {sample}");
            }
        }
    }
}
