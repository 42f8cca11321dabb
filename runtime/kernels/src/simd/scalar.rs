//! The scalar twin: plain loops over sixteen lanes, the definition every other instruction set is tested against.

use super::token::{SimdOp, Token};
use super::vector::{LANES, Simd};
use crate::dot::Products;

/// Portable Rust, on every CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar;

impl Scalar {
    /// Always available.
    pub const fn new() -> Option<Self> {
        Some(Scalar)
    }
}

type F = [f32; LANES];
type I = [i32; LANES];

#[inline(always)]
fn map<T: Copy, R>(a: [T; LANES], f: impl Fn(T) -> R) -> [R; LANES] {
    core::array::from_fn(|j| f(a[j]))
}

#[inline(always)]
fn zip<T: Copy, R>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> R) -> [R; LANES] {
    core::array::from_fn(|j| f(a[j], b[j]))
}

#[inline(always)]
fn fold(mut a: F, f: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            a[j] = f(a[j], a[j + half]);
        }
    }
    a[0]
}

#[inline(always)]
fn dot(acc: I, w: [i8; 64], a: [i32; 4]) -> I {
    core::array::from_fn(|n| (0..4).fold(acc[n], |sum, i| sum + i32::from(w[4 * n + i]) * a[i]))
}

impl Simd for Scalar {
    type F32 = F;
    type I32 = I;
    type Mask = [bool; LANES];
    type Weights = [i8; 64];
    type Acts = [i32; 4];

    const NAME: &'static str = "scalar";
    const WEIGHT_OFFSET: i32 = 0;
    const PROB_OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> F {
        *p
    }
    #[inline(always)]
    fn store(self, v: F, p: &mut [f32; LANES]) {
        *p = v;
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        map(a, libm::sqrtf)
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        core::array::from_fn(|j| fma(a[j], b[j], c[j]))
    }
    #[inline(always)]
    fn abs(self, a: F) -> F {
        map(a, |a| f32::from_bits(a.to_bits() & 0x7fff_ffff))
    }
    #[inline(always)]
    fn neg(self, a: F) -> F {
        map(a, |a| -a)
    }
    #[inline(always)]
    fn round_ties_even(self, a: F) -> F {
        map(a, round_ties_even)
    }
    #[inline(always)]
    fn to_i32(self, a: F) -> I {
        map(a, |a| round_ties_even(a) as i32)
    }
    #[inline(always)]
    fn from_i32(self, a: I) -> F {
        map(a, |a| a as f32)
    }
    #[inline(always)]
    fn lt(self, a: F, b: F) -> [bool; LANES] {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn select(self, m: [bool; LANES], a: F, b: F) -> F {
        core::array::from_fn(|j| if m[j] { a[j] } else { b[j] })
    }
    #[inline(always)]
    fn reduce_add(self, a: F) -> f32 {
        fold(a, |a, b| a + b)
    }
    #[inline(always)]
    fn reduce_max(self, a: F) -> f32 {
        fold(a, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        [x; LANES]
    }
    #[inline(always)]
    fn load_i32(self, p: &[i32; LANES]) -> I {
        *p
    }
    #[inline(always)]
    fn store_i32(self, v: I, p: &mut [i32; LANES]) {
        *p = v;
    }
    #[inline(always)]
    fn add_i32(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn sub_i32(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn mul_i32(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn shl_i32<const N: u32>(self, a: I) -> I {
        map(a, |a| a << N)
    }
    #[inline(always)]
    fn shr_i32<const N: u32>(self, a: I) -> I {
        map(a, |a| a >> N)
    }
    #[inline(always)]
    fn and_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn bits(self, a: F) -> I {
        map(a, |a| a.to_bits() as i32)
    }
    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        map(a, |a| f32::from_bits(a as u32))
    }
    #[inline(always)]
    fn store_s8(self, v: I, p: &mut [i8; LANES]) {
        *p = map(v, |v| v as i8);
    }
    #[inline(always)]
    fn store_u8(self, v: I, p: &mut [u8; LANES]) {
        *p = map(v, |v| v as u8);
    }
    #[inline(always)]
    fn load_s8(self, p: &[i8; LANES]) -> I {
        map(*p, i32::from)
    }
    #[inline(always)]
    fn load_u8(self, p: &[u8; LANES]) -> I {
        map(*p, i32::from)
    }
    #[inline(always)]
    fn weights(self, w: &[i8; 64]) -> [i8; 64] {
        *w
    }
    #[inline(always)]
    fn acts_s8(self, a: [i8; 4]) -> [i32; 4] {
        a.map(i32::from)
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, w: [i8; 64], a: [i32; 4]) -> I {
        dot(acc, w, a)
    }
    #[inline(always)]
    fn weights_for_u8(self, w: &[i8; 64]) -> [i8; 64] {
        *w
    }
    #[inline(always)]
    fn acts_u8(self, a: [u8; 4]) -> [i32; 4] {
        a.map(i32::from)
    }
    #[inline(always)]
    fn dot_u8(self, acc: I, w: [i8; 64], a: [i32; 4]) -> I {
        dot(acc, w, a)
    }
    #[inline(always)]
    fn interleave(self, taps: [&[u8; LANES]; 4], out: &mut [u8; 64]) {
        for (c, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *out = taps.map(|tap| tap[c]);
        }
    }
    #[inline(always)]
    fn filter_u8(self, acc: I, w: [i8; 64], x: &[u8; 64]) -> I {
        core::array::from_fn(|n| (0..4).fold(acc[n], |sum, i| sum + i32::from(w[4 * n + i]) * i32::from(x[4 * n + i])))
    }
}

/// `a * b + c`, rounded once.
///
/// The product of two f32 is exact in f64; the f64 sum is rounded to odd, which a second rounding to f32 cannot spoil (f64 has more than
/// twice f32's precision plus two bits: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums").
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    // Exact error of the sum (Knuth's TwoSum).
    let back = sum - product;
    let error = (product - (sum - back)) + (addend - back);
    let bits = sum.to_bits();
    if error != 0.0 && bits & 1 == 0 && sum.is_finite() {
        let away = (error > 0.0) == (sum > 0.0);
        return f64::from_bits(if away { bits + 1 } else { bits - 1 }) as f32;
    }
    sum as f32
}

/// See [`Simd::round_ties_even`].
#[inline(always)]
fn round_ties_even(a: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves no fraction bits, so the addition itself rounds.
    const MAGIC: f32 = 12_582_912.0;
    let rounded = (a + MAGIC) - MAGIC;
    f32::from_bits((rounded.to_bits() & 0x7fff_ffff) | (a.to_bits() & 0x8000_0000))
}

impl Products for Scalar {}

impl Token for Scalar {
    #[inline(always)]
    fn run<O: SimdOp>(self, op: O) -> O::Output {
        op.eval(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fma_is_correctly_rounded(a: i32, b: i32, c: i32) {
            let [a, b, c] = [a, b, c].map(|x| f32::from_bits(x as u32));
            let (got, want) = (fma(a, b, c), a.mul_add(b, c));
            prop_assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{a:e} {b:e} {c:e}: {got:e} {want:e}");
        }

        #[test]
        fn fma_rounds_once_near_cancellation(a in 1.0f32..2.0, b in 1.0f32..2.0, ulps in -64i32..64) {
            let c = -f32::from_bits(((a * b).to_bits() as i32 + ulps) as u32);
            prop_assert_eq!(fma(a, b, c).to_bits(), a.mul_add(b, c).to_bits());
        }

        #[test]
        fn rounding_is_std_s(a in -4.0e6f32..4.0e6) {
            prop_assert_eq!(round_ties_even(a).to_bits(), a.round_ties_even().to_bits());
        }
    }

    #[test]
    fn ties_go_to_even() {
        for (a, want) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-1.5, -2.0), (-2.5, -2.0), (126.5, 126.0)] {
            assert_eq!(round_ties_even(a).to_bits(), f32::to_bits(want), "{a}");
        }
    }
}
