//! Logistic regression on embeddings.

use super::corpus::Example;

/// Weight of the squared weights beside the mean loss, on scaled values.
const DECAY: f32 = 1e-3;

/// Steps of the descent; the loss has long settled by then.
const STEPS: usize = 400;

/// A linear layer with one output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

impl Layer {
    /// The logit of an embedding: above 0 it is rather of the class than not.
    pub(super) fn logit(&self, embedding: &[f32]) -> f32 {
        dot(&self.weights, embedding) + self.bias
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Sixteen sums side by side, so that the compiler may use vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Fits `class` against everything else, without the examples of fold `without`. Both sides weigh the same, whatever their numbers.
///
/// Accelerated gradient descent (Nesterov 1983) with restarts where the loss's slope and the step disagree (O'Donoghue and Candes 2015);
/// values are divided by their spread first.
pub(super) fn fit(examples: &[Example], class: usize, without: Option<usize>) -> Layer {
    let rows: Vec<&Example> = examples.iter().filter(|example| Some(example.fold) != without).collect();
    let width = rows.first().map_or(0, |row| row.values.len());
    let positives = rows.iter().filter(|row| row.class == Some(class)).count().max(1) as f32;
    let negatives = (rows.len() as f32 - positives).max(1.0);
    let target = |row: &Example| if row.class == Some(class) { 1.0 } else { 0.0 };
    let weight = |row: &Example| if row.class == Some(class) { 0.5 / positives } else { 0.5 / negatives };

    let scale = scales(&rows, width);
    // The loss's curvature is at most a quarter of the mean squared length of a row.
    let lengths = rows.iter().map(|row| weight(row) * (1.0 + row.values.iter().zip(&scale).map(|(x, s)| (x * s).powi(2)).sum::<f32>()));
    let step = 1.0 / (0.25 * lengths.sum::<f32>() + DECAY);

    // Weights for scaled values, the bias behind them.
    let (mut now, mut ahead) = (vec![0.0; width + 1], vec![0.0; width + 1]);
    let mut momentum = 1.0f32;
    for _ in 0..STEPS {
        let unscaled: Vec<f32> = ahead.iter().zip(&scale).map(|(w, s)| w * s).collect();
        let mut slope: Vec<f32> = vec![0.0; width + 1];
        for row in &rows {
            let error = weight(row) * (sigmoid(dot(&unscaled, &row.values) + ahead[width]) - target(row));
            slope.iter_mut().zip(&row.values).for_each(|(slope, x)| *slope += error * x);
            slope[width] += error;
        }
        slope.iter_mut().zip(&scale).zip(&ahead).for_each(|((slope, s), w)| *slope = *slope * s + DECAY * w);
        let next: Vec<f32> = ahead.iter().zip(&slope).map(|(w, slope)| w - step * slope).collect();
        let uphill: f32 = slope.iter().zip(next.iter().zip(&now)).map(|(slope, (next, now))| slope * (next - now)).sum();
        let faster = if uphill > 0.0 { 1.0 } else { (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0 };
        let carry = if uphill > 0.0 { 0.0 } else { (momentum - 1.0) / faster };
        ahead = next.iter().zip(&now).map(|(next, now)| next + carry * (next - now)).collect();
        (now, momentum) = (next, faster);
    }
    Layer { weights: now.iter().zip(&scale).map(|(w, s)| w * s).collect(), bias: now[width] }
}

/// What makes the values' spreads alike, without lifting those that hardly ever move above the others.
fn scales(rows: &[&Example], width: usize) -> Vec<f32> {
    let count = rows.len().max(1) as f32;
    let (mut means, mut squares) = (vec![0.0f32; width], vec![0.0f32; width]);
    for row in rows {
        means.iter_mut().zip(&row.values).for_each(|(mean, x)| *mean += x / count);
        squares.iter_mut().zip(&row.values).for_each(|(square, x)| *square += x * x / count);
    }
    let spreads: Vec<f32> = means.iter().zip(&squares).map(|(mean, square)| (square - mean * mean).max(0.0).sqrt()).collect();
    let usual = spreads.iter().sum::<f32>() / width.max(1) as f32;
    // A mean row has a length of about one.
    spreads.iter().map(|spread| 1.0 / ((spread + usual).max(1e-6) * (width as f32).sqrt()) * 4.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told_apart_is() {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        // Value 3 is larger for the class, the others are noise.
        let examples: Vec<Example> = (0..400)
            .map(|i| {
                let class = (i % 8 == 0).then_some(0);
                let mut values: Vec<f32> = (0..16).map(|_| random()).collect();
                values[3] += if class.is_some() { 1.5 } else { 0.0 };
                Example { values, class, fold: i / 8 % 2 }
            })
            .collect();
        let layer = fit(&examples, 0, Some(1));
        let right = examples.iter().filter(|row| row.fold == 1 && (layer.logit(&row.values) >= 0.0) == row.class.is_some()).count();
        assert!(right >= 196, "{right} of 200");
        assert!((0..16).all(|i| i == 3 || layer.weights[i].abs() < layer.weights[3] / 3.0), "{:?}", layer.weights);
        // The same examples give the same layer.
        assert_eq!(fit(&examples, 0, Some(1)), layer);
    }
}
