//! Self-attention, put together from two products and a softmax.

use ossicle_kernels::activation::Activation;
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::conv::Size;
use ossicle_kernels::simd::LANES;
use tract_onnx::pb::NodeProto;

use super::{Lowerer, Refused};
use crate::network::graph::Constant;
use crate::network::ir::{Kind, Layer, Part, Value, Weights};
use crate::network::view::View;

/// Queries, keys or values as a linear layer: its input, its weights with heads of so many outputs, the rest of which are zero.
struct Projection {
    input: Value,
    weights: Weights,
}

/// Scores with this added, or less, are those of positions that are not looked at.
const MASKED: f32 = -1e4;

/// The integer kernels divide scores by the root of [`HEAD`]; ONNX says itself what they are divided by.
const KERNEL_SCALE: f32 = 8.0;

/// Widest heads; those beyond [`HEAD`] are computed in f32.
const WIDEST: usize = 256;

impl Lowerer<'_> {
    /// A product of two values: scores, or probabilities times values.
    pub(super) fn product(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        if self.layers[a.layer].kind.is_part(&Part::Softmax) {
            return self.attention(node, &a, &b);
        }
        let shape = self.output_shape(node)?;
        let [ref batch @ .., rows, columns] = shape[..] else { return Err(format!("an output of {shape:?}")) };
        let size = Size { height: batch.iter().product(), width: rows };
        let layer = self.push(node, Kind::Part(Part::Product), vec![a, b], size, columns);
        Ok(Value { layer, view: View::dense(&shape), factor: 1.0 })
    }

    /// A mask on scores: nothing is added to those of a position itself and of positions before it, and so much is taken from the others that their
    /// probabilities are zero.
    pub(super) fn mask(&mut self, node: &NodeProto, scores: &Value, constant: &Constant, sign: f32) -> Result<Value, Refused> {
        let shape = scores.view.shape();
        let (Constant { values, dims }, [.., rows, columns]) = (constant, &shape[..]) else { return Err("scores of no rows".into()) };
        let square = rows == columns && scores.view == View::dense(&shape) && values.len() == rows * columns;
        let causal = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            if column <= row { values[at] == 0.0 } else { sign * values[at] <= MASKED }
        };
        if !square || !dims.ends_with(&[*rows, *columns]) || !(0..values.len()).all(causal) {
            return Err("a mask on scores that is not causal".into());
        }
        let Layer { size, channels, .. } = self.layers[scores.layer];
        let layer = self.push(node, Kind::Part(Part::Causal), vec![scores.clone()], size, channels);
        Ok(Value { layer, view: scores.view.clone(), factor: 1.0 })
    }

    fn attention(&mut self, node: &NodeProto, probabilities: &Value, values: &Value) -> Result<Value, Refused> {
        let mut scores = self.layers[probabilities.layer].inputs[0].clone();
        let causal = self.layers[scores.layer].kind.is_part(&Part::Causal);
        if causal && scores.factor == 1.0 && scores.view == probabilities.view {
            scores = self.layers[scores.layer].inputs[0].clone();
        }
        let product = &self.layers[scores.layer];
        if !product.kind.is_part(&Part::Product) || probabilities.factor != 1.0 || values.factor != 1.0 {
            return Err("its probabilities are no softmax of queries times keys".into());
        }
        let (queries, keys) = (product.inputs[0].clone(), product.inputs[1].clone());
        let name = product.name.clone();
        let rank = values.view.axes.len();
        if rank < 3 || keys.view.axes.len() != rank || queries.view.axes.len() != rank || probabilities.view != scores.view {
            return Err(format!("queries, keys and values of {rank} dimensions: heads, tokens and values are expected"));
        }
        let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        let keys = Value { view: keys.view.transposed(&order), ..keys };
        let [heads, tokens, depth] = values.view.shape()[rank - 3..] else { return Err("no heads".into()) };
        let same = [&queries, &keys].iter().all(|value| value.view.shape() == values.view.shape());
        if !same || values.view.shape()[..rank - 3].iter().any(|&n| n != 1) || depth > if causal { HEAD } else { WIDEST } {
            let shapes = [&queries, &keys, values].map(|value| value.view.shape());
            return Err(format!("{shapes:?}: self-attention with heads of up to {HEAD} values is possible, {WIDEST} unless it is causal"));
        }
        // Transposed scores would be weights for the queries, and reshaped ones those of other heads.
        let mut product = values.view.shape();
        product[rank - 1] = tokens;
        if scores.view != View::dense(&product) {
            return Err(format!("a softmax over {:?} that is not queries times keys as it comes", scores.view.shape()));
        }
        let (head, kernel) = if depth <= HEAD { (HEAD, KERNEL_SCALE) } else { (depth.next_multiple_of(LANES), 1.0) };
        let factor = scores.factor * queries.factor * keys.factor * kernel;
        let [q, k, v] = [&queries, &keys, values].map(|value| self.projection(value, tokens, head));
        let (mut q, k, v) = (q?, k?, v?);
        q.weights.weight.iter_mut().chain(&mut q.weights.bias).for_each(|w| *w *= factor);
        if q.input.layer != k.input.layer || q.input.layer != v.input.layer {
            return Err("queries, keys and values of different tokens: self-attention is possible".into());
        }
        let Layer { size, .. } = self.layers[q.input.layer];
        let weights = Weights {
            weight: [q.weights.weight, k.weights.weight, v.weights.weight].concat(),
            bias: [q.weights.bias, k.weights.bias, v.weights.bias].concat(),
        };
        let kind = Kind::Linear { weights, activation: Activation::Identity };
        let channels = heads * head;
        let input = Value { factor: 1.0, ..q.input };
        self.layers.push(Layer {
            name: format!("{name}.qkv"),
            op: "MatMul".into(),
            kind,
            inputs: vec![input],
            size,
            channels: 3 * channels,
        });
        let qkv = self.layers.len() - 1;
        let view = View::dense(&[tokens, 3 * channels]);
        let layer = self.push(node, Kind::Attention { heads, head, causal }, vec![Value { layer: qkv, view, factor: 1.0 }], size, channels);
        let mut axes = vec![(1, 0); rank - 3];
        axes.extend([(heads, head), (tokens, channels), (depth, 1)]);
        Ok(Value { layer, view: View::strided(&axes), factor: 1.0 })
    }

    /// The linear layer that gives `[.., heads, tokens, depth]`.
    fn projection(&self, value: &Value, tokens: usize, head: usize) -> Result<Projection, Refused> {
        let (input, weights) = self.linear_behind(value.layer).ok_or("queries, keys or values that are no linear layer's outputs")?;
        let channels = self.layers[value.layer].channels;
        let rank = value.view.axes.len();
        let token_axis = View::strided(&[(tokens, channels)]).axes;
        let (heads, depth) = (value.view.steps(rank - 3), value.view.steps(rank - 1));
        let last = heads.iter().max().unwrap_or(&0) + depth.iter().max().unwrap_or(&0);
        if value.view.axes[rank - 2] != token_axis[0]
            || value.view.offset + last >= channels
            || self.layers[value.layer].positions() != tokens
        {
            return Err("tokens of queries, keys or values that are no positions in order".into());
        }
        let inputs = weights.inputs();
        let mut out = Weights { weight: vec![0.0; heads.len() * head * inputs], bias: vec![0.0; heads.len() * head] };
        for (h, start) in heads.iter().enumerate() {
            for (j, step) in depth.iter().enumerate() {
                let (from, to) = (value.view.offset + start + step, h * head + j);
                out.weight[to * inputs..][..inputs].copy_from_slice(&weights.weight[from * inputs..][..inputs]);
                out.bias[to] = weights.bias[from];
            }
        }
        Ok(Projection { input, weights: out })
    }

    /// A linear layer, with what factors and shifts come behind it.
    fn linear_behind(&self, layer: usize) -> Option<(Value, Weights)> {
        match &self.layers[layer].kind {
            Kind::Linear { weights, activation: Activation::Identity } => Some((self.layers[layer].inputs[0].clone(), weights.clone())),
            Kind::Affine { scale, shift, activation: Activation::Identity } => {
                let (input, mut weights) = self.linear_behind(self.layers[layer].inputs[0].layer)?;
                weights.scaled(scale, shift);
                Some((input, weights))
            }
            _ => None,
        }
    }
}
