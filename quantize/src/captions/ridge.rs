//! Ridge regression with several outputs, through the examples' inner products.

/// How much the squared weights cost, next to inputs of length about 1.
const PENALTY: f64 = 0.2;

/// Added to every input's spread, as a share of the mean spread: what hardly ever moves is not blown up.
const LEAST_SPREAD: f64 = 0.3;

/// A recording.
pub(super) struct Example {
    pub(super) input: Vec<f64>,
    pub(super) output: Vec<f64>,
    /// How much it counts.
    pub(super) weight: f64,
}

/// A linear map.
pub(super) struct Map {
    /// `[outputs][inputs]`
    pub(super) weight: Vec<f64>,
    pub(super) bias: Vec<f64>,
}

/// The map that is nearest to the outputs; none without examples.
pub(super) fn fit(examples: &[Example]) -> Option<Map> {
    let (inputs, outputs) = (examples.first()?.input.len(), examples.first()?.output.len());
    let all: f64 = examples.iter().map(|example| example.weight).sum();
    let mean: Vec<f64> = (0..inputs).map(|i| examples.iter().map(|example| example.weight * example.input[i]).sum::<f64>() / all).collect();
    let square = |i: usize| examples.iter().map(|example| example.weight * (example.input[i] - mean[i]).powi(2)).sum::<f64>() / all;
    let spread: Vec<f64> = (0..inputs).map(|i| square(i).sqrt()).collect();
    let usual = spread.iter().sum::<f64>() / inputs as f64;
    let factor: Vec<f64> = spread.iter().map(|spread| 1.0 / ((spread + LEAST_SPREAD * usual).max(1e-9) * (inputs as f64).sqrt())).collect();
    // Rows of length about 1, times the root of their weight.
    let row = |example: &Example| -> Vec<f64> {
        let root = example.weight.sqrt();
        example.input.iter().zip(&mean).zip(&factor).map(|((x, mean), factor)| root * (x - mean) * factor).collect()
    };
    let rows: Vec<Vec<f64>> = examples.iter().map(row).collect();
    let count = rows.len();
    let mut kernel = vec![0.0; count * count];
    for i in 0..count {
        for j in 0..=i {
            let product = rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>();
            kernel[i * count + j] = product + if i == j { PENALTY } else { 0.0 };
        }
    }
    cholesky(&mut kernel, count);
    let (mut weight, mut bias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
    for o in 0..outputs {
        let mut dual: Vec<f64> = examples.iter().map(|example| example.weight.sqrt() * example.output[o]).collect();
        solve(&kernel, &mut dual);
        let out = &mut weight[o * inputs..][..inputs];
        for (row, dual) in rows.iter().zip(&dual) {
            out.iter_mut().zip(row).for_each(|(w, x)| *w += dual * x);
        }
        out.iter_mut().zip(&factor).for_each(|(w, factor)| *w *= factor);
        bias[o] = -out.iter().zip(&mean).map(|(w, mean)| w * mean).sum::<f64>();
    }
    Some(Map { weight, bias })
}

/// The lower factor of a positive definite matrix `[n][n]`, in place of its lower half.
fn cholesky(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let rest = matrix[i * n + j] - sum;
            matrix[i * n + j] = if i == j { rest.sqrt() } else { rest / matrix[j * n + j] };
        }
    }
}

/// Solves with a lower factor and its transpose.
fn solve(factor: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| factor[i * n + k] * x[k]).sum();
        x[i] = (x[i] - sum) / factor[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| factor[k * n + i] * x[k]).sum();
        x[i] = (x[i] - sum) / factor[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_inputs_say_is_found_again() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        let examples: Vec<Example> = (0..4000)
            .map(|_| {
                let input: Vec<f64> = (0..4).map(|_| random()).collect();
                let output = vec![2.0 * (input[0] - 0.5), 3.0 * (0.5 - input[2])];
                Example { input, output, weight: 1.0 }
            })
            .collect();
        let Map { weight, bias } = fit(&examples).unwrap();
        let expected = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 0.0];
        assert!(weight.iter().zip(expected).all(|(w, e)| (w - e).abs() < 0.03), "{weight:?}");
        assert!((bias[0] + 1.0).abs() < 0.05 && (bias[1] - 1.5).abs() < 0.05, "{bias:?}");
        assert!(fit(&[]).is_none());
    }

    #[test]
    fn an_example_twice_counts_as_one_of_twice_the_weight() {
        let example = |x: f64, weight| Example { input: vec![x, x * x], output: vec![1.0 - x], weight };
        let twice = fit(&[example(0.1, 1.0), example(0.7, 1.0), example(0.7, 1.0)]).unwrap();
        let heavy = fit(&[example(0.1, 1.0), example(0.7, 2.0)]).unwrap();
        assert!(twice.weight.iter().zip(&heavy.weight).all(|(a, b)| (a - b).abs() < 1e-9), "{:?} {:?}", twice.weight, heavy.weight);
    }
}
