//! Fitting the confidence to recordings.

use super::confidence::{Calibration, Evidence, share};

/// Weights of a [`Calibration`], its bias first.
const WEIGHTS: usize = 4;

/// Pulls weights to 0, which decides where the recordings do not: where few are in between, the likeliest weights have no end.
const RIDGE: f64 = 1e-4;

/// Steps of the expectations and of the weights by turns.
const ROUNDS: usize = 300;

/// The likeliest weights given which readings are right, by Newton's method in f64 inside of expectation and maximisation (Dempster, Laird and
/// Rubin 1977).
///
/// A reading is right if a sentence was said (what the weights judge) and if of all readings it is this one (its share, by its margin). Of a wrong
/// one nobody says which of the two fails; the expectation does. Features are brought to unit variance first, so that the pull to 0 is the
/// same for all. Without recordings of both kinds there is nothing to fit, and the default stands.
pub fn fit(samples: &[(Evidence, bool)]) -> Calibration {
    let right = samples.iter().filter(|(_, right)| *right).count();
    if right == 0 || right == samples.len() {
        return Calibration::default();
    }
    let rows: Vec<[f64; WEIGHTS]> = samples.iter().map(|(evidence, _)| features(evidence)).collect();
    let scale = spread(&rows);
    let rows: Vec<[f64; WEIGHTS]> = rows.iter().map(|row| std::array::from_fn(|i| row[i] / scale[i])).collect();
    let mut weights = [0.0; WEIGHTS];
    for _ in 0..ROUNDS {
        let said: Vec<f64> = rows.iter().map(|row| logistic(row, &weights)).collect();
        let expected = said.iter().zip(samples).map(|(&said, &(evidence, right))| {
            let share = f64::from(share(evidence.margin));
            if right { 1.0 } else { said * (1.0 - share) / (1.0 - said * share).max(1e-12) }
        });
        let step = newton(&rows, &said, expected, &weights);
        for (weight, step) in weights.iter_mut().zip(step) {
            *weight += step;
        }
        if step.iter().all(|step| step.abs() < 1e-9) {
            break;
        }
    }
    let [bias, against_free, mean, no_speech] = std::array::from_fn(|i| (weights[i] / scale[i]) as f32);
    Calibration { bias, against_free, mean, no_speech }
}

fn logistic(row: &[f64; WEIGHTS], weights: &[f64; WEIGHTS]) -> f64 {
    let sum: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
    1.0 / (1.0 + (-sum).exp())
}

/// A step towards the weights that give each row the probability expected of it, from those that give it `said`.
fn newton(rows: &[[f64; WEIGHTS]], said: &[f64], expected: impl Iterator<Item = f64>, weights: &[f64; WEIGHTS]) -> [f64; WEIGHTS] {
    let mut gradient = [0.0; WEIGHTS];
    let mut hessian = [[0.0; WEIGHTS]; WEIGHTS];
    for ((x, p), expected) in rows.iter().zip(said).zip(expected) {
        for i in 0..WEIGHTS {
            gradient[i] += (expected - p) * x[i];
            for j in 0..WEIGHTS {
                hessian[i][j] += p * (1.0 - p) * x[i] * x[j];
            }
        }
    }
    for i in 0..WEIGHTS {
        let ridge = RIDGE * rows.len() as f64 * f64::from(u8::from(i > 0)) + 1e-9;
        gradient[i] -= ridge * weights[i];
        hessian[i][i] += ridge;
    }
    solve(hessian, gradient)
}

fn features(evidence: &Evidence) -> [f64; WEIGHTS] {
    let Evidence { against_free, mean, no_speech, .. } = *evidence;
    [1.0, against_free, mean, no_speech].map(f64::from)
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
    use super::super::confidence::MOST_MARGIN;
    use super::*;

    #[test]
    fn finds_what_tells_right_from_wrong() {
        let evidence = |i: usize| {
            let noise = ((i * 7919) % 101) as f32 / 101.0 - 0.5;
            Evidence { against_free: (i % 20) as f32 - 10.0 + noise, mean: noise, margin: MOST_MARGIN, ..Evidence::default() }
        };
        let samples: Vec<_> = (0..400).map(|i| (evidence(i), i % 20 > 12)).collect();
        let fitted = fit(&samples);
        let wrong = samples.iter().filter(|(evidence, right)| (fitted.said(evidence) > 0.5) != *right);
        assert!(wrong.count() < 20);
        assert!(fitted.against_free > 0.3 && fitted.no_speech == 0.0, "{fitted:?}");
        let sure: f32 = samples.iter().map(|(evidence, _)| fitted.said(evidence)).sum();
        assert!((sure - 140.0).abs() < 1.0, "calibrated on the whole: {sure} of 140");
    }

    /// Half of what is said is taken for something else by its margin, and none of that is laid at the door of the other evidence.
    #[test]
    fn another_sentence_is_still_a_sentence() {
        let evidence = |said: bool, margin| Evidence { against_free: if said { 0.0 } else { -10.0 }, margin, ..Evidence::default() };
        let samples: Vec<_> = (0..300).map(|i| (evidence(i % 3 > 0, if i % 3 > 0 { 0.0 } else { MOST_MARGIN }), i % 3 > 1)).collect();
        let fitted = fit(&samples);
        assert!(fitted.said(&evidence(true, 0.0)) > 0.95 && fitted.said(&evidence(false, 0.0)) < 0.05, "{fitted:?}");
    }

    #[test]
    fn one_kind_alone_fits_nothing() {
        assert_eq!(fit(&[(Evidence::default(), true)]), Calibration::default());
        assert_eq!(fit(&[]), Calibration::default());
    }
}
