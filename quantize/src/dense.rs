//! Linear layers in floats, and how they stand in a model folder.

use crate::pack::{self, quantize_rows};
use crate::tensors::Tensor;

/// A 1 x 1 convolution or linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[outputs][inputs]`
    pub weights: Vec<f32>,
    /// `[outputs]`, or none.
    pub bias: Vec<f32>,
    /// Values it reads.
    pub inputs: usize,
}

impl Dense {
    /// Values it gives.
    pub fn outputs(&self) -> usize {
        self.weights.len() / self.inputs.max(1)
    }

    /// Adds `NAME.weight`, `NAME.weight_scale` and, where it has one, `NAME.bias`, padded to whole blocks of rows.
    pub(crate) fn put(&self, tensors: &mut Vec<Tensor>, name: &str) {
        let outputs = self.outputs();
        let rows = pack::padded_rows(outputs);
        let padded = |mut values: Vec<f32>| {
            values.resize(rows, 0.0);
            values
        };
        let q = quantize_rows(&self.weights, outputs, self.inputs);
        let shape = vec![rows / pack::BLOCK_ROWS, self.inputs / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
        tensors.push(Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, outputs, self.inputs)));
        tensors.push(Tensor::floats(format!("{name}.weight_scale"), vec![rows], padded(q.scales)));
        if !self.bias.is_empty() {
            tensors.push(Tensor::floats(format!("{name}.bias"), vec![rows], padded(self.bias.clone())));
        }
    }
}
