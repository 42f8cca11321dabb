//! Fitting the confidence to recordings.

use super::confidence::{Calibration, Evidence};

/// Weights of a [`Calibration`], its bias first.
const WEIGHTS: usize = 5;

/// Pulls weights to 0, which decides where the recordings do not.
const RIDGE: f64 = 0.01;

/// The logistic regression of "this reading is right" on its evidence, by Newton's method in f64.
///
/// Features are brought to unit variance first, so that the pull to 0 is the same for all. Without recordings of both kinds there is
/// nothing to fit, and the default stands.
pub fn fit(samples: &[(Evidence, bool)]) -> Calibration {
    let right = samples.iter().filter(|(_, right)| *right).count();
    if right == 0 || right == samples.len() {
        return Calibration::default();
    }
    let rows: Vec<[f64; WEIGHTS]> = samples.iter().map(|(evidence, _)| features(evidence)).collect();
    let scale = spread(&rows);
    let mut weights = [0.0; WEIGHTS];
    for _ in 0..50 {
        let mut gradient = [0.0; WEIGHTS];
        let mut hessian = [[0.0; WEIGHTS]; WEIGHTS];
        for (row, (_, right)) in rows.iter().zip(samples) {
            let x: [f64; WEIGHTS] = std::array::from_fn(|i| row[i] / scale[i]);
            let sum: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let p = 1.0 / (1.0 + (-sum).exp());
            let error = f64::from(u8::from(*right)) - p;
            for i in 0..WEIGHTS {
                gradient[i] += error * x[i];
                for j in 0..WEIGHTS {
                    hessian[i][j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        for i in 0..WEIGHTS {
            let ridge = RIDGE * samples.len() as f64 * f64::from(u8::from(i > 0)) + 1e-9;
            gradient[i] -= ridge * weights[i];
            hessian[i][i] += ridge;
        }
        let step = solve(hessian, gradient);
        for (weight, step) in weights.iter_mut().zip(step) {
            *weight += step;
        }
        if step.iter().all(|step| step.abs() < 1e-9) {
            break;
        }
    }
    let [bias, against_free, mean, margin, no_speech] = std::array::from_fn(|i| (weights[i] / scale[i]) as f32);
    Calibration { bias, against_free, mean, margin, no_speech }
}

fn features(evidence: &Evidence) -> [f64; WEIGHTS] {
    let Evidence { against_free, mean, margin, no_speech } = *evidence;
    [1.0, against_free, mean, margin, no_speech].map(f64::from)
}

/// The root mean square deviation of each feature; 1 for the constant and for what never varies.
fn spread(rows: &[[f64; WEIGHTS]]) -> [f64; WEIGHTS] {
    let n = rows.len() as f64;
    std::array::from_fn(|i| {
        let mean = rows.iter().map(|row| row[i]).sum::<f64>() / n;
        let variance = rows.iter().map(|row| (row[i] - mean) * (row[i] - mean)).sum::<f64>() / n;
        if variance > 1e-12 { variance.sqrt() } else { 1.0 }
    })
}

/// Solves a positive definite system by elimination.
fn solve(mut a: [[f64; WEIGHTS]; WEIGHTS], mut b: [f64; WEIGHTS]) -> [f64; WEIGHTS] {
    for i in 0..WEIGHTS {
        for j in i + 1..WEIGHTS {
            let factor = a[j][i] / a[i][i];
            let pivot = a[i];
            a[j].iter_mut().zip(pivot).skip(i).for_each(|(entry, pivot)| *entry -= factor * pivot);
            b[j] -= factor * b[i];
        }
    }
    let mut x = [0.0; WEIGHTS];
    for i in (0..WEIGHTS).rev() {
        let known: f64 = (i + 1..WEIGHTS).map(|j| a[i][j] * x[j]).sum();
        x[i] = (b[i] - known) / a[i][i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_tells_right_from_wrong() {
        let evidence = |i: usize| {
            let noise = ((i * 7919) % 101) as f32 / 101.0 - 0.5;
            Evidence { against_free: (i % 20) as f32 - 10.0 + noise, mean: noise, ..Evidence::default() }
        };
        let samples: Vec<_> = (0..400).map(|i| (evidence(i), i % 20 > 12)).collect();
        let fitted = fit(&samples);
        let wrong = samples.iter().filter(|(evidence, right)| (fitted.confidence(evidence) > 0.5) != *right);
        assert!(wrong.count() < 20);
        assert!(fitted.against_free > 0.3 && fitted.no_speech == 0.0, "{fitted:?}");
        let sure: f32 = samples.iter().map(|(evidence, _)| fitted.confidence(evidence)).sum();
        assert!((sure - 140.0).abs() < 1.0, "calibrated on the whole: {sure} of 140");
    }

    #[test]
    fn one_kind_alone_fits_nothing() {
        assert_eq!(fit(&[(Evidence::default(), true)]), Calibration::default());
        assert_eq!(fit(&[]), Calibration::default());
    }
}
