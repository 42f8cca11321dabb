//! Layer normalisations in floats, and how they stand in a model folder.

use crate::tensors::Tensor;

/// What is added to the variance.
const EPSILON: f32 = 1e-5;

/// Layer normalisation.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// Factors.
    pub(crate) weight: Vec<f32>,
    /// Shifts.
    pub(crate) bias: Vec<f32>,
}

impl Norm {
    /// Adds `NAME.weight` and `NAME.bias`.
    pub(crate) fn put(&self, tensors: &mut Vec<Tensor>, name: &str) {
        tensors.push(Tensor::floats(format!("{name}.weight"), vec![self.weight.len()], self.weight.clone()));
        tensors.push(Tensor::floats(format!("{name}.bias"), vec![self.bias.len()], self.bias.clone()));
    }

    /// Rows normalised in floats.
    pub(crate) fn apply(&self, x: &[f32]) -> Vec<f32> {
        let width = self.weight.len();
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(width) {
            let mean = row.iter().sum::<f32>() / width as f32;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32;
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            out.extend(row.iter().zip(&self.weight).zip(&self.bias).map(|((x, weight), bias)| (x - mean) * inverse * weight + bias));
        }
        out
    }
}
