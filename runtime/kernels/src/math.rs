//! Elementary functions with a fixed order of operations: polynomials that use nothing but additions, multiplications and `fma`.
//!
//! Coefficients are minimax fits (Lawson's iteration in f64, rounded to f32). The stated errors are checked against f64 in the tests.
//! The standard library's and libm's versions are never used on the inference path, as they differ between platforms.

use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Horner's scheme, coefficients from the constant term up.
#[inline(always)]
fn poly<S: Simd, const N: usize>(s: S, x: S::F32, coefficients: &[f32; N]) -> S::F32 {
    let mut sum = s.splat(coefficients[N - 1]);
    for &c in coefficients[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// `2^x` for softmax: relative error at most 3e-6. `x` below -120 is taken as -120; `x` must not exceed 126.
#[inline(always)]
pub fn exp2_softmax<S: Simd>(s: S, x: S::F32) -> S::F32 {
    const C: [f32; 5] = [0.999_999_3, 0.693_121_8, 0.240_247_44, 0.055_917_863, 0.009_570_097];
    let x = s.max(x, s.splat(-120.0));
    let n = s.round_ties_even(x);
    fault::lanes(s, "exp2_softmax", s.scale_by_power(poly(s, s.sub(x, n), &C), n))
}

/// `e^x`: relative error at most 4e-7 for x in [-87, 88]; arguments outside are clamped to that range.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    const C: [f32; 7] = [1.0, 1.0, 0.5, 0.166_666_57, 0.041_666_48, 0.008_335_283, 0.001_390_036_2];
    // ln 2 in two parts, the first with few enough bits for an exact product with n.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = s.min(s.max(x, s.splat(-87.0)), s.splat(88.0));
    let n = s.round_ties_even(s.mul(x, s.splat(core::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_LOW), s.fma(n, s.splat(-LN2_HIGH), x));
    fault::lanes(s, "exp", s.scale_by_power(poly(s, r, &C), n))
}

/// Natural logarithm of a positive normal number: error at most 1.2e-7 relative, or 1e-7 absolute near one.
#[inline(always)]
pub fn log<S: Simd>(s: S, x: S::F32) -> S::F32 {
    const C: [f32; 9] =
        [0.333_333_1, -0.249_999_87, 0.200_022_27, -0.166_692_51, 0.142_186_58, -0.123_843_48, 0.118_729_73, -0.117_898_084, 0.069_153_756];
    // x = 2^n * m with m in [sqrt(1/2), sqrt(2)), as in Cody and Waite: the offset moves the exponent's carry to sqrt(1/2).
    const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
    let offset = s.sub_i32(s.bits(x), s.splat_i32(SQRT_HALF_BITS));
    let n = s.from_i32(s.shr_i32::<23>(offset));
    let mantissa = s.add_i32(s.and_i32(offset, s.splat_i32(0x007f_ffff)), s.splat_i32(SQRT_HALF_BITS));
    let f = s.sub(s.from_bits(mantissa), s.splat(1.0));
    let square = s.mul(f, f);
    let tail = s.fma(s.mul(square, f), poly(s, f, &C), s.mul(n, s.splat(-2.121_944_4e-4)));
    let tail = s.fma(square, s.splat(-0.5), tail);
    s.fma(n, s.splat(0.693_359_4), s.add(f, tail))
}

/// Decimal logarithm of a positive normal number: error at most 2e-7 relative, or 1e-7 absolute near one.
#[inline(always)]
pub fn log10<S: Simd>(s: S, x: S::F32) -> S::F32 {
    fault::lanes(s, "log10", s.mul(log(s, x), s.splat(core::f32::consts::LOG10_E)))
}

/// Error function: absolute error at most 8e-7.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // erf(z) / z as a polynomial in z^2 mapped to [-1, 1], which keeps the coefficients small enough for f32; erf(3.6) = 1 - 3.6e-7.
    const LIMIT: f32 = 3.6;
    const C: [f32; 13] = [
        0.39271203,
        -0.19548857,
        0.1438188,
        -0.11385342,
        0.08970686,
        -0.06751177,
        0.04879732,
        -0.034470227,
        0.020165257,
        -0.008185692,
        0.0056298925,
        -0.0057893526,
        0.002246675,
    ];
    let z = s.min(s.max(x, s.splat(-LIMIT)), s.splat(LIMIT));
    let t = s.fma(s.mul(z, z), s.splat(2.0 / (LIMIT * LIMIT)), s.splat(-1.0));
    s.mul(poly(s, t, &C), z)
}

/// Logistic function: absolute error at most 3e-7.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.neg(x))))
}

/// [`sigmoid`] of each value, in place.
pub fn sigmoid_all(isa: Isa, values: &mut [f32]) {
    isa.dispatch(SigmoidAll(&mut *values));
    fault::f32s("sigmoid_all", isa.name(), values);
}

struct SigmoidAll<'a>(&'a mut [f32]);

impl SimdOp for SigmoidAll<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for values in self.0.chunks_mut(LANES) {
            let y = sigmoid(s, s.load_partial(values, 0.0));
            s.store_partial(y, values);
        }
    }
}

/// Hyperbolic tangent: absolute error at most 3e-7.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // 1 - 2 / (e^(2x) + 1)
    let two = s.splat(2.0);
    let one = s.splat(1.0);
    s.sub(one, s.div(two, s.add(exp(s, s.mul(two, x)), one)))
}

/// Gaussian error linear unit in its exact form, `x / 2 * (1 + erf(x / sqrt 2))`: absolute error at most 1e-6 * max(1, |x|).
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let half = s.mul(x, s.splat(0.5));
    fault::lanes(s, "gelu", s.fma(half, erf(s, s.mul(x, s.splat(core::f32::consts::FRAC_1_SQRT_2))), half))
}

/// [`exp`] of each value, in place.
pub fn exp_all(isa: Isa, values: &mut [f32]) {
    isa.dispatch(All::<false>(values));
}

/// [`log`] of each value, in place.
pub fn log_all(isa: Isa, values: &mut [f32]) {
    isa.dispatch(All::<true>(&mut *values));
    fault::f32s("log_all", isa.name(), values);
}

struct All<'a, const LOG: bool>(&'a mut [f32]);

impl<const LOG: bool> SimdOp for All<'_, LOG> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for values in self.0.chunks_mut(LANES) {
            let x = s.load_partial(values, 1.0);
            s.store_partial(if LOG { log(s, x) } else { exp(s, x) }, values);
        }
    }
}

/// Sine and cosine of `x` turns, that is of `2 pi x`: absolute error at most 2e-7 beside the rounding of `x`, for `|x| < 2^20`.
#[inline(always)]
pub fn sin_cos_turns<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    #[expect(clippy::approx_constant, reason = "a coefficient of a minimax polynomial, one step below the constant")]
    const SIN: [f32; 5] = [6.283_185, -41.341_656, 81.601_006, -76.549_78, 39.536_705];
    const COS: [f32; 6] = [1.0, -19.739_208, 64.939_35, -85.453_575, 60.144_016, -24.982_237];
    // Half turns change the signs of both: what is left lies within a quarter of a turn.
    let half = s.round_ties_even(s.add(x, x));
    let rest = s.fma(half, s.splat(-0.5), x);
    let flip = s.shl_i32::<31>(s.to_i32(half));
    let square = s.mul(rest, rest);
    let (sin, cos) = (s.mul(poly(s, square, &SIN), rest), poly(s, square, &COS));
    let signed = |v| s.from_bits(s.add_i32(s.bits(v), flip));
    (signed(sin), signed(cos))
}

/// `sin(pi x)^2`: absolute error at most 3e-7 on top of the rounding of `x`; beyond 2^20 `x` is taken as that.
#[inline(always)]
pub fn sin_squared<S: Simd>(s: S, x: S::F32) -> S::F32 {
    const C: [f32; 6] = [9.869_603, -32.469_58, 42.725_384, -30.085_953, 12.990_73, -3.272_946];
    const MOST: f32 = (1 << 20) as f32;
    let x = s.min(s.max(x, s.splat(-MOST)), s.splat(MOST));
    let rest = s.sub(x, s.round_ties_even(x));
    let square = s.mul(rest, rest);
    s.mul(poly(s, square, &C), square)
}

/// The angle of the vector `(x, y)`, from -pi to pi: absolute error at most 6e-7. Pi where `y` is zero and `x` below zero, zero where both are zero.
#[inline(always)]
pub fn angle<S: Simd>(s: S, y: S::F32, x: S::F32) -> S::F32 {
    const C: [f32; 9] = [
        0.999_999_9,
        -0.333_325_98,
        0.199_859_07,
        -0.141_612_29,
        0.104_989_454,
        -0.072_348_56,
        0.039_781_21,
        -0.014_401_349,
        0.002_456_722_5,
    ];
    let (zero, pi) = (s.splat(0.0), s.splat(core::f32::consts::PI));
    let (rise, run) = (s.abs(y), s.abs(x));
    let most = s.max(rise, run);
    // Not a division by zero, and no subnormal number either.
    let ratio = s.div(s.min(rise, run), s.max(most, s.splat(f32::MIN_POSITIVE)));
    let flat = s.mul(poly(s, s.mul(ratio, ratio), &C), ratio);
    let steep = s.select(s.lt(run, rise), s.sub(s.splat(core::f32::consts::FRAC_PI_2), flat), flat);
    let whole = s.select(s.lt(x, zero), s.sub(pi, steep), steep);
    s.select(s.lt(y, zero), s.sub(zero, whole), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Sin,
        Cos,
        Exp2,
        Exp,
        Log,
        Log10,
        Erf,
        Sigmoid,
        Tanh,
        Gelu,
    }

    struct Apply<'a>(Function, &'a mut [[f32; LANES]]);

    impl SimdOp for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            for chunk in self.1 {
                let x = s.load(chunk);
                let y = match self.0 {
                    Function::Sin => sin_cos_turns(s, x).0,
                    Function::Cos => sin_cos_turns(s, x).1,
                    Function::Exp2 => exp2_softmax(s, x),
                    Function::Exp => exp(s, x),
                    Function::Log => log(s, x),
                    Function::Log10 => log10(s, x),
                    Function::Erf => erf(s, x),
                    Function::Sigmoid => sigmoid(s, x),
                    Function::Tanh => tanh(s, x),
                    Function::Gelu => gelu(s, x),
                };
                s.store(y, chunk);
            }
        }
    }

    /// Series of the error function, exact to f64 for |x| < 6.
    fn erf64(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        (sum * 2.0 / std::f64::consts::PI.sqrt()).clamp(-1.0, 1.0)
    }

    fn check(function: Function, low: f32, high: f32, exact: impl Fn(f64) -> f64, tolerance: impl Fn(f64, f64) -> f64) {
        const STEPS: usize = 1 << 16;
        let inputs: Vec<[f32; LANES]> = (0..STEPS / LANES)
            .map(|i| std::array::from_fn(|j| low + (high - low) * ((i * LANES + j) as f32 / (STEPS - 1) as f32)))
            .collect();
        let mut reference: Option<Vec<[f32; LANES]>> = None;
        for isa in Isa::available() {
            let mut out = inputs.clone();
            isa.dispatch(Apply(function, &mut out));
            for (x, y) in inputs.iter().flatten().zip(out.iter().flatten()) {
                let want = exact(f64::from(*x));
                let error = (f64::from(*y) - want).abs();
                assert!(error <= tolerance(f64::from(*x), want), "{function:?}({x}) = {y}, not {want}, on {isa}");
            }
            let bits = |v: &[[f32; LANES]]| v.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
            let first = reference.get_or_insert_with(|| out.clone());
            assert_eq!(bits(first), bits(&out), "{function:?} on {isa}");
        }
    }

    #[test]
    fn errors_are_as_stated_and_bits_agree() {
        let relative = |e: f64| move |_: f64, y: f64| e * y.abs();
        check(Function::Exp2, -119.0, 20.0, f64::exp2, relative(3e-6));
        check(Function::Exp, -87.0, 88.0, f64::exp, relative(4e-7));
        for (low, high) in [(1e-10, 1e-3), (0.01, 4.0), (1.0, 1e9)] {
            check(Function::Log, low, high, f64::ln, |_, y| 1.2e-7 * y.abs().max(0.8));
            check(Function::Log10, low, high, f64::log10, |_, y| 2e-7 * y.abs().max(0.5));
        }
        check(Function::Erf, -5.0, 5.0, erf64, |_, _| 8e-7);
        check(Function::Sigmoid, -80.0, 80.0, |x| 1.0 / (1.0 + (-x).exp()), |_, _| 3e-7);
        check(Function::Tanh, -10.0, 10.0, f64::tanh, |_, _| 3e-7);
        for (low, high) in [(-0.5, 0.5), (-3.0, 3.0), (0.0, 1000.0)] {
            check(Function::Sin, low, high, |x| (x * std::f64::consts::TAU).sin(), |_, _| 2e-7);
            check(Function::Cos, low, high, |x| (x * std::f64::consts::TAU).cos(), |_, _| 2e-7);
        }
        check(Function::Gelu, -7.0, 7.0, |x| x / 2.0 * (1.0 + erf64(x / 2f64.sqrt())), |x, _| 1e-6 * x.abs().max(1.0));
    }
}
