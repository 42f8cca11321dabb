//! Power spectrum of 400 real, windowed samples.
//!
//! The samples are packed as 200 complex values. 200 = 8 x 25 with coprime factors, so the prime-factor mapping needs no twiddles between
//! transforms of 8 and of 25 points; the latter are 5 x 5. A last pass separates the packed halves.

use crate::arith::Arith;
use crate::tables::fft400::{HALF_HANN, INNER_COS, INNER_SIN, ROOTS, SPLIT_COS, SPLIT_SIN};

/// Samples per transform.
pub(crate) const FFT_SAMPLES: usize = 400;
/// Bins of the power spectrum, 0 to 8 kHz.
pub(crate) const POWER_BINS: usize = FFT_SAMPLES / 2 + 1;
/// Complex points of the packed transform.
pub(crate) const POINTS: usize = FFT_SAMPLES / 2;

const OUTER: usize = 8;
pub(crate) const INNER: usize = 25;

/// Where the frame's samples come from.
pub(crate) trait Source<A: Arith> {
    /// Sample `n` of the frame, `n < FFT_SAMPLES`.
    fn sample(&self, a: A, n: usize) -> A::V;
}

pub(crate) type Complex<A> = (<A as Arith>::V, <A as Arith>::V);

#[inline(always)]
pub(crate) fn add<A: Arith>(a: A, x: Complex<A>, y: Complex<A>) -> Complex<A> {
    (a.add(x.0, y.0), a.add(x.1, y.1))
}

#[inline(always)]
pub(crate) fn sub<A: Arith>(a: A, x: Complex<A>, y: Complex<A>) -> Complex<A> {
    (a.sub(x.0, y.0), a.sub(x.1, y.1))
}

/// `x - i y`
#[inline(always)]
pub(crate) fn sub_i<A: Arith>(a: A, x: Complex<A>, y: Complex<A>) -> Complex<A> {
    (a.add(x.0, y.1), a.sub(x.1, y.0))
}

/// `x + i y`
#[inline(always)]
pub(crate) fn add_i<A: Arith>(a: A, x: Complex<A>, y: Complex<A>) -> Complex<A> {
    (a.sub(x.0, y.1), a.add(x.1, y.0))
}

#[inline(always)]
pub(crate) fn scale<A: Arith>(a: A, x: Complex<A>, factor: f32) -> Complex<A> {
    let factor = a.splat(factor);
    (a.mul(x.0, factor), a.mul(x.1, factor))
}

#[inline(always)]
pub(crate) fn dft4<A: Arith>(a: A, x: [Complex<A>; 4]) -> [Complex<A>; 4] {
    let (sum02, diff02) = (add(a, x[0], x[2]), sub(a, x[0], x[2]));
    let (sum13, diff13) = (add(a, x[1], x[3]), sub(a, x[1], x[3]));
    [add(a, sum02, sum13), sub_i(a, diff02, diff13), sub(a, sum02, sum13), add_i(a, diff02, diff13)]
}

#[inline(always)]
pub(crate) fn dft8<A: Arith>(a: A, x: [Complex<A>; 8]) -> [Complex<A>; 8] {
    let even = dft4(a, [x[0], x[2], x[4], x[6]]);
    let odd = dft4(a, [x[1], x[3], x[5], x[7]]);
    let half = a.splat(ROOTS[4]);
    // exp(-i pi / 4) = sqrt(1/2) (1 - i) and exp(-3 i pi / 4) = -i sqrt(1/2) (1 - i).
    let turn = |z: Complex<A>| (a.mul(a.add(z.0, z.1), half), a.mul(a.sub(z.1, z.0), half));
    let (odd1, odd3) = (turn(odd[1]), turn(odd[3]));
    [
        add(a, even[0], odd[0]),
        add(a, even[1], odd1),
        sub_i(a, even[2], odd[2]),
        sub_i(a, even[3], odd3),
        sub(a, even[0], odd[0]),
        sub(a, even[1], odd1),
        add_i(a, even[2], odd[2]),
        add_i(a, even[3], odd3),
    ]
}

#[inline(always)]
fn dft5<A: Arith>(a: A, x: [Complex<A>; 5]) -> [Complex<A>; 5] {
    let [cos1, cos2, sin1, sin2, _] = ROOTS;
    let (sum14, diff14) = (add(a, x[1], x[4]), sub(a, x[1], x[4]));
    let (sum23, diff23) = (add(a, x[2], x[3]), sub(a, x[2], x[3]));
    let even1 = add(a, x[0], add(a, scale(a, sum14, cos1), scale(a, sum23, cos2)));
    let even2 = add(a, x[0], add(a, scale(a, sum14, cos2), scale(a, sum23, cos1)));
    let odd1 = add(a, scale(a, diff14, sin1), scale(a, diff23, sin2));
    let odd2 = sub(a, scale(a, diff14, sin2), scale(a, diff23, sin1));
    [add(a, x[0], add(a, sum14, sum23)), sub_i(a, even1, odd1), sub_i(a, even2, odd2), add_i(a, even2, odd2), add_i(a, even1, odd1)]
}

/// 25 points in place; output `k` lands at `5 (k mod 5) + k / 5`.
#[inline(always)]
pub(crate) fn dft25<A: Arith>(a: A, z: &mut [[A::Cell; 2]; INNER]) {
    for column in 0..5 {
        let x =
            [load(a, &z[column]), load(a, &z[5 + column]), load(a, &z[10 + column]), load(a, &z[15 + column]), load(a, &z[20 + column])];
        let y = dft5(a, x);
        store(a, y[0], &mut z[column]);
        for row in 1..5 {
            let turned = if column == 0 {
                y[row]
            } else {
                let (cos, sin) = (a.splat(INNER_COS[4 * row + column - 5]), a.splat(INNER_SIN[4 * row + column - 5]));
                let (re, im) = y[row];
                (a.add(a.mul(re, cos), a.mul(im, sin)), a.sub(a.mul(im, cos), a.mul(re, sin)))
            };
            store(a, turned, &mut z[5 * row + column]);
        }
    }
    for row in z.as_chunks_mut::<5>().0 {
        let y = dft5(a, [load(a, &row[0]), load(a, &row[1]), load(a, &row[2]), load(a, &row[3]), load(a, &row[4])]);
        for (cell, y) in row.iter_mut().zip(y) {
            store(a, y, cell);
        }
    }
}

#[inline(always)]
pub(crate) fn load<A: Arith>(a: A, cell: &[A::Cell; 2]) -> Complex<A> {
    (a.load(&cell[0]), a.load(&cell[1]))
}

#[inline(always)]
pub(crate) fn store<A: Arith>(a: A, z: Complex<A>, cell: &mut [A::Cell; 2]) {
    a.store(z.0, &mut cell[0]);
    a.store(z.1, &mut cell[1]);
}

/// Index of point `k` after the transforms: transform `k mod 8` of 25 points, output `k mod 25` of it.
#[inline(always)]
fn place(k: usize) -> usize {
    let inner = k % INNER;
    INNER * (k % OUTER) + 5 * (inner % 5) + inner / 5
}

/// `|X[k]|^2` of the Hann-windowed frame for `k` in `0..=200`. `z` is scratch.
#[inline(always)]
pub(crate) fn power_spectrum<A: Arith>(a: A, frame: &impl Source<A>, z: &mut [[A::Cell; 2]; POINTS], power: &mut [A::Cell; POWER_BINS]) {
    for column in 0..INNER {
        let x = [0, 1, 2, 3, 4, 5, 6, 7].map(|row| {
            let n = 2 * ((INNER * row + OUTER * column) % POINTS);
            let windowed = |n: usize| a.mul(frame.sample(a, n), a.splat(HALF_HANN[n]));
            (windowed(n), windowed(n + 1))
        });
        for (row, y) in dft8(a, x).into_iter().enumerate() {
            store(a, y, &mut z[INNER * row + column]);
        }
    }
    for row in z.as_chunks_mut::<INNER>().0 {
        dft25(a, row);
    }

    separate(a, z, place, &SPLIT_COS, &SPLIT_SIN, power);
}

/// The power spectrum of `2 N` real samples whose pairs were packed as `N` complex points: |E + T|^2 at k and |conj(E - T)|^2 at N - k, where
/// Z is the packed transform (of the half-scaled frame), E = Z[k] + conj Z[N - k] and T = -i exp(-2 pi i k / 2N) (Z[k] - conj Z[N - k]).
///
/// `z` holds frequency `k` at `place(k)`; `cos` and `sin` are those of 2 pi k / 2N.
#[inline(always)]
pub(crate) fn separate<A: Arith>(
    a: A,
    z: &[[A::Cell; 2]],
    place: impl Fn(usize) -> usize,
    cos: &[f32],
    sin: &[f32],
    power: &mut [A::Cell],
) {
    let points = z.len();
    let (re, im) = load(a, &z[0]);
    let (first, last) = (a.add(re, im), a.sub(re, im));
    let four = a.splat(4.0);
    a.store(a.mul(four, a.mul(first, first)), &mut power[0]);
    a.store(a.mul(four, a.mul(last, last)), &mut power[points]);
    for k in 1..points / 2 {
        let (x, y) = (load(a, &z[place(k)]), load(a, &z[place(points - k)]));
        let even = (a.add(x.0, y.0), a.sub(x.1, y.1));
        let odd = (a.sub(x.0, y.0), a.add(x.1, y.1));
        let (cos, sin) = (a.splat(cos[k]), a.splat(sin[k]));
        // T is (re, -im).
        let re = a.sub(a.mul(odd.1, cos), a.mul(odd.0, sin));
        let im = a.add(a.mul(odd.0, cos), a.mul(odd.1, sin));
        a.store(norm(a, a.add(even.0, re), a.sub(even.1, im)), &mut power[k]);
        a.store(norm(a, a.sub(even.0, re), a.add(even.1, im)), &mut power[points - k]);
    }
    let (re, im) = load(a, &z[place(points / 2)]);
    a.store(a.mul(four, norm(a, re, im)), &mut power[points / 2]);
}

#[inline(always)]
fn norm<A: Arith>(a: A, re: A::V, im: A::V) -> A::V {
    a.add(a.mul(re, re), a.mul(im, im))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::arith::One;
    use rustfft::FftPlanner;
    use rustfft::num_complex::Complex;

    /// |X|^2 of `points` points in f64 through rustfft, with the window by its formula and zeros behind the frame.
    fn oracle(frame: &[f32; FFT_SAMPLES], points: usize) -> Vec<f64> {
        let mut z = vec![Complex::new(0.0, 0.0); points];
        for (n, z) in z[..FFT_SAMPLES].iter_mut().enumerate() {
            let hann = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / FFT_SAMPLES as f64).cos();
            z.re = f64::from(frame[n]) * hann;
        }
        FftPlanner::new().plan_fft_forward(points).process(&mut z);
        z[..points / 2 + 1].iter().map(|x| x.norm_sqr()).collect()
    }

    /// Compares a transform of `points` points with rustfft's on noise, impulses and tones: amplitudes within 4e-7 of the frame's largest.
    pub(crate) fn check_power(points: usize, power_of: impl Fn(&[f32; FFT_SAMPLES]) -> Vec<f32>) {
        let check = |frame: &[f32; FFT_SAMPLES], name: &str| {
            let (power, wanted) = (power_of(frame), oracle(frame, points));
            assert_eq!(power.len(), wanted.len());
            let peak = wanted.iter().fold(0.0f64, |a, &b| a.max(b)).sqrt();
            for (k, (&got, &wanted)) in power.iter().zip(&wanted).enumerate() {
                let error = (f64::from(got).sqrt() - wanted.sqrt()).abs();
                assert!(error <= 4e-7 * peak, "{name}, bin {k}: |X| off by {:.1e} of the peak", error / peak);
            }
        };
        let mut state = 1u32;
        for round in 0..50 {
            let frame = core::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            });
            check(&frame, &format!("noise {round}"));
        }
        for n in 0..FFT_SAMPLES {
            let mut frame = [0.0; FFT_SAMPLES];
            frame[n] = 1.0;
            // The window is 0 at its first sample.
            if n > 0 {
                check(&frame, &format!("impulse at {n}"));
            }
            check(&core::array::from_fn(|t| (0.5 + n as f32 * t as f32 * 0.0078).cos()), &format!("tone {n}"));
        }
    }

    #[test]
    fn power_equals_rustfft() {
        check_power(FFT_SAMPLES, |frame| {
            let (mut z, mut power) = ([[0.0; 2]; POINTS], [0.0; POWER_BINS]);
            power_spectrum(One, frame, &mut z, &mut power);
            power.to_vec()
        });
    }
}
