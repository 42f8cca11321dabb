//! AVX-512 with VNNI: one register is one vector.

use core::arch::x86_64::*;

use crate::dot::{Activations, Blocks, Epilogue, Products, products_tiled};
use crate::simd::token::{SimdOp, Token};
use crate::simd::vector::{LANES, Simd};

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Vnni {
    _private: (),
}

impl Avx512Vnni {
    /// The token, if this CPU has the instructions.
    pub fn new() -> Option<Self> {
        // Must match the features that `run` is compiled with.
        super::has_features!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni").then_some(Self { _private: () })
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn run<O: SimdOp>(token: Avx512Vnni, op: O) -> O::Output {
    op.eval(token)
}

/// Calls one intrinsic.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: the token exists, so `Avx512Vnni::new` saw the features; loads and stores go through references to whole arrays.
        unsafe { $e }
    };
}

impl Simd for Avx512Vnni {
    type F32 = __m512;
    type I32 = __m512i;
    type Mask = __mmask16;
    type Weights = __m512i;
    type Acts = __m512i;

    const NAME: &'static str = "avx512vnni";
    // `vpdpbusd` wants one unsigned operand: the weights are offset, as that is done once per block and not once per row.
    const WEIGHT_OFFSET: i32 = 128;
    const PROB_OFFSET: i32 = 0;
    const MANY_REGISTERS: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        op!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> __m512 {
        op!(_mm512_loadu_ps(p.as_ptr()))
    }
    #[inline(always)]
    fn store(self, v: __m512, p: &mut [f32; LANES]) {
        op!(_mm512_storeu_ps(p.as_mut_ptr(), v))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        op!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        op!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn neg(self, a: __m512) -> __m512 {
        op!(_mm512_xor_ps(a, _mm512_set1_ps(-0.0)))
    }
    #[inline(always)]
    fn round_ties_even(self, a: __m512) -> __m512 {
        op!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
    }
    #[inline(always)]
    fn to_i32(self, a: __m512) -> __m512i {
        op!(_mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
    }
    #[inline(always)]
    fn from_i32(self, a: __m512i) -> __m512 {
        op!(_mm512_cvtepi32_ps(a))
    }
    #[inline(always)]
    fn scale_by_power(self, x: __m512, n: __m512) -> __m512 {
        op!(_mm512_scalef_ps(x, n))
    }
    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, m: __mmask16, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(m, b, a))
    }
    #[inline(always)]
    fn fetch(self, block: &[i8; 64]) {
        op!(_mm_prefetch::<_MM_HINT_T1>(block.as_ptr()))
    }
    #[inline(always)]
    fn reduce_add(self, a: __m512) -> f32 {
        op!({
            let half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            let pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
        })
    }
    #[inline(always)]
    fn reduce_max(self, a: __m512) -> f32 {
        op!({
            let half = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            let pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
            _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)))
        })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> __m512i {
        op!(_mm512_set1_epi32(x))
    }
    #[inline(always)]
    fn load_i32(self, p: &[i32; LANES]) -> __m512i {
        op!(_mm512_loadu_si512(p.as_ptr().cast()))
    }
    #[inline(always)]
    fn store_i32(self, v: __m512i, p: &mut [i32; LANES]) {
        op!(_mm512_storeu_si512(p.as_mut_ptr().cast(), v))
    }
    #[inline(always)]
    fn add_i32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_i32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn mul_i32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn shl_i32<const N: u32>(self, a: __m512i) -> __m512i {
        op!(_mm512_slli_epi32::<N>(a))
    }
    #[inline(always)]
    fn shr_i32<const N: u32>(self, a: __m512i) -> __m512i {
        op!(_mm512_srai_epi32::<N>(a))
    }
    #[inline(always)]
    fn and_i32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn or_i32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn bits(self, a: __m512) -> __m512i {
        op!(_mm512_castps_si512(a))
    }
    #[inline(always)]
    fn from_bits(self, a: __m512i) -> __m512 {
        op!(_mm512_castsi512_ps(a))
    }
    #[inline(always)]
    fn store_s8(self, v: __m512i, p: &mut [i8; LANES]) {
        op!(_mm_storeu_si128(p.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(v)))
    }
    #[inline(always)]
    fn store_u8(self, v: __m512i, p: &mut [u8; LANES]) {
        op!(_mm_storeu_si128(p.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(v)))
    }
    #[inline(always)]
    fn store_u8x4(self, v: [__m512i; 4], p: &mut [u8; 4 * LANES]) {
        op!({
            // Packing works within 128 bits: the four values of vector i, quarter j end up in quarter j, place i.
            let words = [_mm512_packus_epi32(v[0], v[1]), _mm512_packus_epi32(v[2], v[3])];
            let bytes = _mm512_packus_epi16(words[0], words[1]);
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(p.as_mut_ptr().cast(), _mm512_permutexvar_epi32(order, bytes));
        })
    }
    #[inline(always)]
    fn store_s8x4(self, v: [__m512i; 4], p: &mut [i8; 4 * LANES]) {
        op!({
            // As above.
            let words = [_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3])];
            let bytes = _mm512_packs_epi16(words[0], words[1]);
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(p.as_mut_ptr().cast(), _mm512_permutexvar_epi32(order, bytes));
        })
    }
    #[inline(always)]
    fn load_s8(self, p: &[i8; LANES]) -> __m512i {
        op!(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.as_ptr().cast())))
    }
    #[inline(always)]
    fn load_u8(self, p: &[u8; LANES]) -> __m512i {
        op!(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.as_ptr().cast())))
    }
    #[inline(always)]
    fn weights(self, w: &[i8; 64]) -> __m512i {
        op!(_mm512_xor_si512(_mm512_loadu_si512(w.as_ptr().cast()), _mm512_set1_epi8(-128)))
    }
    #[inline(always)]
    fn acts_s8(self, a: [i8; 4]) -> __m512i {
        op!(_mm512_set1_epi32(i32::from_le_bytes(a.map(|a| a as u8))))
    }
    #[inline(always)]
    fn dot_s8(self, acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
        op!(_mm512_dpbusd_epi32(acc, w, a))
    }
    #[inline(always)]
    fn weights_for_u8(self, w: &[i8; 64]) -> __m512i {
        op!(_mm512_loadu_si512(w.as_ptr().cast()))
    }
    #[inline(always)]
    fn acts_u8(self, a: [u8; 4]) -> __m512i {
        op!(_mm512_set1_epi32(i32::from_le_bytes(a)))
    }
    #[inline(always)]
    fn dot_u8(self, acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
        op!(_mm512_dpbusd_epi32(acc, a, w))
    }
    #[inline(always)]
    fn interleave(self, taps: [&[u8; LANES]; 4], out: &mut [u8; 64]) {
        op!({
            let tap = |i: usize| _mm_loadu_si128(taps[i].as_ptr().cast());
            let all = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(tap(0)), tap(1));
            let all = _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(all, tap(2)), tap(3));
            // Four channels of each tap into one quarter, which is then transposed.
            let quarters = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), all);
            let bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_shuffle_epi8(quarters, bytes));
        })
    }
    #[inline(always)]
    fn filter_u8(self, acc: __m512i, w: __m512i, x: &[u8; 64]) -> __m512i {
        op!(_mm512_dpbusd_epi32(acc, _mm512_loadu_si512(x.as_ptr().cast()), w))
    }
}

impl Products for Avx512Vnni {
    #[inline(always)]
    fn products<A: Activations<Self>, E: Epilogue<Self>>(self, acts: A, weights: Blocks<'_>, epilogue: &mut E) {
        // 24 accumulators, the weights, one activation and the offset stay within 32 registers. A few rows (a prompt) wait for weights, of
        // which more are in flight in a wider tile.
        if acts.rows() < 4 {
            products_tiled::<Self, A, E, 2, 8>(self, acts, weights, epilogue);
        } else if weights.count().is_multiple_of(4) && weights.depth() > 1024 {
            products_tiled::<Self, A, E, 6, 4>(self, acts, weights, epilogue);
        } else {
            products_tiled::<Self, A, E, 12, 2>(self, acts, weights, epilogue);
        }
    }
}

impl Token for Avx512Vnni {
    #[inline(always)]
    fn run<O: SimdOp>(self, op: O) -> O::Output {
        op!(run(self, op))
    }
}
