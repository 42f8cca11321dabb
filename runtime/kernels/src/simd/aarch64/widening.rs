//! Baseline NEON: products of s8 in 16 bits, two of which are added before they widen to 32.
//!
//! `127 * 128 * 2 = 32512` fits 16 bits, so `smull`, `smlal` and `sadalp` are exact for rows of s8, and for rows of u8, which are multiplied as
//! `a - 128`, where no weight is -128: `128 * 128 * 2` does not fit. [`Blocks::sums`], which every such product needs, refuses that weight.

use core::arch::aarch64::*;

use super::tiles::{self, Tile};
use super::{Aarch64, I, Multiply, zip};
use crate::dot::{Activations, Blocks, Epilogue};
use crate::simd::token::SimdOp;

/// Proof that the CPU has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    _private: (),
}

/// One output's sums are in two neighbouring lanes: eight registers for 16 outputs.
type Halves = [int32x4_t; 8];

/// Sums of 16 outputs from their halves.
#[inline(always)]
fn whole(acc: Halves) -> I {
    // SAFETY: NEON is part of every AArch64 target.
    unsafe { [vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]), vpaddq_s32(acc[4], acc[5]), vpaddq_s32(acc[6], acc[7])] }
}

/// Two groups (8 inputs) of all rows: `a[r]` holds both, each repeated.
///
/// # Safety
/// `block` holds two groups.
#[inline(always)]
unsafe fn two_groups<const MR: usize>(acc: &mut [Halves; MR], block: *const i8, a: &[[int8x16_t; 2]; MR]) {
    // Written out per quarter: a loop with a variable index would keep the accumulators in memory.
    macro_rules! quarter {
        ($q:literal) => {
            // SAFETY: the caller vouches for the block.
            unsafe {
                let w = [vld1q_s8(block.add(16 * $q)), vld1q_s8(block.add(64 + 16 * $q))];
                for (acc, a) in acc.iter_mut().zip(a) {
                    let low = vmull_s8(vget_low_s8(w[0]), vget_low_s8(a[0]));
                    let low = vmlal_s8(low, vget_low_s8(w[1]), vget_low_s8(a[1]));
                    acc[2 * $q] = vpadalq_s16(acc[2 * $q], low);
                    let high = vmull_high_s8(w[0], a[0]);
                    let high = vmlal_high_s8(high, w[1], a[1]);
                    acc[2 * $q + 1] = vpadalq_s16(acc[2 * $q + 1], high);
                }
            }
        };
    }
    quarter!(0);
    quarter!(1);
    quarter!(2);
    quarter!(3);
}

/// Four inputs, repeated.
///
/// # Safety
/// `row` holds them.
#[inline(always)]
unsafe fn four(row: *const i8, flip: int8x16_t) -> int8x16_t {
    // SAFETY: the caller vouches for four bytes.
    unsafe { veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(row.cast::<i32>().read_unaligned())), flip) }
}

impl<const MR: usize> Tile<MR> for Widening {
    #[inline(always)]
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; MR], mut block: *const i8, groups: usize) -> [I; MR] {
        // SAFETY: the caller vouches for rows and block of `groups` groups, of which each is read once.
        unsafe {
            let flip = vdupq_n_s8(if U8 { -128 } else { 0 });
            let mut acc = [[vdupq_n_s32(0); 8]; MR];
            let mut done = 0;
            while done + 4 <= groups {
                let mut first = [[flip; 2]; MR];
                let mut second = [[flip; 2]; MR];
                for (r, row) in rows.iter().enumerate() {
                    let a = vreinterpretq_s32_s8(veorq_s8(vld1q_s8(row.add(4 * done)), flip));
                    first[r] = [vreinterpretq_s8_s32(vdupq_laneq_s32::<0>(a)), vreinterpretq_s8_s32(vdupq_laneq_s32::<1>(a))];
                    second[r] = [vreinterpretq_s8_s32(vdupq_laneq_s32::<2>(a)), vreinterpretq_s8_s32(vdupq_laneq_s32::<3>(a))];
                }
                two_groups(&mut acc, block, &first);
                two_groups(&mut acc, block.add(128), &second);
                block = block.add(256);
                done += 4;
            }
            let mut sums = [[vdupq_n_s32(0); 4]; MR];
            for (sums, acc) in sums.iter_mut().zip(acc) {
                *sums = whole(acc);
            }
            while done < groups {
                let w = [vld1q_s8(block), vld1q_s8(block.add(16)), vld1q_s8(block.add(32)), vld1q_s8(block.add(48))];
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    *sums = self.dot_s8(*sums, w, [four(row.add(4 * done), flip); 4]);
                }
                block = block.add(64);
                done += 1;
            }
            sums
        }
    }
}

impl Multiply for Widening {
    const NAME: &'static str = "neon";
    const PROB_OFFSET: i32 = 128;

    fn new() -> Option<Self> {
        super::has_features!("neon").then_some(Self { _private: () })
    }
    #[inline(always)]
    fn run<O: SimdOp>(token: Aarch64<Self>, op: O) -> O::Output {
        op.eval(token)
    }
    #[inline(always)]
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I {
        // SAFETY: NEON is part of every AArch64 target. Pairs of products are added within 16 bits, pairs of those in 32.
        let products = zip(w, a, |w, a| unsafe { vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)), vmull_high_s8(w, a)) });
        // SAFETY: as above.
        zip(acc, products, |acc, pairs| unsafe { vpadalq_s16(acc, pairs) })
    }
    #[inline(always)]
    fn products<A: Activations<Aarch64<Self>>, E: Epilogue<Aarch64<Self>>>(
        token: Aarch64<Self>,
        acts: A,
        weights: Blocks<'_>,
        epilogue: &mut E,
    ) {
        // 16 accumulators, 8 of activations, and weights and products on their way.
        tiles::products::<Self, A, E, 2>(token, acts, weights, epilogue);
    }
}
