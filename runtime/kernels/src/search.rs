//! A query next to many stored rows.

use crate::simd::{Isa, Simd, SimdOp};

/// Widest rows: sums of products with a query of ±2047 do not overflow.
pub const MAX_WIDTH: usize = 4096;

/// The largest magnitude of a query's values.
pub const MOST: i16 = 2047;

const _: () = assert!(MOST as usize * 128 * MAX_WIDTH < 1 << 31);

/// `out[r] = sum_i query[i] * rows[r][i]`, exactly; `rows` is `[out.len()][query.len()]`, of any s8. Whole numbers: no order
/// of additions changes a bit.
///
/// # Panics
/// If `rows` is not of that length, `query` wider than [`MAX_WIDTH`], or one of its values beyond ±[`MOST`].
pub fn products_of_rows(isa: Isa, query: &[i16], rows: &[i8], out: &mut [i32]) {
    assert!(query.len() <= MAX_WIDTH && query.iter().all(|value| (-MOST..=MOST).contains(value)), "a query that may overflow");
    assert_eq!(Some(rows.len()), query.len().checked_mul(out.len()), "rows of another width");
    isa.dispatch(Products { query, rows, out });
}

struct Products<'a> {
    query: &'a [i16],
    rows: &'a [i8],
    out: &'a mut [i32],
}

impl SimdOp for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        let Self { query, rows, out } = self;
        if query.is_empty() {
            out.fill(0);
            return;
        }
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            // Plain loops: products of s16 in pairs are what compilers know best.
            *out = query.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        }
    }
}
