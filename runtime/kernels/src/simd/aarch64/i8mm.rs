//! `smmla`: two rows by two outputs of eight inputs each.
//!
//! The intrinsics are unstable (stdarch_neon_i8mm), so the instruction is written as assembly.

use core::arch::aarch64::*;
use core::arch::asm;

use super::tiles::{self, Tile};
use super::{Aarch64, Dotprod, I, Multiply, dotprod};
use crate::dot::{Activations, Blocks, Epilogue};
use crate::simd::SimdOp;

/// Proof that the CPU has `smmla` and `sdot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I8mm {
    dotprod: Dotprod,
}

#[target_feature(enable = "neon,dotprod,i8mm")]
fn run<O: SimdOp>(token: Aarch64<I8mm>, op: O) -> O::Output {
    op.eval(token)
}

/// `acc[2 r + n] += sum_k rows[8 r + k] * outputs[8 n + k]` for two rows and two outputs.
///
/// # Safety
/// The CPU has `smmla`.
#[inline(always)]
unsafe fn smmla(mut acc: int32x4_t, rows: int8x16_t, outputs: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but its operands.
    unsafe {
        asm!("smmla {acc:v}.4s, {rows:v}.16b, {outputs:v}.16b", acc = inout(vreg) acc, rows = in(vreg) rows, outputs = in(vreg) outputs, options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

/// `[low half of a, low half of b]` and `[high half of a, high half of b]`.
#[inline(always)]
fn zip_halves(a: int8x16_t, b: int8x16_t) -> [int8x16_t; 2] {
    // SAFETY: NEON is part of every AArch64 target.
    unsafe {
        let (a, b) = (vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b));
        [vreinterpretq_s8_s64(vzip1q_s64(a, b)), vreinterpretq_s8_s64(vzip2q_s64(a, b))]
    }
}

/// Two rows by 16 outputs: register `n` holds outputs `2 n` and `2 n + 1` of the first row, then of the second.
type Pair = [int32x4_t; 8];

/// Two groups (8 inputs) of all pairs of rows.
///
/// # Safety
/// The CPU has `smmla`, and `block` holds two groups.
#[inline(always)]
unsafe fn two_groups<const PAIRS: usize>(acc: &mut [Pair; PAIRS], block: *const i8, a: &[int8x16_t; PAIRS]) {
    // Written out per quarter: a loop with a variable index would keep the accumulators in memory.
    macro_rules! quarter {
        ($q:literal) => {
            // SAFETY: the caller vouches for block and instruction.
            unsafe {
                let first = vreinterpretq_s32_s8(vld1q_s8(block.add(16 * $q)));
                let second = vreinterpretq_s32_s8(vld1q_s8(block.add(64 + 16 * $q)));
                // A group holds 4 inputs of 4 outputs; of two groups, 8 inputs of 2 outputs each.
                let low = vreinterpretq_s8_s32(vzip1q_s32(first, second));
                let high = vreinterpretq_s8_s32(vzip2q_s32(first, second));
                for (acc, a) in acc.iter_mut().zip(a) {
                    acc[2 * $q] = smmla(acc[2 * $q], *a, low);
                    acc[2 * $q + 1] = smmla(acc[2 * $q + 1], *a, high);
                }
            }
        };
    }
    quarter!(0);
    quarter!(1);
    quarter!(2);
    quarter!(3);
}

/// Sums of `PAIRS` pairs of rows, and the groups that are done: those left over are fewer than four.
///
/// # Safety
/// As [`Tile::tile`], and the CPU has `smmla`.
#[inline(always)]
unsafe fn pairs<const PAIRS: usize, const U8: bool>(
    rows: [[*const i8; 2]; PAIRS],
    block: *const i8,
    groups: usize,
) -> ([[I; 2]; PAIRS], usize) {
    // SAFETY: the caller vouches for rows and block of `groups` groups, of which each is read at most once, and for the instruction.
    unsafe {
        let flip = vdupq_n_s8(if U8 { -128 } else { 0 });
        let mut acc = [[vdupq_n_s32(0); 8]; PAIRS];
        let mut done = 0;
        while done + 4 <= groups {
            let mut first = [flip; PAIRS];
            let mut second = [flip; PAIRS];
            for (p, pair) in rows.iter().enumerate() {
                let [a, b] = [vld1q_s8(pair[0].add(4 * done)), vld1q_s8(pair[1].add(4 * done))];
                [first[p], second[p]] = zip_halves(veorq_s8(a, flip), veorq_s8(b, flip));
            }
            let block = block.add(64 * done);
            two_groups(&mut acc, block, &first);
            two_groups(&mut acc, block.add(128), &second);
            done += 4;
        }
        let mut sums = [[[vdupq_n_s32(0); 4]; 2]; PAIRS];
        for (sums, acc) in sums.iter_mut().zip(acc) {
            for q in 0..4 {
                let (a, b) = (vreinterpretq_s64_s32(acc[2 * q]), vreinterpretq_s64_s32(acc[2 * q + 1]));
                sums[0][q] = vreinterpretq_s32_s64(vzip1q_s64(a, b));
                sums[1][q] = vreinterpretq_s32_s64(vzip2q_s64(a, b));
            }
        }
        (sums, done)
    }
}

/// [`Tile`] for an even number of rows.
macro_rules! even_tile {
    ($rows:literal) => {
        impl Tile<$rows> for I8mm {
            #[inline(always)]
            unsafe fn tile<const U8: bool>(self, rows: [*const i8; $rows], block: *const i8, groups: usize) -> [I; $rows] {
                const PAIRS: usize = $rows / 2;
                let mut paired = [[core::ptr::null(); 2]; PAIRS];
                for (p, pair) in paired.iter_mut().enumerate() {
                    *pair = [rows[2 * p], rows[2 * p + 1]];
                }
                let mut out = [[self.zero(); 4]; $rows];
                // SAFETY: the caller vouches for rows and block; `self` proves the instructions.
                unsafe {
                    let (sums, done) = pairs::<PAIRS, U8>(paired, block, groups);
                    for (p, [first, second]) in sums.into_iter().enumerate() {
                        [out[2 * p], out[2 * p + 1]] = [first, second];
                    }
                    if done < groups {
                        let mut left = rows;
                        for row in &mut left {
                            *row = row.add(4 * done);
                        }
                        let rest = dotprod::tile::<$rows, U8>(left, block.add(64 * done), groups - done);
                        for (out, rest) in out.iter_mut().zip(rest) {
                            *out = super::zip(*out, rest, |a, b| vaddq_s32(a, b));
                        }
                    }
                }
                out
            }
        }
    };
}

even_tile!(6);
even_tile!(2);

impl Tile<1> for I8mm {
    #[inline(always)]
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; 1], block: *const i8, groups: usize) -> [I; 1] {
        // SAFETY: the caller vouches for row and block; `self` proves `sdot`.
        unsafe { dotprod::tile::<1, U8>(rows, block, groups) }
    }
}

impl I8mm {
    #[inline(always)]
    fn zero(self) -> int32x4_t {
        // SAFETY: NEON is part of every AArch64 target.
        unsafe { vdupq_n_s32(0) }
    }
}

impl Multiply for I8mm {
    const NAME: &'static str = "i8mm";
    const PROB_OFFSET: i32 = 128;

    fn new() -> Option<Self> {
        let dotprod = Dotprod::new()?;
        super::has_features!("i8mm").then_some(Self { dotprod })
    }
    #[inline(always)]
    fn run<O: SimdOp>(token: Aarch64<Self>, op: O) -> O::Output {
        // SAFETY: the token proves the features.
        unsafe { run(token, op) }
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: int8x16_t) -> I {
        self.dotprod.dot_s8(acc, w, a)
    }
    #[inline(always)]
    fn products<A: Activations<Aarch64<Self>>, E: Epilogue<Aarch64<Self>>>(
        token: Aarch64<Self>,
        acts: A,
        weights: Blocks<'_>,
        epilogue: &mut E,
    ) {
        // 24 accumulators, 3 of activations, and weights on their way.
        tiles::products::<Self, A, E, 6, 2>(token, acts, weights, epilogue);
    }
}
