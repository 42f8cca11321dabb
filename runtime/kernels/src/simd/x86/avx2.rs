//! AVX2 with FMA: two registers are one vector.

use core::arch::x86_64::*;

use crate::dot::Products;
use crate::simd::token::{SimdOp, Token};
use crate::simd::vector::{LANES, Simd};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2 {
    _private: (),
}

impl Avx2 {
    /// The token, if this CPU has the instructions.
    pub fn new() -> Option<Self> {
        // Must match the features that `run` is compiled with.
        super::has_features!("avx2", "fma").then_some(Self { _private: () })
    }
}

#[target_feature(enable = "avx2,fma")]
fn run<O: SimdOp>(token: Avx2, op: O) -> O::Output {
    op.eval(token)
}

/// Calls one intrinsic.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: the token exists, so `Avx2::new` saw the features; loads and stores go through references to whole arrays.
        unsafe { $e }
    };
}

type F = [__m256; 2];
type I = [__m256i; 2];

#[inline(always)]
fn zip<T: Copy, R>(a: [T; 2], b: [T; 2], f: impl Fn(T, T) -> R) -> [R; 2] {
    [f(a[0], b[0]), f(a[1], b[1])]
}

/// `acc + w * a` for any s8 weights, as they are and their magnitudes, and activations in [-127, 127].
///
/// `vpmaddubsw` multiplies u8 by s8 and saturates the sum of two products to 16 bits. With the sign moved from the weight to the activation,
/// both products are at most 128 * 127, and their sum 32512 fits. (The other way about, the sign of a weight of -128 could not be changed.)
#[inline(always)]
fn dot_s8(acc: I, w: I, magnitudes: I, a: __m256i) -> I {
    op!({
        let step = |acc, w, magnitude| {
            let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, w));
            _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        };
        [step(acc[0], w[0], magnitudes[0]), step(acc[1], w[1], magnitudes[1])]
    })
}

#[inline(always)]
fn load_block(w: &[i8; 64]) -> I {
    op!([_mm256_loadu_si256(w.as_ptr().cast()), _mm256_loadu_si256(w[32..].as_ptr().cast())])
}

/// Byte 0 of each of the 16 lanes.
#[inline(always)]
fn low_bytes(v: I) -> __m128i {
    op!({
        // Gathered within each 128-bit half, then across halves.
        let bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
        let order = _mm256_setr_epi32(0, 4, 1, 1, 1, 1, 1, 1);
        let packed = v.map(|v| _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, bytes), order)));
        _mm_unpacklo_epi64(packed[0], packed[1])
    })
}

impl Simd for Avx2 {
    type F32 = F;
    type I32 = I;
    type Mask = F;
    /// For s8 the weights and their magnitudes, for u8 those of even and of odd inputs in 16 bits.
    type Weights = [I; 2];
    /// For s8 both the same, for u8 the even and the odd inputs in 16 bits.
    type Acts = [__m256i; 2];

    const NAME: &'static str = "avx2";
    const WEIGHT_OFFSET: i32 = 0;
    const PROB_OFFSET: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        op!([_mm256_set1_ps(x); 2])
    }
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> F {
        op!([_mm256_loadu_ps(p.as_ptr()), _mm256_loadu_ps(p[8..].as_ptr())])
    }
    #[inline(always)]
    fn store(self, v: F, p: &mut [f32; LANES]) {
        op!({
            _mm256_storeu_ps(p.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(p[8..].as_mut_ptr(), v[1]);
        })
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_add_ps(a, b)))
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_sub_ps(a, b)))
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_mul_ps(a, b)))
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_div_ps(a, b)))
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_min_ps(a, b)))
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_max_ps(a, b)))
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        a.map(|a| op!(_mm256_sqrt_ps(a)))
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        op!([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
    }
    #[inline(always)]
    fn abs(self, a: F) -> F {
        a.map(|a| op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a)))
    }
    #[inline(always)]
    fn neg(self, a: F) -> F {
        a.map(|a| op!(_mm256_xor_ps(_mm256_set1_ps(-0.0), a)))
    }
    #[inline(always)]
    fn round_ties_even(self, a: F) -> F {
        a.map(|a| op!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a)))
    }
    #[inline(always)]
    fn to_i32(self, a: F) -> I {
        // The conversion rounds by MXCSR, which Rust keeps at nearest even.
        a.map(|a| op!(_mm256_cvtps_epi32(a)))
    }
    #[inline(always)]
    fn from_i32(self, a: I) -> F {
        a.map(|a| op!(_mm256_cvtepi32_ps(a)))
    }
    #[inline(always)]
    fn lt(self, a: F, b: F) -> F {
        zip(a, b, |a, b| op!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn select(self, m: F, a: F, b: F) -> F {
        op!([_mm256_blendv_ps(b[0], a[0], m[0]), _mm256_blendv_ps(b[1], a[1], m[1])])
    }
    #[inline(always)]
    fn fetch(self, block: &[i8; 64]) {
        op!(_mm_prefetch::<_MM_HINT_T1>(block.as_ptr()))
    }
    #[inline(always)]
    fn reduce_add(self, a: F) -> f32 {
        op!({
            let half = _mm256_add_ps(a[0], a[1]);
            let quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            let pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
        })
    }
    #[inline(always)]
    fn reduce_max(self, a: F) -> f32 {
        op!({
            let half = _mm256_max_ps(a[0], a[1]);
            let quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            let pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
            _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)))
        })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        op!([_mm256_set1_epi32(x); 2])
    }
    #[inline(always)]
    fn load_i32(self, p: &[i32; LANES]) -> I {
        op!([_mm256_loadu_si256(p.as_ptr().cast()), _mm256_loadu_si256(p[8..].as_ptr().cast())])
    }
    #[inline(always)]
    fn store_i32(self, v: I, p: &mut [i32; LANES]) {
        op!({
            _mm256_storeu_si256(p.as_mut_ptr().cast(), v[0]);
            _mm256_storeu_si256(p[8..].as_mut_ptr().cast(), v[1]);
        })
    }
    #[inline(always)]
    fn add_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(_mm256_add_epi32(a, b)))
    }
    #[inline(always)]
    fn sub_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(_mm256_sub_epi32(a, b)))
    }
    #[inline(always)]
    fn mul_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(_mm256_mullo_epi32(a, b)))
    }
    #[inline(always)]
    fn shl_i32<const N: u32>(self, a: I) -> I {
        a.map(|a| op!(_mm256_sll_epi32(a, _mm_cvtsi32_si128(N as i32))))
    }
    #[inline(always)]
    fn shr_i32<const N: u32>(self, a: I) -> I {
        a.map(|a| op!(_mm256_sra_epi32(a, _mm_cvtsi32_si128(N as i32))))
    }
    #[inline(always)]
    fn and_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(_mm256_and_si256(a, b)))
    }
    #[inline(always)]
    fn or_i32(self, a: I, b: I) -> I {
        zip(a, b, |a, b| op!(_mm256_or_si256(a, b)))
    }
    #[inline(always)]
    fn bits(self, a: F) -> I {
        a.map(|a| op!(_mm256_castps_si256(a)))
    }
    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        a.map(|a| op!(_mm256_castsi256_ps(a)))
    }
    #[inline(always)]
    fn store_s8(self, v: I, p: &mut [i8; LANES]) {
        op!(_mm_storeu_si128(p.as_mut_ptr().cast(), low_bytes(v)))
    }
    #[inline(always)]
    fn store_u8(self, v: I, p: &mut [u8; LANES]) {
        op!(_mm_storeu_si128(p.as_mut_ptr().cast(), low_bytes(v)))
    }
    #[inline(always)]
    fn load_s8(self, p: &[i8; LANES]) -> I {
        op!({
            let bytes = _mm_loadu_si128(p.as_ptr().cast());
            [_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))]
        })
    }
    #[inline(always)]
    fn load_u8(self, p: &[u8; LANES]) -> I {
        op!({
            let bytes = _mm_loadu_si128(p.as_ptr().cast());
            [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))]
        })
    }
    #[inline(always)]
    fn weights(self, w: &[i8; 64]) -> [I; 2] {
        let w = load_block(w);
        [w, w.map(|w| op!(_mm256_abs_epi8(w)))]
    }
    #[inline(always)]
    fn acts_s8(self, a: [i8; 4]) -> [__m256i; 2] {
        [op!(_mm256_set1_epi32(i32::from_le_bytes(a.map(|a| a as u8)))); 2]
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, [w, magnitudes]: [I; 2], [a, _]: [__m256i; 2]) -> I {
        dot_s8(acc, w, magnitudes, a)
    }
    #[inline(always)]
    fn weights_for_u8(self, w: &[i8; 64]) -> [I; 2] {
        let w = load_block(w);
        let even = w.map(|w| op!(_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w))));
        [even, w.map(|w| op!(_mm256_srai_epi16::<8>(w)))]
    }
    #[inline(always)]
    fn acts_u8(self, a: [u8; 4]) -> [__m256i; 2] {
        op!({
            let a = _mm256_set1_epi32(i32::from_le_bytes(a));
            [_mm256_and_si256(a, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(a)]
        })
    }
    /// In 16 bits from the start, as 255 * 128 * 2 does not fit them: as many steps as for s8.
    #[inline(always)]
    fn dot_u8(self, acc: I, w: [I; 2], a: [__m256i; 2]) -> I {
        let acc = zip(acc, w[0], |acc, w| op!(_mm256_add_epi32(acc, _mm256_madd_epi16(w, a[0]))));
        zip(acc, w[1], |acc, w| op!(_mm256_add_epi32(acc, _mm256_madd_epi16(w, a[1]))))
    }
    #[inline(always)]
    fn interleave(self, taps: [&[u8; LANES]; 4], out: &mut [u8; 64]) {
        op!({
            let tap = |i: usize| _mm_loadu_si128(taps[i].as_ptr().cast());
            let (a, b, c, d) = (tap(0), tap(1), tap(2), tap(3));
            let low = [_mm_unpacklo_epi8(a, b), _mm_unpacklo_epi8(c, d)];
            let high = [_mm_unpackhi_epi8(a, b), _mm_unpackhi_epi8(c, d)];
            let out = out.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(out, _mm_unpacklo_epi16(low[0], low[1]));
            _mm_storeu_si128(out.add(1), _mm_unpackhi_epi16(low[0], low[1]));
            _mm_storeu_si128(out.add(2), _mm_unpacklo_epi16(high[0], high[1]));
            _mm_storeu_si128(out.add(3), _mm_unpackhi_epi16(high[0], high[1]));
        })
    }
    #[inline(always)]
    fn filter_u8(self, acc: I, [even, odd]: [I; 2], x: &[u8; 64]) -> I {
        let x = op!([_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x[32..].as_ptr().cast())]);
        let step = |acc, even, odd, x| {
            op!({
                let acc = _mm256_add_epi32(acc, _mm256_madd_epi16(even, _mm256_and_si256(x, _mm256_set1_epi16(0xff))));
                _mm256_add_epi32(acc, _mm256_madd_epi16(odd, _mm256_srli_epi16::<8>(x)))
            })
        };
        [step(acc[0], even[0], odd[0], x[0]), step(acc[1], even[1], odd[1], x[1])]
    }
}

impl Products for Avx2 {}

impl Token for Avx2 {
    #[inline(always)]
    fn run<O: SimdOp>(self, op: O) -> O::Output {
        op!(run(self, op))
    }
}
