//! A network between ONNX and a model folder: float layers on maps, and what is left of patterns until they are whole.

use ossicle_kernels::activation::Activation;
use ossicle_kernels::conv::Size;
use ossicle_kernels::window::Pool;
use ossicle_models::network::WindowConfig;

use super::view::View;

/// An ONNX tensor: elements of what a layer computes, times a factor that whoever reads it applies.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) layer: usize,
    pub(super) view: View,
    pub(super) factor: f32,
}

/// A layer and the map behind it.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The ONNX node's name.
    pub(super) name: String,
    /// Its operator.
    pub(super) op: String,
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Value>,
    pub(super) size: Size,
    pub(super) channels: usize,
}

impl Layer {
    pub(super) fn positions(&self) -> usize {
        self.size.positions()
    }

    /// Values of the map, if they can be counted.
    pub(super) fn checked_len(&self) -> Option<usize> {
        self.size.height.checked_mul(self.size.width)?.checked_mul(self.channels)
    }

    /// Values of the map.
    pub(super) fn len(&self) -> usize {
        self.positions() * self.channels
    }
}

/// Weights of a linear layer, `[outputs][inputs]`.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub(super) weight: Vec<f32>,
    /// `[outputs]`
    pub(super) bias: Vec<f32>,
}

impl Weights {
    pub(super) fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// The layer followed by a factor and a shift for each output.
    pub(super) fn scaled(&mut self, scale: &[f32], shift: &[f32]) {
        let inputs = self.inputs();
        for (row, scale) in self.weight.chunks_exact_mut(inputs).zip(scale) {
            row.iter_mut().for_each(|w| *w *= scale);
        }
        for ((bias, scale), shift) in self.bias.iter_mut().zip(scale).zip(shift) {
            *bias = *bias * scale + shift;
        }
    }
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Input,
    /// Weights by window: inputs are `[taps][channels]`; in groups, the channels of a block.
    Conv {
        window: WindowConfig,
        groups: usize,
        weights: Weights,
        activation: Activation,
    },
    Linear {
        weights: Weights,
        activation: Activation,
    },
    /// `[taps][channels]`, `[channels]`
    Depthwise {
        window: WindowConfig,
        weight: Vec<f32>,
        bias: Vec<f32>,
        activation: Activation,
    },
    Pool {
        window: WindowConfig,
        pool: Pool,
    },
    Mean,
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
        activation: Activation,
    },
    Add {
        activation: Activation,
    },
    Multiply,
    Scale,
    Activate(Activation),
    Norm {
        gamma: Vec<f32>,
        beta: Vec<f32>,
        epsilon: f32,
    },
    Attention {
        heads: usize,
        /// Values of a head, padded.
        head: usize,
        causal: bool,
    },
    /// `[tokens][channels]`
    Prepend {
        tokens: Vec<f32>,
    },
    /// `[positions][channels]`
    AddConstant {
        constant: Vec<f32>,
    },
    /// Channels of its inputs, counted on from one to the next; all if there are none.
    Concat {
        channels: Vec<usize>,
    },
    Take {
        first: usize,
        count: usize,
    },
    /// Only a part of something: refused if it is still needed at the end.
    Part(Part),
}

/// Parts of what ONNX spells out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A product of two tensors that both depend on the input.
    Product,
    /// The former, without what comes after each row's own position.
    Causal,
    /// Softmax over the last axis.
    Softmax,
    /// The error function.
    Erf,
    /// The mean of each row.
    RowMean,
    /// A row without its mean.
    Centred,
    /// The square of the former.
    Square,
    /// The mean of the former.
    Variance,
    /// The former, plus epsilon.
    VariancePlus(f32),
    /// Its square root.
    Deviation(f32),
}

impl Kind {
    /// Whether it is this part.
    pub(super) fn is_part(&self, part: &Part) -> bool {
        matches!(self, Self::Part(own) if own == part)
    }

    /// Whether all its weights are finite.
    pub(super) fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        match self {
            Self::Conv { weights, .. } | Self::Linear { weights, .. } => finite(&weights.weight) && finite(&weights.bias),
            Self::Depthwise { weight, bias, .. } => finite(weight) && finite(bias),
            Self::Affine { scale, shift, .. } => finite(scale) && finite(shift),
            Self::Norm { gamma, beta, epsilon } => finite(gamma) && finite(beta) && epsilon.is_finite(),
            Self::Prepend { tokens: constant } | Self::AddConstant { constant } => finite(constant),
            _ => true,
        }
    }

    /// Puts an activation behind a layer that can have one and has none yet; false if it cannot.
    pub(super) fn activate(&mut self, function: Activation) -> bool {
        match self {
            Self::Conv { activation, .. }
            | Self::Linear { activation, .. }
            | Self::Depthwise { activation, .. }
            | Self::Affine { activation, .. }
            | Self::Add { activation }
                if *activation == Activation::Identity =>
            {
                *activation = function;
                true
            }
            _ => false,
        }
    }

    /// Folds a factor and a shift for each channel into a layer that has none behind it yet; false if it cannot.
    pub(super) fn fold(&mut self, by: &[f32], plus: &[f32]) -> bool {
        match self {
            Self::Conv { weights, activation: Activation::Identity, .. } | Self::Linear { weights, activation: Activation::Identity } => {
                weights.scaled(by, plus);
            }
            Self::Depthwise { weight, bias, activation: Activation::Identity, .. } => {
                for row in weight.chunks_exact_mut(by.len()) {
                    row.iter_mut().zip(by).for_each(|(w, by)| *w *= by);
                }
                shifted(bias, by, plus);
            }
            Self::Affine { scale, shift, activation: Activation::Identity } => {
                scale.iter_mut().zip(by).for_each(|(scale, by)| *scale *= by);
                shifted(shift, by, plus);
            }
            Self::Norm { gamma, beta, .. } => {
                gamma.iter_mut().zip(by).for_each(|(gamma, by)| *gamma *= by);
                shifted(beta, by, plus);
            }
            _ => return false,
        }
        true
    }

    /// The factor of a layer that does nothing but scale everything alike.
    pub(super) fn uniform_scale(&self) -> Option<f32> {
        match self {
            Self::Affine { scale, shift, activation: Activation::Identity } => {
                let alike = scale.iter().all(|s| *s == scale[0]) && shift.iter().all(|t| *t == 0.0);
                alike.then(|| scale[0])
            }
            _ => None,
        }
    }
}

fn shifted(bias: &mut [f32], by: &[f32], plus: &[f32]) {
    for ((bias, by), plus) in bias.iter_mut().zip(by).zip(plus) {
        *bias = *bias * by + plus;
    }
}
