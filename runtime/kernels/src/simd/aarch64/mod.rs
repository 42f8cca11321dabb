//! AArch64 vectors: four NEON registers are one vector.
//!
//! The f32 half of every token is the same baseline NEON; the tokens differ in how they multiply s8 ([`Multiply`]).

use core::arch::aarch64::*;

use crate::dot::{Activations, Blocks, Epilogue, Products};
use crate::simd::token::{SimdOp, Token};
use crate::simd::vector::{LANES, Simd};

mod dotprod;
mod i8mm;
mod tiles;
mod widening;

pub use dotprod::Dotprod;
pub use i8mm::I8mm;
pub use widening::Widening;

/// Baseline NEON: products widen to 16 bits (Cortex-A53, A57, A72).
pub type Neon = Aarch64<Widening>;
/// NEON with `sdot` (Cortex-A76, A78AE).
pub type NeonDotprod = Aarch64<Dotprod>;
/// NEON with `smmla` and `usmmla`.
pub type NeonI8mm = Aarch64<I8mm>;

/// Whether this CPU (and its operating system) has all of the features, by run-time detection with `std`, by the compile target without.
macro_rules! has_features {
    ($($feature:tt),*) => {{
        #[cfg(feature = "std")]
        { $(std::arch::is_aarch64_feature_detected!($feature))&&* }
        #[cfg(not(feature = "std"))]
        { $(cfg!(target_feature = $feature))&&* }
    }};
}
use has_features;

/// Proof that the CPU has NEON and what `M` multiplies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aarch64<M> {
    multiply: M,
}

impl<M: Multiply> Aarch64<M> {
    /// The token, if this CPU has the instructions.
    pub fn new() -> Option<Self> {
        let multiply = M::new()?;
        has_features!("neon").then_some(Self { multiply })
    }
}

type F = [float32x4_t; 4];
type I = [int32x4_t; 4];

/// How s8 weights and activations are multiplied. A value is the proof that the CPU has the instructions.
pub trait Multiply: Copy + Send + Sync + 'static {
    /// What `--isa` calls it.
    const NAME: &'static str;
    /// See [`Simd::PROB_OFFSET`].
    const PROB_OFFSET: i32;

    /// The proof, if this CPU has the instructions.
    fn new() -> Option<Self>;

    /// Runs `op` compiled with the instructions.
    fn run<O: SimdOp>(token: Aarch64<Self>, op: O) -> O::Output;

    /// `acc[n] + sum_i w[n][i] * a[n][i]`, all s8; a register holds four outputs.
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I;

    /// `acc[n] + sum_i w[n][i] * (a[n][i] - PROB_OFFSET)`, `a` unsigned: with an offset of 128, `a - 128` is s8.
    #[inline(always)]
    fn dot_u8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I {
        debug_assert!(Self::PROB_OFFSET == 128);
        self.dot_s8(acc, w, map(a, |a| minus_128(a)))
    }

    /// See [`Products::products`](crate::dot::Products::products).
    fn products<A: Activations<Aarch64<Self>>, E: Epilogue<Aarch64<Self>>>(
        token: Aarch64<Self>,
        acts: A,
        weights: Blocks<'_>,
        epilogue: &mut E,
    );
}

/// Calls intrinsics.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: the token proves NEON; loads and stores go through references to whole arrays.
        unsafe { $e }
    };
}

#[inline(always)]
fn map<T: Copy, R>(a: [T; 4], f: impl Fn(T) -> R) -> [R; 4] {
    [f(a[0]), f(a[1]), f(a[2]), f(a[3])]
}

#[inline(always)]
fn zip<T: Copy, U: Copy, R>(a: [T; 4], b: [U; 4], f: impl Fn(T, U) -> R) -> [R; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

/// Low byte of each of the 16 lanes.
#[inline(always)]
fn low_bytes(v: I) -> int8x16_t {
    op!({
        let [a, b, c, d] = map(v, |v| vreinterpretq_s16_s32(v));
        vuzp1q_s8(vreinterpretq_s8_s16(vuzp1q_s16(a, b)), vreinterpretq_s8_s16(vuzp1q_s16(c, d)))
    })
}

/// `a - 128` of u8, as s8.
#[inline(always)]
fn minus_128(a: int8x16_t) -> int8x16_t {
    op!(veorq_s8(a, vdupq_n_s8(-128)))
}

impl<M: Multiply> Simd for Aarch64<M> {
    type F32 = F;
    type I32 = I;
    type Mask = [uint32x4_t; 4];
    type Weights = [int8x16_t; 4];
    type Acts = int8x16_t;

    const NAME: &'static str = M::NAME;
    const WEIGHT_OFFSET: i32 = 0;
    const PROB_OFFSET: i32 = M::PROB_OFFSET;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [op!(vdupq_n_f32(x)); 4]
    }
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> F {
        let p = p.as_ptr();
        op!([vld1q_f32(p), vld1q_f32(p.add(4)), vld1q_f32(p.add(8)), vld1q_f32(p.add(12))])
    }
    #[inline(always)]
    fn store(self, v: F, p: &mut [f32; LANES]) {
        let p = p.as_mut_ptr();
        op!({
            vst1q_f32(p, v[0]);
            vst1q_f32(p.add(4), v[1]);
            vst1q_f32(p.add(8), v[2]);
            vst1q_f32(p.add(12), v[3]);
        })
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vaddq_f32(a, b)))
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vsubq_f32(a, b)))
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vmulq_f32(a, b)))
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vdivq_f32(a, b)))
    }
    // `fmin` and `fmax` order -0 before +0, the contract's comparison does not.
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vbslq_f32(vcltq_f32(a, b), a, b)))
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(vbslq_f32(vcgtq_f32(a, b), a, b)))
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        map(a, |a| op!(vsqrtq_f32(a)))
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        [
            op!(vfmaq_f32(c[0], a[0], b[0])),
            op!(vfmaq_f32(c[1], a[1], b[1])),
            op!(vfmaq_f32(c[2], a[2], b[2])),
            op!(vfmaq_f32(c[3], a[3], b[3])),
        ]
    }
    #[inline(always)]
    fn abs(self, a: F) -> F {
        map(a, |a| op!(vabsq_f32(a)))
    }
    #[inline(always)]
    fn neg(self, a: F) -> F {
        map(a, |a| op!(vnegq_f32(a)))
    }
    #[inline(always)]
    fn round_ties_even(self, a: F) -> F {
        map(a, |a| op!(vrndnq_f32(a)))
    }
    #[inline(always)]
    fn to_i32(self, a: F) -> I {
        map(a, |a| op!(vcvtnq_s32_f32(a)))
    }
    #[inline(always)]
    fn from_i32(self, a: I) -> F {
        map(a, |a| op!(vcvtq_f32_s32(a)))
    }
    #[inline(always)]
    fn lt(self, a: F, b: F) -> [uint32x4_t; 4] {
        zip(a, b, |a, b| op!(vcltq_f32(a, b)))
    }
    #[inline(always)]
    fn select(self, m: [uint32x4_t; 4], a: F, b: F) -> F {
        [
            op!(vbslq_f32(m[0], a[0], b[0])),
            op!(vbslq_f32(m[1], a[1], b[1])),
            op!(vbslq_f32(m[2], a[2], b[2])),
            op!(vbslq_f32(m[3], a[3], b[3])),
        ]
    }
    #[inline(always)]
    fn reduce_add(self, a: F) -> f32 {
        op!({
            let quarter = vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]));
            let pair = vadd_f32(vget_low_f32(quarter), vget_high_f32(quarter));
            vget_lane_f32::<0>(pair) + vget_lane_f32::<1>(pair)
        })
    }
    #[inline(always)]
    fn reduce_max(self, a: F) -> f32 {
        let half = self.max(a, [a[2], a[3], a[2], a[3]]);
        let quarter = op!(vbslq_f32(vcgtq_f32(half[0], half[1]), half[0], half[1]));
        op!({
            let (low, high) = (vget_low_f32(quarter), vget_high_f32(quarter));
            let pair = vbsl_f32(vcgt_f32(low, high), low, high);
            let (a, b) = (vget_lane_f32::<0>(pair), vget_lane_f32::<1>(pair));
            if a > b { a } else { b }
        })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        [op!(vdupq_n_s32(x)); 4]
    }
    #[inline(always)]
    fn load_i32(self, p: &[i32; LANES]) -> I {
        let p = p.as_ptr();
        op!([vld1q_s32(p), vld1q_s32(p.add(4)), vld1q_s32(p.add(8)), vld1q_s32(p.add(12))])
    }
    #[inline(always)]
    fn store_i32(self, v: I, p: &mut [i32; LANES]) {
        let p = p.as_mut_ptr();
        op!({
            vst1q_s32(p, v[0]);
            vst1q_s32(p.add(4), v[1]);
            vst1q_s32(p.add(8), v[2]);
            vst1q_s32(p.add(12), v[3]);
        })
    }
    #[inline(always)]
    fn add_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(vaddq_s32(a, b)))
    }
    #[inline(always)]
    fn sub_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(vsubq_s32(a, b)))
    }
    #[inline(always)]
    fn mul_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(vmulq_s32(a, b)))
    }
    #[inline(always)]
    fn shl_i32<const N: u32>(self, a: I) -> I {
        map(a, |a| op!(vshlq_s32(a, vdupq_n_s32(N as i32))))
    }
    #[inline(always)]
    fn shr_i32<const N: u32>(self, a: I) -> I {
        map(a, |a| op!(vshlq_s32(a, vdupq_n_s32(-(N as i32)))))
    }
    #[inline(always)]
    fn and_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(vandq_s32(a, b)))
    }
    #[inline(always)]
    fn or_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(vorrq_s32(a, b)))
    }
    #[inline(always)]
    fn bits(self, a: F) -> I {
        map(a, |a| op!(vreinterpretq_s32_f32(a)))
    }
    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        map(a, |a| op!(vreinterpretq_f32_s32(a)))
    }
    #[inline(always)]
    fn store_s8(self, v: I, p: &mut [i8; LANES]) {
        op!(vst1q_s8(p.as_mut_ptr(), low_bytes(v)))
    }
    #[inline(always)]
    fn store_u8(self, v: I, p: &mut [u8; LANES]) {
        op!(vst1q_u8(p.as_mut_ptr(), vreinterpretq_u8_s8(low_bytes(v))))
    }
    #[inline(always)]
    fn load_s8(self, p: &[i8; LANES]) -> I {
        op!({
            let v = vld1q_s8(p.as_ptr());
            let (low, high) = (vmovl_s8(vget_low_s8(v)), vmovl_high_s8(v));
            [vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)]
        })
    }
    #[inline(always)]
    fn load_u8(self, p: &[u8; LANES]) -> I {
        op!({
            let v = vld1q_u8(p.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(v)), vmovl_high_u8(v));
            let quarters = [vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low), vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)];
            map(quarters, |v| vreinterpretq_s32_u32(v))
        })
    }
    #[inline(always)]
    fn weights(self, w: &[i8; 64]) -> [int8x16_t; 4] {
        let p = w.as_ptr();
        op!([vld1q_s8(p), vld1q_s8(p.add(16)), vld1q_s8(p.add(32)), vld1q_s8(p.add(48))])
    }
    #[inline(always)]
    fn acts_s8(self, a: [i8; 4]) -> int8x16_t {
        op!(vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(a.map(|a| a as u8)))))
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: int8x16_t) -> I {
        self.multiply.dot_s8(acc, w, [a; 4])
    }
    #[inline(always)]
    fn weights_for_u8(self, w: &[i8; 64]) -> [int8x16_t; 4] {
        self.weights(w)
    }
    #[inline(always)]
    fn acts_u8(self, a: [u8; 4]) -> int8x16_t {
        self.acts_s8(a.map(|a| a as i8))
    }
    #[inline(always)]
    fn dot_u8(self, acc: I, w: [int8x16_t; 4], a: int8x16_t) -> I {
        self.multiply.dot_u8(acc, w, [a; 4])
    }
    #[inline(always)]
    fn interleave(self, taps: [&[u8; LANES]; 4], out: &mut [u8; 64]) {
        op!({
            let [a, b, c, d] = map(taps, |tap| vld1q_u8(tap.as_ptr()));
            vst4q_u8(out.as_mut_ptr(), uint8x16x4_t(a, b, c, d));
        })
    }
    #[inline(always)]
    fn filter_u8(self, acc: I, w: [int8x16_t; 4], x: &[u8; 64]) -> I {
        let p = x.as_ptr().cast::<i8>();
        let x = op!([vld1q_s8(p), vld1q_s8(p.add(16)), vld1q_s8(p.add(32)), vld1q_s8(p.add(48))]);
        self.multiply.dot_u8(acc, w, x)
    }
}

impl<M: Multiply> Products for Aarch64<M> {
    #[inline(always)]
    fn products<A: Activations<Self>, E: Epilogue<Self>>(self, acts: A, weights: Blocks<'_>, epilogue: &mut E) {
        M::products(self, acts, weights, epilogue);
    }
}

impl<M: Multiply> Token for Aarch64<M> {
    #[inline(always)]
    fn run<O: SimdOp>(self, op: O) -> O::Output {
        M::run(self, op)
    }
}
