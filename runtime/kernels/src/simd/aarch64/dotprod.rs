//! `sdot`: four products a lane.
//!
//! The intrinsics are unstable (stdarch_neon_dotprod), so single instructions are written as assembly.

use core::arch::aarch64::*;
use core::arch::asm;

use super::tiles::{self, Tile};
use super::{Aarch64, I, Multiply};
use crate::dot::{Activations, Blocks, Epilogue};
use crate::simd::token::SimdOp;

/// Proof that the CPU has `sdot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dotprod {
    _private: (),
}

#[target_feature(enable = "neon,dotprod")]
fn run<O: SimdOp>(token: Aarch64<Dotprod>, op: O) -> O::Output {
    op.eval(token)
}

/// `acc[n] += sum_i w[4 n + i] * a[4 n + i]`
///
/// # Safety
/// The CPU has `sdot`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot(mut acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but its operands.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {w:v}.16b, {a:v}.16b",
            acc = inout(vreg) acc, w = in(vreg) w, a = in(vreg) a,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// `acc[n] += sum_i w[4 n + i] * a[4 LANE + i]`
///
/// # Safety
/// The CPU has `sdot`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot_lane<const LANE: usize>(mut acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but its operands.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {w:v}.16b, {a:v}.4b[{lane}]",
            acc = inout(vreg) acc, w = in(vreg) w, a = in(vreg) a, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// [`sdot_lane`] for unsigned `a`.
///
/// # Safety
/// The CPU has `sudot`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn sudot_lane<const LANE: usize>(mut acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but its operands.
    unsafe {
        asm!(
            "sudot {acc:v}.4s, {w:v}.16b, {a:v}.4b[{lane}]",
            acc = inout(vreg) acc, w = in(vreg) w, a = in(vreg) a, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// One group of all rows: group `LANE` of each row's four.
///
/// # Safety
/// The CPU has `sdot` (with `MIXED` also `sudot`), and `block` holds the group.
#[inline(always)]
unsafe fn group<const MR: usize, const LANE: usize, const MIXED: bool>(acc: &mut [I; MR], block: *const i8, a: &[int8x16_t; MR]) {
    // SAFETY: the caller vouches for both.
    unsafe {
        let w = block.add(64 * LANE);
        let w = [vld1q_s8(w), vld1q_s8(w.add(16)), vld1q_s8(w.add(32)), vld1q_s8(w.add(48))];
        for (acc, a) in acc.iter_mut().zip(a) {
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = if MIXED { sudot_lane::<LANE>(*acc, w, *a) } else { sdot_lane::<LANE>(*acc, w, *a) };
            }
        }
    }
}

/// [`Tile::tile`]. Each byte of activations is multiplied after `^ flip`: as u8 with `MIXED`, otherwise as s8.
///
/// # Safety
/// As there, and the CPU has `sdot` (with `MIXED` also `sudot`).
#[inline(always)]
pub(super) unsafe fn tile<const MR: usize, const MIXED: bool>(
    rows: [*const i8; MR],
    mut block: *const i8,
    groups: usize,
    flip: i8,
) -> [I; MR] {
    // SAFETY: the caller vouches for rows and block of `groups` groups, of which each is read once, and for the instruction.
    unsafe {
        let flip = vdupq_n_s8(flip);
        let mut acc = [[vdupq_n_s32(0); 4]; MR];
        let mut done = 0;
        while done + 4 <= groups {
            let mut a = [flip; MR];
            for (a, row) in a.iter_mut().zip(&rows) {
                *a = veorq_s8(vld1q_s8(row.add(4 * done)), flip);
            }
            group::<MR, 0, MIXED>(&mut acc, block, &a);
            group::<MR, 1, MIXED>(&mut acc, block, &a);
            group::<MR, 2, MIXED>(&mut acc, block, &a);
            group::<MR, 3, MIXED>(&mut acc, block, &a);
            block = block.add(256);
            done += 4;
        }
        while done < groups {
            let mut a = [flip; MR];
            for (a, row) in a.iter_mut().zip(&rows) {
                *a = veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(row.add(4 * done).cast::<i32>().read_unaligned())), flip);
            }
            group::<MR, 0, MIXED>(&mut acc, block, &a);
            block = block.add(64);
            done += 1;
        }
        acc
    }
}

impl<const MR: usize> Tile<MR> for Dotprod {
    #[inline(always)]
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; MR], block: *const i8, groups: usize) -> [I; MR] {
        // SAFETY: the caller vouches for rows and block; `self` proves the instruction.
        unsafe { tile::<MR, false>(rows, block, groups, if U8 { -128 } else { 0 }) }
    }
}

impl Multiply for Dotprod {
    const NAME: &'static str = "dotprod";
    const PROB_OFFSET: i32 = 128;

    fn new() -> Option<Self> {
        super::has_features!("neon", "dotprod").then_some(Self { _private: () })
    }
    #[inline(always)]
    fn run<O: SimdOp>(token: Aarch64<Self>, op: O) -> O::Output {
        // SAFETY: the token proves the features.
        unsafe { run(token, op) }
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I {
        // SAFETY: `self` proves the instruction.
        unsafe { [sdot(acc[0], w[0], a[0]), sdot(acc[1], w[1], a[1]), sdot(acc[2], w[2], a[2]), sdot(acc[3], w[3], a[3])] }
    }
    #[inline(always)]
    fn products<A: Activations<Aarch64<Self>>, E: Epilogue<Aarch64<Self>>>(
        token: Aarch64<Self>,
        acts: A,
        weights: Blocks<'_>,
        epilogue: &mut E,
    ) {
        // 16 accumulators, 4 rows' activations, and weights on their way.
        tiles::products::<Self, A, E, 4>(token, acts, weights, epilogue);
    }
}
