//! How far INT8 vectors are from the float ones.

use std::fmt::Write as _;

/// What INT8 costs, over some vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Vectors compared.
    pub count: usize,
    /// Mean cosine between a float vector and its INT8 one, the mean of all float vectors taken away from both.
    pub mean: f64,
    /// The smallest such cosine.
    pub least: f64,
    /// The cosine from which on two vectors say the same.
    pub bar: f64,
    /// Share of vectors whose cosine is at least that.
    pub close: f64,
    /// Share of vectors that have the same nearest neighbour among the others.
    pub neighbours: f64,
}

impl Report {
    /// A table for the model card, of vectors of these things ("sentences").
    pub fn markdown(&self, of: &str) -> String {
        let mut out = format!("## What INT8 costs\n\nOver {} {of}, the mean of all taken away:\n\n| | |\n| --- | --- |\n", self.count);
        let rows = [("mean cosine to the float vector", self.mean), ("least cosine", self.least)];
        for (name, value) in rows {
            let _ = writeln!(out, "| {name} | {value:.4} |");
        }
        let close = format!("cosine of at least {}", self.bar);
        for (name, value) in [(close.as_str(), self.close), ("same nearest neighbour", self.neighbours)] {
            let _ = writeln!(out, "| {name} | {:.1} % |", 100.0 * value);
        }
        out
    }
}

/// Compares vectors of length 1, in the same order.
pub(crate) fn compare(floats: &[Vec<f32>], ints: &[Vec<f32>], bar: f64) -> Report {
    let mut mean = vec![0.0; floats.first().map_or(0, Vec::len)];
    for vector in floats {
        mean.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x / floats.len() as f32);
    }
    let centred = |vector: &[f32]| {
        let mut vector: Vec<f32> = vector.iter().zip(&mean).map(|(x, mean)| x - mean).collect();
        unit(&mut vector);
        vector
    };
    let cosines: Vec<f64> = floats.iter().zip(ints).map(|(a, b)| f64::from(dot(&centred(a), &centred(b)))).collect();
    let nearest = |vectors: &[Vec<f32>], i: usize| {
        let others = vectors.iter().enumerate().filter(|&(j, _)| j != i);
        others.max_by(|(_, a), (_, b)| dot(a, &vectors[i]).total_cmp(&dot(b, &vectors[i]))).map(|(j, _)| j)
    };
    let same = (0..floats.len()).filter(|&i| nearest(floats, i) == nearest(ints, i)).count();
    let count = floats.len().max(1) as f64;
    Report {
        count: floats.len(),
        mean: cosines.iter().sum::<f64>() / count,
        least: cosines.iter().copied().fold(1.0, f64::min),
        bar,
        close: cosines.iter().filter(|&&cosine| cosine >= bar).count() as f64 / count,
        neighbours: same as f64 / count,
    }
}

/// Adds `y` to `x`, as far as both go.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// A linear layer without a bias on each row of `inputs` values: `weight` is `[outputs][inputs]`.
pub(crate) fn apply(x: &[f32], weight: &[f32], inputs: usize) -> Vec<f32> {
    x.chunks_exact(inputs).flat_map(|row| weight.chunks_exact(inputs).map(|weight| dot(row, weight))).collect()
}

/// The sum of products, in sixteen sums, so that it can be computed in vectors.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Brings a vector to length 1; one of zeros stays as it is.
pub(crate) fn unit(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}
