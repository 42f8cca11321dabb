//! A query next to rows.

use ossicle_kernels::search::{MAX_WIDTH, MOST, products_of_rows};
use ossicle_kernels::simd::Isa;

/// Sums of products in i64, one after the other.
fn oracle(query: &[i16], rows: &[i8], count: usize) -> Vec<i32> {
    let sum = |row: usize| (0..query.len()).map(|i| i64::from(query[i]) * i64::from(rows[row * query.len() + i])).sum::<i64>();
    (0..count).map(|row| i32::try_from(sum(row)).expect("no overflow")).collect()
}

fn check(query: &[i16], rows: &[i8], count: usize) {
    let expected = oracle(query, rows, count);
    for isa in Isa::available() {
        let mut out = vec![i32::MIN; count + 1];
        products_of_rows(isa, query, rows, &mut out[..count]);
        assert_eq!(&out[..count], expected, "{}: {} wide", isa.name(), query.len());
        assert_eq!(out[count], i32::MIN, "{}: beyond the end", isa.name());
    }
}

#[test]
fn sums_are_exact() {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    for width in (0..=65).chain([127, 128, 129, 384, 512, 1152, MAX_WIDTH]) {
        for count in [0, 1, 2, 5] {
            let query: Vec<i16> = (0..width).map(|_| (next() % (2 * MOST as u32 + 1)) as i16 - MOST).collect();
            let rows: Vec<i8> = (0..width * count).map(|_| next() as i8).collect();
            check(&query, &rows, count);
        }
    }
}

#[test]
fn the_largest_sums_fit() {
    for (of_query, of_rows) in [(MOST, -128), (-MOST, -128), (MOST, 127), (-MOST, 127)] {
        check(&[of_query; MAX_WIDTH], &[of_rows; 2 * MAX_WIDTH], 2);
    }
}

#[test]
#[should_panic(expected = "may overflow")]
fn queries_that_may_overflow_are_refused() {
    products_of_rows(Isa::detect(), &[MOST + 1], &[1], &mut [0]);
}
