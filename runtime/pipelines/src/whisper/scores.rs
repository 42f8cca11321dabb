//! What is computed on logits, with the same bits on every instruction set.
//!
//! Sums follow rule 3 of the numerics contract (16 lanes, folded 8, 4, 2, 1) and the exponential is our own. Masked logits are
//! [`f32::NEG_INFINITY`].

use ossicle_kernels::math;
use ossicle_kernels::simd::{Isa, LANES, Scalar, Simd, SimdOp};

/// Differences from the largest logit are not taken below this; `exp` of it (1.6e-38) no longer moves a sum that is at least 1.
const LOWEST: f32 = -87.0;

/// The largest logit, or negative infinity if every logit is masked or there is none.
pub fn max(isa: Isa, logits: &[f32]) -> f32 {
    isa.dispatch(Max(logits))
}

/// The first index of the largest logit.
///
/// # Panics
/// If `logits` is empty.
pub fn argmax(isa: Isa, logits: &[f32]) -> usize {
    let best = max(isa, logits);
    logits.iter().position(|&x| x == best).expect("the largest logit is one of them")
}

/// `log(sum(exp(logits)))`, or negative infinity if every logit is masked.
pub fn log_sum_exp(isa: Isa, logits: &[f32]) -> f32 {
    let largest = max(isa, logits);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + log(isa.dispatch(SumExp { logits, largest }))
}

/// `log(exp(a) + exp(b))`; either may be negative infinity.
pub fn log_add_exp(a: f32, b: f32) -> f32 {
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    if small == f32::NEG_INFINITY { large } else { large + log(1.0 + exp(small - large)) }
}

/// Fills `out` with `exp((logit - largest) * (1 / temperature))`, 0 where masked.
///
/// # Panics
/// If the lengths differ.
pub fn exp_at_temperature(isa: Isa, logits: &[f32], temperature: f32, out: &mut [f32]) {
    assert_eq!(logits.len(), out.len(), "one weight for each logit");
    let largest = max(isa, logits);
    if largest == f32::NEG_INFINITY {
        out.fill(0.0);
        return;
    }
    isa.dispatch(ExpInto { logits, largest, sharpness: 1.0 / temperature, out });
}

/// `exp(x)` by the runtime's own polynomial; `x` is clamped to [-87, 88].
pub fn exp(x: f32) -> f32 {
    lane0(math::exp(Scalar, Scalar.splat(x.clamp(LOWEST, 88.0))))
}

/// Natural logarithm of a positive normal `x` by the runtime's own polynomial.
pub fn log(x: f32) -> f32 {
    lane0(math::log(Scalar, Scalar.splat(x)))
}

/// Base-10 logarithm of a positive normal `x` by the runtime's own polynomial.
pub fn log10(x: f32) -> f32 {
    log(x) * std::f32::consts::LOG10_E
}

fn lane0(x: <Scalar as Simd>::F32) -> f32 {
    let mut lanes = [0.0; LANES];
    Scalar.store(x, &mut lanes);
    lanes[0]
}

struct Max<'a>(&'a [f32]);

impl SimdOp for Max<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let (chunks, tail) = self.0.as_chunks::<LANES>();
        let mut m = s.load_partial(tail, f32::NEG_INFINITY);
        for chunk in chunks {
            m = s.max(m, s.load(chunk));
        }
        s.reduce_max(m)
    }
}

struct SumExp<'a> {
    logits: &'a [f32],
    largest: f32,
}

impl SimdOp for SumExp<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let (chunks, tail) = self.logits.as_chunks::<LANES>();
        let mut sum = s.splat(0.0);
        for chunk in chunks {
            sum = s.add(sum, weight(s, s.load(chunk), self.largest, 1.0));
        }
        if !tail.is_empty() {
            sum = s.add(sum, weight(s, s.load_partial(tail, f32::NEG_INFINITY), self.largest, 1.0));
        }
        s.reduce_add(sum)
    }
}

struct ExpInto<'a> {
    logits: &'a [f32],
    largest: f32,
    sharpness: f32,
    out: &'a mut [f32],
}

impl SimdOp for ExpInto<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (x, y) in self.logits.chunks(LANES).zip(self.out.chunks_mut(LANES)) {
            let x = s.load_partial(x, f32::NEG_INFINITY);
            s.store_partial(weight(s, x, self.largest, self.sharpness), y);
        }
    }
}

/// `exp((x - largest) * sharpness)`, exactly 0 below [`LOWEST`].
#[inline(always)]
fn weight<S: Simd>(s: S, x: S::F32, largest: f32, sharpness: f32) -> S::F32 {
    let lowest = s.splat(LOWEST);
    let d = s.mul(s.sub(x, s.splat(largest)), s.splat(sharpness));
    let masked = s.lt(d, lowest);
    s.select(masked, s.splat(0.0), math::exp(s, s.max(d, lowest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 / 50.0 - 10.0).collect()
    }

    #[test]
    fn log_sum_exp_is_close_to_f64_and_equal_on_every_isa() {
        for n in [1, 2, 15, 16, 17, 31, 33, 100, 1000, 51864] {
            let mut x = logits(n);
            if n > 3 {
                x[n / 2] = f32::NEG_INFINITY;
            }
            let exact = x.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
            let expected = log_sum_exp(Isa::Scalar(Scalar), &x);
            assert!((f64::from(expected) - exact).abs() < 2e-6 * exact.abs().max(1.0), "{n}: {expected} {exact}");
            for isa in Isa::available() {
                assert_eq!(log_sum_exp(isa, &x).to_bits(), expected.to_bits(), "{isa} {n}");
                assert_eq!(x[argmax(isa, &x)], max(isa, &x));
            }
        }
    }

    #[test]
    fn weights_match_f64_on_every_isa() {
        let mut x = logits(100);
        x[3] = f32::NEG_INFINITY;
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; x.len()];
            exp_at_temperature(isa, &x, 0.4, &mut out);
            assert_eq!(out[3], 0.0);
            for (&x, &y) in x.iter().zip(&out) {
                let exact = ((f64::from(x) - f64::from(largest)) / f64::from(0.4f32)).exp();
                assert!((f64::from(y) - exact).abs() <= 2e-5 * exact + 1e-37, "{x}: {y} {exact}");
            }
        }
    }

    #[test]
    fn everything_masked_gives_negative_infinity() {
        let x = [f32::NEG_INFINITY; 20];
        for isa in Isa::available() {
            assert_eq!(log_sum_exp(isa, &x), f32::NEG_INFINITY);
            assert_eq!(log_sum_exp(isa, &[]), f32::NEG_INFINITY);
            let mut out = [1.0; 20];
            exp_at_temperature(isa, &x, 1.0, &mut out);
            assert_eq!(out, [0.0; 20]);
        }
    }

    #[test]
    fn argmax_takes_the_first_of_equals() {
        let mut x = vec![0.0; 40];
        x[17] = 2.0;
        x[30] = 2.0;
        for isa in Isa::available() {
            assert_eq!(argmax(isa, &x), 17);
        }
    }
}
