//! Products of rows of f32, for what would lose too much in 8 bits.

use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Multiplies rows of f32, `out[row][n]`: `acc = fma(x[k], w[k][n], acc)` from the bias, `k` upwards. For rows that are short and would lose
/// too much in 8 bits, as those of a first convolution.
///
/// `weights` is `[depth][outputs]`, `bias` `[outputs]`, `rows` as many times `depth` values as `out` has rows.
///
/// # Panics
/// If the outputs are no multiple of 16, or a slice does not fit.
pub fn multiply_rows(isa: Isa, rows: &[f32], weights: &[f32], bias: &[f32], out: &mut [f32]) {
    isa.dispatch(MultiplyRows { rows, weights, bias, out: &mut *out });
    fault::f32s("multiply_rows", isa.name(), out);
}

struct MultiplyRows<'a> {
    rows: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for MultiplyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { rows, weights, bias, out } = self;
        let outputs = bias.len();
        let ((weights, _), (bias, rest)) = (weights.as_chunks::<LANES>(), bias.as_chunks::<LANES>());
        assert!(!bias.is_empty() && rest.is_empty() && weights.len().is_multiple_of(bias.len()), "{outputs} outputs");
        let depth = weights.len() / bias.len();
        assert!(out.len().is_multiple_of(outputs) && rows.len() == out.len() / outputs * depth, "rows of {depth}");
        if depth == 0 {
            return;
        }
        let vectors = bias.len();
        let out = out.as_chunks_mut::<LANES>().0;
        // Outputs before rows: the weights of a few outputs stay near while all rows pass by. Sums of a row wait for one another, so several
        // rows and outputs wait together, as many as there are registers for.
        let mut n = 0;
        while S::MANY_REGISTERS && n + 4 <= vectors && out.len() < TALL * vectors {
            panel::<S, 4, 4>(s, rows, weights, bias, n, out);
            n += 4;
        }
        while S::MANY_REGISTERS && n + 2 <= vectors {
            // The taller, the less often weights come from the second cache.
            panel::<S, TALL, 2>(s, rows, weights, bias, n, out);
            n += 2;
        }
        while n + 2 <= vectors {
            panel::<S, 2, 2>(s, rows, weights, bias, n, out);
            n += 2;
        }
        if n < vectors {
            panel::<S, 4, 1>(s, rows, weights, bias, n, out);
        }
    }
}

/// Rows that are multiplied at once where registers hold their sums.
const TALL: usize = 8;

/// `N` vectors of outputs, from `n` on, of all rows, `R` at a time.
#[inline(always)]
fn panel<S: Simd, const R: usize, const N: usize>(
    s: S,
    rows: &[f32],
    weights: &[[f32; LANES]],
    bias: &[[f32; LANES]],
    n: usize,
    out: &mut [[f32; LANES]],
) {
    let count = out.len() / bias.len();
    let mut row = 0;
    while row + R <= count {
        multiply::<S, R, N>(s, rows, row, weights, bias, n, out);
        row += R;
    }
    while R > 4 && row + 4 <= count {
        multiply::<S, 4, N>(s, rows, row, weights, bias, n, out);
        row += 4;
    }
    for row in row..count {
        multiply::<S, 1, N>(s, rows, row, weights, bias, n, out);
    }
}

/// `N` vectors of outputs, from `n` on, of `R` rows, from `row` on. Each output is summed in the order of its row, however many are at once.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const N: usize>(
    s: S,
    rows: &[f32],
    row: usize,
    weights: &[[f32; LANES]],
    bias: &[[f32; LANES]],
    n: usize,
    out: &mut [[f32; LANES]],
) {
    let (depth, vectors) = (weights.len() / bias.len(), bias.len());
    let mut acc = [[s.splat(0.0); N]; R];
    for acc in &mut acc {
        for (acc, bias) in acc.iter_mut().zip(&bias[n..n + N]) {
            *acc = s.load(bias);
        }
    }
    let rows: [&[f32]; R] = core::array::from_fn(|r| &rows[(row + r) * depth..][..depth]);
    for (k, weights) in weights.chunks_exact(vectors).enumerate() {
        let weights = &weights[n..n + N];
        for r in 0..R {
            let x = s.splat(rows[r][k]);
            for i in 0..N {
                acc[r][i] = s.fma(x, s.load(&weights[i]), acc[r][i]);
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        for (acc, out) in acc.into_iter().zip(&mut out[(row + r) * vectors + n..][..N]) {
            s.store(acc, out);
        }
    }
}
