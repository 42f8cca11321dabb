//! Rounding with error feedback (GPTQ, Frantar et al. 2022): what rounding one weight costs is taken back by those that are still to be rounded,
//! as far as their inputs go together in the calibration rows.

use crate::pack::QMAX;

/// Added to the diagonal, as a share of its mean: the less is known of the inputs, the nearer this comes to plain rounding.
const DAMPING: f64 = 0.1;

/// What is known of a layer's inputs.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    width: usize,
    rows: usize,
    /// Sums of products of each two values, the upper half.
    products: Vec<f64>,
    sums: Vec<f64>,
}

impl Inputs {
    pub(super) fn new(width: usize) -> Self {
        Self { width, rows: 0, products: vec![0.0; width * width], sums: vec![0.0; width] }
    }

    pub(super) fn add(&mut self, row: &[f32]) {
        self.rows += 1;
        for (i, &a) in row.iter().enumerate() {
            self.sums[i] += f64::from(a);
            let products = &mut self.products[i * self.width + i..(i + 1) * self.width];
            products.iter_mut().zip(&row[i..]).for_each(|(sum, &b)| *sum += f64::from(a * b));
        }
    }

    /// The mean of each value.
    pub(super) fn means(&self) -> impl Iterator<Item = f64> {
        self.sums.iter().map(|sum| sum / self.rows.max(1) as f64)
    }

    /// The upper Cholesky factor of the inverse of the products' matrix.
    pub(super) fn factor(&self) -> Factor {
        let (n, rows) = (self.width, self.rows.max(1) as f64);
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            for j in i..n {
                let value = self.products[i * n + j] / rows;
                matrix[i * n + j] = value;
                matrix[j * n + i] = value;
            }
        }
        let mean = (0..n).map(|i| matrix[i * n + i]).sum::<f64>() / n as f64;
        let damping = (DAMPING * mean).max(1e-9);
        (0..n).for_each(|i| matrix[i * n + i] += damping);
        // With P the reversal of all indices, P M P = L L^T gives M = (P L P)(P L P)^T, whose factors are upper: U = (P L P)^-T lower ... so
        // the inverse is U^T U with U = (P L P)^-1, upper.
        let reversed: Vec<f64> = matrix.iter().rev().copied().collect();
        let lower = cholesky(reversed, n);
        let upper: Vec<f64> = lower.iter().rev().copied().collect();
        Factor { n, upper: invert_upper(&upper, n) }
    }
}

/// Upper triangular `U` with `U^T U` the inverse of the inputs' matrix.
pub(super) struct Factor {
    n: usize,
    upper: Vec<f64>,
}

impl Factor {
    /// Rounds one row of weights to multiples of its scale, the largest magnitude over 127; returns the scale.
    pub(super) fn round(&self, row: &[f32], out: &mut [i8]) -> f32 {
        let largest = row.iter().fold(0f32, |m, x| m.max(x.abs()));
        if largest == 0.0 || !(QMAX / largest).is_finite() {
            out.fill(0);
            return 0.0;
        }
        let scale = f64::from(largest / QMAX);
        let mut weights: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        for (i, out) in out.iter_mut().enumerate() {
            let rounded = (weights[i] / scale).round_ties_even().clamp(f64::from(-QMAX), f64::from(QMAX));
            *out = rounded as i8;
            let upper = &self.upper[i * self.n + i..(i + 1) * self.n];
            let error = (weights[i] - rounded * scale) / upper[0];
            weights[i + 1..].iter_mut().zip(&upper[1..]).for_each(|(weight, u)| *weight -= error * u);
        }
        largest / QMAX
    }
}

/// The lower Cholesky factor of a symmetric positive definite matrix.
fn cholesky(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    for j in 0..n {
        let (before, own) = a.split_at_mut(j * n);
        let own = &mut own[..n];
        for i in 0..j {
            let other = &before[i * n..][..=i];
            let sum: f64 = other[..i].iter().zip(&own[..i]).map(|(a, b)| a * b).sum();
            own[i] = (own[i] - sum) / other[i];
        }
        let squares: f64 = own[..j].iter().map(|a| a * a).sum();
        own[j] = (own[j] - squares).max(1e-30).sqrt();
        own[j + 1..].fill(0.0);
    }
    a
}

/// The inverse of an upper triangular matrix.
fn invert_upper(a: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for i in (0..n).rev() {
        let (own, below) = inverse[i * n..].split_at_mut(n);
        let diagonal = 1.0 / a[i * n + i];
        own[i] = diagonal;
        for k in i + 1..n {
            let factor = a[i * n + k];
            let other = &below[(k - i - 1) * n..][..n];
            own[k..].iter_mut().zip(&other[k..]).for_each(|(x, y)| *x -= factor * y);
        }
        own[i + 1..].iter_mut().for_each(|x| *x *= diagonal);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs of which each two neighbours go together.
    fn inputs() -> Inputs {
        let mut inputs = Inputs::new(16);
        let mut state = 1u32;
        for _ in 0..400 {
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let row: Vec<f32> = (0..8)
                .flat_map(|_| {
                    let x = noise();
                    [x, x + 0.1 * noise()]
                })
                .collect();
            inputs.add(&row);
        }
        inputs
    }

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let inputs = inputs();
        let Factor { n, upper } = inputs.factor();
        let rows = inputs.rows as f64;
        let full = |i: usize, j: usize| inputs.products[i.min(j) * n + i.max(j)] / rows;
        let damping = DAMPING * (0..n).map(|i| full(i, i)).sum::<f64>() / n as f64;
        for i in 0..n {
            for j in 0..n {
                let product: f64 = (0..n)
                    .map(|k| {
                        let inverse: f64 = (0..n).map(|m| upper[m * n + i] * upper[m * n + k]).sum();
                        inverse * (full(k, j) + if k == j { damping } else { 0.0 })
                    })
                    .sum();
                let want = f64::from(u8::from(i == j));
                assert!((product - want).abs() < 1e-9, "{i}, {j}: {product}");
            }
        }
    }

    #[test]
    fn feedback_costs_less_than_plain_rounding() {
        let inputs = inputs();
        let factor = inputs.factor();
        let cost = |row: &[f32], q: &[i8], scale: f32| -> f64 {
            let e: Vec<f64> = row.iter().zip(q).map(|(&w, &q)| f64::from(w) - f64::from(q) * f64::from(scale)).collect();
            let n = e.len();
            (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| e[i] * e[j] * inputs.products[i.min(j) * n + i.max(j)]).sum()
        };
        let (mut plain, mut fed) = (0.0, 0.0);
        for seed in 0..20 {
            let row: Vec<f32> = (0..16).map(|i| ((i * 7 + seed * 13) % 31) as f32 / 31.0 - 0.471).collect();
            let mut q = [0; 16];
            let scale = crate::pack::quantize_row(&row, &mut q);
            plain += cost(&row, &q, scale);
            let mut q = [0; 16];
            let scale = factor.round(&row, &mut q);
            fed += cost(&row, &q, scale);
        }
        assert!(fed < 0.6 * plain, "{fed} with feedback, {plain} without");
    }
}
