//! Integer products against plain loops, with `==`, on every instruction set of this CPU.

use crate::common::{Random, isas};
use crate::guarded::Guarded;
use ossicle_kernels::dot::{Activations, BLOCK_BYTES, Blocks, Epilogue, LowestWeight, MAX_DEPTH, MAX_DEPTH_U8, S8Rows, U8Rows};
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
            fn eval<S: ossicle_kernels::dot::Products>(self, s: S) {
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
            for (a, w) in [(127, 127), (127, -127), (-127, 127), (-127, -127), (0, -128), (1, -128), (127, -128), (-127, -128)] {
                check_s8(isa, &vec![a; rows * 256], &vec![w; 32 * 256], rows, 32, 256);
            }
            for (a, w) in [(255, 127), (255, -127), (0, 127), (0, -127), (128, 127), (255, -128), (128, -128)] {
                check_u8(isa, &vec![a; rows * 256], &vec![w; 64 * 256], rows, 64, 256);
            }
        }
        for (a, w) in [(127, 127), (-127, 127), (127, -128), (-127, -128)] {
            check_s8(isa, &vec![a; MAX_DEPTH], &vec![w; LANES * MAX_DEPTH], 1, LANES, MAX_DEPTH);
        }
        for w in [127, -127, -128] {
            check_u8(isa, &vec![255; MAX_DEPTH_U8], &vec![w; LANES * MAX_DEPTH_U8], 1, LANES, MAX_DEPTH_U8);
        }
    }
}

/// Weights of -128 among others, with activations of every kind next to one another: a sign that is moved to the wrong side shows here.
#[test]
fn the_lowest_weight_is_a_weight_as_any_other() {
    let mut random = Random::new(3);
    let mut pick = |count: usize, among: &[i32]| -> Vec<i32> { (0..count).map(|_| among[random.next() as usize % among.len()]).collect() };
    for isa in isas() {
        for (rows, outputs, depth) in [(1, 16, 64), (3, 32, 20), (4, 48, 256), (13, 64, 36)] {
            let weights: Vec<i8> = pick(outputs * depth, &[-128, -128, -127, 0, 127]).iter().map(|&w| w as i8).collect();
            let signed: Vec<i8> = pick(rows * depth, &[-127, 0, 1, 127]).iter().map(|&a| a as i8).collect();
            check_s8(isa, &signed, &weights, rows, outputs, depth);
            // Baseline NEON multiplies u8 as `a - 128`: its bound is an activation of 1 (see `Blocks::sums`).
            let lowest = if isa.name() == "neon" { 1 } else { 0 };
            let unsigned: Vec<u8> = pick(rows * depth, &[lowest, lowest, 127, 128, 255]).iter().map(|&a| a as u8).collect();
            check_u8(isa, &unsigned, &weights, rows, outputs, depth);
        }
    }
}

#[test]
fn sums_refuse_the_lowest_weight_wherever_it_is() {
    let mut sums = [0; 2 * LANES];
    for at in 0..2 * BLOCK_BYTES {
        let mut data = [-127; 2 * BLOCK_BYTES];
        data[at] = -128;
        assert_eq!(Blocks::new(&data, 4).sums(&mut sums), Err(LowestWeight), "at {at}");
    }
    assert_eq!(Blocks::new(&[-127; 2 * BLOCK_BYTES], 4).sums(&mut sums), Ok(()));
    assert_eq!(sums, [-4 * 127; 2 * LANES]);
}

/// Whether making it panics; what it would read is never touched.
fn refused<T>(make: impl FnOnce() -> T + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(make).is_err()
}

/// Strides and counts whose products wrap around to little or nothing: what was accepted, safe code could read out of bounds.
#[test]
fn absurd_strides_and_counts_are_refused() {
    let huge = [usize::MAX - 3, usize::MAX / 2 + 1, (1 << (usize::BITS - 4)) - 4, 1 << (usize::BITS - 2), usize::MAX / LANES - 3];
    for stride in huge.map(|stride| stride / 4 * 4) {
        for count in [2, 3, 5, 17, 1 << 20, usize::MAX] {
            assert!(refused(|| Blocks::strided(&[], 4, stride, count)), "{count} blocks {stride} apart in nothing");
            assert!(refused(|| Blocks::strided(&[0; 4 * BLOCK_BYTES], 4, stride, count)), "{count} blocks {stride} apart");
            assert!(refused(|| U8Rows::new(&[0; 64], &[], count, 4, stride)), "{count} rows of u8 {stride} apart");
        }
        for rows in [2, 3, 5, 17] {
            assert!(refused(|| S8Rows::new(&[0; 64], &[0; 17][..rows], 4, stride)), "{rows} rows of s8 {stride} apart");
        }
        assert!(refused(|| S8Rows::new(&[0; 64], &[0], stride, stride)), "a row of {stride}");
    }
    // One block or row needs no stride, and none at all no data.
    Blocks::strided(&[0; BLOCK_BYTES], 4, usize::MAX - 3, 1);
    Blocks::strided(&[], 4, usize::MAX - 3, 0);
    S8Rows::new(&[0; 4], &[0], 4, usize::MAX - 3);
    U8Rows::new(&[0; 4], &[], 1, 4, usize::MAX - 3);
}

#[test]
fn strided_blocks_end_with_the_last_one() {
    let blocks = Blocks::strided(&[1; 3 * BLOCK_BYTES], 4, 8, 2);
    assert!(refused(|| blocks.truncated(8)), "the second block's bytes end at its depth");
    assert_eq!((blocks.slice(2..2).count(), blocks.slice(1..2).values(0, 0, LANES - 1)), (0, [1; 4]));
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
