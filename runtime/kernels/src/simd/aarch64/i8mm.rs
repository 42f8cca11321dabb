//! `smmla` and `usmmla`: two rows by two outputs of eight inputs each.
//!
//! The intrinsics are unstable (stdarch_neon_i8mm), so the instructions are written as assembly.

use core::arch::aarch64::*;
use core::arch::asm;

use super::tiles::{self, Tile};
use super::{Aarch64, Dotprod, I, Multiply, dotprod, zip};
use crate::dot::{Activations, Blocks, Epilogue};
use crate::simd::token::SimdOp;

/// Proof that the CPU has `smmla`, `usmmla`, `usdot` and `sdot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I8mm {
    dotprod: Dotprod,
}

#[target_feature(enable = "neon,dotprod,i8mm")]
fn run<O: SimdOp>(token: Aarch64<I8mm>, op: O) -> O::Output {
    op.eval(token)
}

/// `acc[n] += sum_i a[4 n + i] * w[4 n + i]`, `a` unsigned.
///
/// # Safety
/// The CPU has `usdot`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn usdot(mut acc: int32x4_t, a: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction, which touches nothing but its operands.
    unsafe {
        asm!(
            "usdot {acc:v}.4s, {a:v}.16b, {w:v}.16b",
            acc = inout(vreg) acc, a = in(vreg) a, w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// Two rows by 16 outputs: register `n` holds outputs `2 n` and `2 n + 1` of the first row, then of the second.
type Pair = [int32x4_t; 8];

/// Six rows by 16 outputs in 24 accumulators, `$steps` times 8 inputs. The whole loop is assembly: compilers move the loads of single
/// instructions ahead of the multiplications, until accumulators no longer fit the registers.
macro_rules! six_rows {
    ($multiply:literal, $rows:expr, $block:expr, $steps:expr) => {{
        let mut acc: [Pair; 3] = [[vdupq_n_s32(0); 8]; 3];
        asm!(
            "movi v8.2d, #0", "movi v9.2d, #0", "movi v10.2d, #0", "movi v11.2d, #0", "movi v12.2d, #0", "movi v13.2d, #0",
            "movi v14.2d, #0", "movi v15.2d, #0", "movi v16.2d, #0", "movi v17.2d, #0", "movi v18.2d, #0", "movi v19.2d, #0",
            "movi v20.2d, #0", "movi v21.2d, #0", "movi v22.2d, #0", "movi v23.2d, #0", "movi v24.2d, #0", "movi v25.2d, #0",
            "movi v26.2d, #0", "movi v27.2d, #0", "movi v28.2d, #0", "movi v29.2d, #0", "movi v30.2d, #0", "movi v31.2d, #0",
            "2:",
            // Eight inputs of each pair of rows.
            "ldr d0, [{r0}], #8",
            "ld1 {{v0.d}}[1], [{r1}], #8",
            "ldr d1, [{r2}], #8",
            "ld1 {{v1.d}}[1], [{r3}], #8",
            "ldr d2, [{r4}], #8",
            "ld1 {{v2.d}}[1], [{r5}], #8",
            // Of two groups, 4 inputs of 4 outputs each; zipped, 8 inputs of 2 outputs: outputs 0 to 7.
            "ldp q3, q4, [{block}, #0]",
            "ldp q5, q6, [{block}, #64]",
            "zip1 v7.4s, v3.4s, v5.4s",
            "zip2 v3.4s, v3.4s, v5.4s",
            concat!($multiply, " v8.4s, v0.16b, v7.16b"),
            concat!($multiply, " v16.4s, v1.16b, v7.16b"),
            concat!($multiply, " v24.4s, v2.16b, v7.16b"),
            concat!($multiply, " v9.4s, v0.16b, v3.16b"),
            concat!($multiply, " v17.4s, v1.16b, v3.16b"),
            concat!($multiply, " v25.4s, v2.16b, v3.16b"),
            "zip1 v5.4s, v4.4s, v6.4s",
            "zip2 v4.4s, v4.4s, v6.4s",
            concat!($multiply, " v10.4s, v0.16b, v5.16b"),
            concat!($multiply, " v18.4s, v1.16b, v5.16b"),
            concat!($multiply, " v26.4s, v2.16b, v5.16b"),
            concat!($multiply, " v11.4s, v0.16b, v4.16b"),
            concat!($multiply, " v19.4s, v1.16b, v4.16b"),
            concat!($multiply, " v27.4s, v2.16b, v4.16b"),
            // Of two groups, 4 inputs of 4 outputs each; zipped, 8 inputs of 2 outputs: outputs 8 to 15.
            "ldp q3, q4, [{block}, #32]",
            "ldp q5, q6, [{block}, #96]",
            "zip1 v7.4s, v3.4s, v5.4s",
            "zip2 v3.4s, v3.4s, v5.4s",
            concat!($multiply, " v12.4s, v0.16b, v7.16b"),
            concat!($multiply, " v20.4s, v1.16b, v7.16b"),
            concat!($multiply, " v28.4s, v2.16b, v7.16b"),
            concat!($multiply, " v13.4s, v0.16b, v3.16b"),
            concat!($multiply, " v21.4s, v1.16b, v3.16b"),
            concat!($multiply, " v29.4s, v2.16b, v3.16b"),
            "zip1 v5.4s, v4.4s, v6.4s",
            "zip2 v4.4s, v4.4s, v6.4s",
            concat!($multiply, " v14.4s, v0.16b, v5.16b"),
            concat!($multiply, " v22.4s, v1.16b, v5.16b"),
            concat!($multiply, " v30.4s, v2.16b, v5.16b"),
            concat!($multiply, " v15.4s, v0.16b, v4.16b"),
            concat!($multiply, " v23.4s, v1.16b, v4.16b"),
            concat!($multiply, " v31.4s, v2.16b, v4.16b"),
            "add {block}, {block}, #128",
            "subs {steps}, {steps}, #1",
            "b.ne 2b",
            r0 = inout(reg) $rows[0] => _, r1 = inout(reg) $rows[1] => _, r2 = inout(reg) $rows[2] => _,
            r3 = inout(reg) $rows[3] => _, r4 = inout(reg) $rows[4] => _, r5 = inout(reg) $rows[5] => _,
            block = inout(reg) $block => _, steps = inout(reg) $steps => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") acc[0][0], out("v9") acc[0][1], out("v10") acc[0][2], out("v11") acc[0][3],
            out("v12") acc[0][4], out("v13") acc[0][5], out("v14") acc[0][6], out("v15") acc[0][7],
            out("v16") acc[1][0], out("v17") acc[1][1], out("v18") acc[1][2], out("v19") acc[1][3],
            out("v20") acc[1][4], out("v21") acc[1][5], out("v22") acc[1][6], out("v23") acc[1][7],
            out("v24") acc[2][0], out("v25") acc[2][1], out("v26") acc[2][2], out("v27") acc[2][3],
            out("v28") acc[2][4], out("v29") acc[2][5], out("v30") acc[2][6], out("v31") acc[2][7],
            options(readonly, nostack),
        );
        acc
    }};
}

/// Three pairs of rows by 16 outputs, `steps` times 8 inputs.
///
/// # Safety
/// The CPU has `smmla` and `usmmla`; the rows hold `8 * steps` bytes, the block `128 * steps`, and `steps` is not zero.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn six_rows<const U8: bool>(rows: [*const i8; 6], block: *const i8, steps: usize) -> [Pair; 3] {
    // SAFETY: the caller vouches for rows, block, steps and instructions; nothing is written but registers.
    unsafe { if U8 { six_rows!("usmmla", rows, block, steps) } else { six_rows!("smmla", rows, block, steps) } }
}

/// A row's outputs in order, from a pair of rows.
#[inline(always)]
fn rows_of(pair: Pair) -> [I; 2] {
    let mut rows = [[pair[0]; 4]; 2];
    for q in 0..4 {
        // SAFETY: NEON is part of every AArch64 target.
        unsafe {
            let (a, b) = (vreinterpretq_s64_s32(pair[2 * q]), vreinterpretq_s64_s32(pair[2 * q + 1]));
            rows[0][q] = vreinterpretq_s32_s64(vzip1q_s64(a, b));
            rows[1][q] = vreinterpretq_s32_s64(vzip2q_s64(a, b));
        }
    }
    rows
}

impl Tile<6> for I8mm {
    #[inline(always)]
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; 6], block: *const i8, groups: usize) -> [I; 6] {
        let steps = groups / 2;
        let done = 2 * steps;
        // SAFETY: the caller vouches for rows and block of `groups` groups, of which each is read once; `self` proves the instructions.
        unsafe {
            let mut out = [[vdupq_n_s32(0); 4]; 6];
            if steps > 0 {
                let acc = six_rows::<U8>(rows, block, steps);
                let [[a, b], [c, d], [e, f]] = [rows_of(acc[0]), rows_of(acc[1]), rows_of(acc[2])];
                out = [a, b, c, d, e, f];
            }
            if done < groups {
                for (out, row) in out.iter_mut().zip(rows) {
                    let [rest] = <Self as Tile<1>>::tile::<U8>(self, [row.add(4 * done)], block.add(64 * done), groups - done);
                    *out = zip(*out, rest, |a, b| vaddq_s32(a, b));
                }
            }
            out
        }
    }
}

impl Tile<1> for I8mm {
    #[inline(always)]
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; 1], block: *const i8, groups: usize) -> [I; 1] {
        // SAFETY: the caller vouches for row and block; `self` proves the instructions.
        unsafe { dotprod::tile::<1, U8>(rows, block, groups, 0) }
    }
}

impl Multiply for I8mm {
    const NAME: &'static str = "i8mm";
    const PROB_OFFSET: i32 = 0;

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
    fn dot_s8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I {
        self.dotprod.dot_s8(acc, w, a)
    }
    #[inline(always)]
    fn dot_u8(self, acc: I, w: [int8x16_t; 4], a: [int8x16_t; 4]) -> I {
        // SAFETY: `self` proves the instruction.
        unsafe { [usdot(acc[0], a[0], w[0]), usdot(acc[1], a[1], w[1]), usdot(acc[2], a[2], w[2]), usdot(acc[3], a[3], w[3])] }
    }
    #[inline(always)]
    fn products<A: Activations<Aarch64<Self>>, E: Epilogue<Aarch64<Self>>>(
        token: Aarch64<Self>,
        acts: A,
        weights: Blocks<'_>,
        epilogue: &mut E,
    ) {
        tiles::products::<Self, A, E, 6>(token, acts, weights, epilogue);
    }
}
