//! Integer products against plain loops, with `==`, on every instruction set of this CPU.

use crate::common::{Random, isas};
use crate::guarded::Guarded;
use ossicle_kernels::dot::{Activations, BLOCK_BYTES, Blocks, Epilogue, MAX_DEPTH, MAX_DEPTH_U8, S8Rows, U8Rows};
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

const POISON: i32 = i32::MIN + 7;

struct Products<'a, A>(A, Blocks<'a>, &'a mut [i32]);

/// Stores sums and checks that each comes once.
struct Collect<'a>(&'a mut [i32], usize);

impl<S: Simd> Epilogue<S> for Collect<'_> {
    type Row = ();
    type Block = ();

    fn row(&self, _: S, _: usize) {}

    fn block(&self, _: S, _: usize) {}

    fn put(&mut self, s: S, (row, block): (usize, usize), (): (), (): (), sums: S::I32) {
        let out = self.0[row * self.1 + block * LANES..].first_chunk_mut().expect("whole blocks");
        assert_eq!(*out, [POISON; LANES], "row {row}, block {block} came twice");
        s.store_i32(sums, out);
    }
}

macro_rules! products_op {
    ($rows:ty) => {
        impl SimdOp for Products<'_, $rows> {
            type Output = ();

            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                let width = self.1.count() * LANES;
                s.products(self.0, self.1, &mut Collect(self.2, width));
            }
        }
    };
}
products_op!(S8Rows<'_>);
products_op!(U8Rows<'_>);

/// `weights[n][k]` to `[n / 16][k / 4][16][4]`.
fn pack(weights: &[i8], outputs: usize, depth: usize) -> Vec<i8> {
    let mut packed = vec![0; outputs * depth];
    for n in 0..outputs {
        for k in 0..depth {
            packed[((n / LANES * (depth / 4) + k / 4) * LANES + n % LANES) * 4 + k % 4] = weights[n * depth + k];
        }
    }
    packed
}

fn expected<T: Copy + Into<i32>>(acts: &[T], weights: &[i8], rows: usize, outputs: usize, depth: usize) -> Vec<i32> {
    let mut out = vec![0; rows * outputs];
    for m in 0..rows {
        for n in 0..outputs {
            for k in 0..depth {
                out[m * outputs + n] += acts[m * depth + k].into() * i32::from(weights[n * depth + k]);
            }
        }
    }
    out
}

fn check_s8(isa: Isa, acts: &[i8], weights: &[i8], rows: usize, outputs: usize, depth: usize) {
    let sums: Vec<i32> = acts.chunks(depth).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
    // At the end of memory, so on any alignment, and nothing behind it can be read.
    let (rows_end, weights_end) = (Guarded::new(acts), Guarded::new(&pack(weights, outputs, depth)));
    let mut out = vec![POISON; rows * outputs];
    isa.dispatch(Products(S8Rows::new(&rows_end, &sums, depth, depth), Blocks::new(&weights_end, depth), &mut out));
    assert_eq!(out, expected(acts, weights, rows, outputs, depth), "s8 {rows} x {outputs} x {depth} on {isa}");
}

fn check_u8(isa: Isa, acts: &[u8], weights: &[i8], rows: usize, outputs: usize, depth: usize) {
    let sums: Vec<i32> = weights.chunks(depth).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
    let (rows_end, weights_end) = (Guarded::new(acts), Guarded::new(&pack(weights, outputs, depth)));
    let mut out = vec![POISON; rows * outputs];
    isa.dispatch(Products(U8Rows::new(&rows_end, &sums, rows, depth, depth), Blocks::new(&weights_end, depth), &mut out));
    assert_eq!(out, expected(acts, weights, rows, outputs, depth), "u8 {rows} x {outputs} x {depth} on {isa}");
}

#[test]
fn sums_are_exact_around_every_tile() {
    let mut random = Random::new(1);
    for isa in isas() {
        for rows in (1..=17).chain([23, 24, 25, 36]) {
            for (blocks, depth) in [(1, 4), (1, 64), (2, 12), (3, 20), (4, 16), (5, 8), (6, 240), (7, 4)] {
                let outputs = blocks * LANES;
                check_s8(isa, &random.bytes(rows * depth), &random.bytes(outputs * depth), rows, outputs, depth);
                let probs: Vec<u8> = (0..rows * depth).map(|_| random.next() as u8).collect();
                check_u8(isa, &probs, &random.bytes(outputs * depth), rows, outputs, depth);
            }
        }
        for depth in (4..=40).step_by(4).chain([1020, 1024, 1028, 1536]) {
            check_s8(isa, &random.bytes(13 * depth), &random.bytes(64 * depth), 13, 64, depth);
            check_s8(isa, &random.bytes(depth), &random.bytes(32 * depth), 1, 32, depth);
        }
    }
}

#[test]
fn extremes_neither_saturate_nor_overflow() {
    for isa in isas() {
        for rows in [1, 4, 12] {
            for (a, w) in [(127, 127), (127, -127), (-127, 127), (-127, -127)] {
                check_s8(isa, &vec![a; rows * 256], &vec![w; 32 * 256], rows, 32, 256);
            }
            for (a, w) in [(255, 127), (255, -127), (0, 127), (0, -127), (128, 127)] {
                check_u8(isa, &vec![a; rows * 256], &vec![w; 64 * 256], rows, 64, 256);
            }
        }
        for (a, w) in [(127, 127), (-127, 127)] {
            check_s8(isa, &vec![a; MAX_DEPTH], &vec![w; LANES * MAX_DEPTH], 1, LANES, MAX_DEPTH);
        }
        for w in [127, -127, -128] {
            check_u8(isa, &vec![255; MAX_DEPTH_U8], &vec![w; LANES * MAX_DEPTH_U8], 1, LANES, MAX_DEPTH_U8);
        }
    }
}

#[test]
#[should_panic(expected = "depth 65808")]
fn rows_of_u8_that_could_overflow_are_refused() {
    let depth = MAX_DEPTH_U8 + 16;
    U8Rows::new(&vec![255; depth], &[0; LANES], 1, depth, depth);
}

#[test]
fn strided_and_truncated_blocks_are_the_same_weights() {
    let mut random = Random::new(2);
    let (rows, depth, count) = (5, 64, 3);
    let (acts, weights) = (random.bytes(rows * depth), random.bytes(count * LANES * depth));
    let sums: Vec<i32> = acts.chunks(depth).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
    let packed = pack(&weights, count * LANES, depth);
    let mut spread = vec![77; 2 * packed.len()];
    for (i, block) in packed.chunks(depth * LANES).enumerate() {
        spread[2 * i * depth * LANES..][..block.len()].copy_from_slice(block);
    }
    for isa in isas() {
        let mut out = vec![POISON; rows * count * LANES];
        let blocks = Blocks::strided(&spread, depth, 2 * depth, count);
        isa.dispatch(Products(S8Rows::new(&acts, &sums, depth, depth), blocks, &mut out));
        assert_eq!(out, expected(&acts, &weights, rows, count * LANES, depth), "{isa}");

        let mut out = vec![POISON; rows * LANES];
        let half: Vec<i8> = acts.chunks(depth).flat_map(|row| &row[..32]).copied().collect();
        let half_sums: Vec<i32> = half.chunks(32).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
        let half_weights: Vec<i8> = weights[LANES * depth..].chunks(depth).take(LANES).flat_map(|row| &row[..32]).copied().collect();
        let blocks = Blocks::new(&packed, depth).slice(1..2).truncated(32);
        isa.dispatch(Products(S8Rows::new(&acts, &half_sums, 32, depth), blocks, &mut out));
        assert_eq!(out, expected(&half, &half_weights, rows, LANES, 32), "{isa}");
    }
}

#[test]
fn no_rows_and_no_blocks_are_no_work() {
    for isa in isas() {
        isa.dispatch(Products(S8Rows::new(&[], &[], 4, 4), Blocks::new(&[0; BLOCK_BYTES], 4), &mut []));
        isa.dispatch(Products(S8Rows::new(&[1; 4], &[4], 4, 4), Blocks::new(&[], 4), &mut []));
    }
}

#[test]
#[should_panic(expected = "depth")]
fn different_depths_are_refused() {
    let (acts, weights) = ([1; 8], [1; 64]);
    Isa::detect().dispatch(Products(S8Rows::new(&acts, &[8], 8, 8), Blocks::new(&weights, 4), &mut [POISON; LANES]));
}

/// Keeps the trait's methods in use where only one row type is instantiated.
#[test]
fn rows_report_their_size() {
    struct Size<'a>(S8Rows<'a>);
    impl SimdOp for Size<'_> {
        type Output = (usize, usize);
        fn eval<S: Simd>(self, _: S) -> (usize, usize) {
            (Activations::<S>::rows(&self.0), Activations::<S>::depth(&self.0))
        }
    }
    assert_eq!(Isa::detect().dispatch(Size(S8Rows::new(&[0; 24], &[0; 3], 8, 8))), (3, 8));
}
