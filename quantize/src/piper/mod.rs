//! `ossicle-quantize piper`: one of Piper's voices (VITS) from ONNX as a model folder.
//!
//! The file's graph is not lowered node by node: the runtime's family has its wiring. What is read are its tensors, by the names that they have in
//! the original network, and the figures that only nodes tell: dilations, strides, slopes. Weights that lost their names when weight normalisation
//! was folded into them are found by the bias that is added to their convolution.

mod float;
mod network;
mod read;
mod settings;
mod speaker;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ossicle_models::vits::VitsConfig;

use crate::Error;
use crate::norm::Norm;

pub use float::{Noise, Stage};
pub use write::Task;

/// A convolution.
#[derive(Clone, Debug, Default)]
struct Conv {
    /// `[outputs][inputs][taps]`; of a depthwise one `[outputs][1][taps]`, of a transposed one `[inputs][outputs][taps]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
    taps: usize,
    dilation: usize,
}

impl Conv {
    /// What one of a single tap makes of a row.
    fn of(&self, row: &[f32]) -> Vec<f32> {
        let products = |weights: &[f32]| weights.iter().zip(row).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>();
        self.weight.chunks_exact(self.inputs).zip(&self.bias).map(|(weights, &bias)| (products(weights) + f64::from(bias)) as f32).collect()
    }

    fn add_to_bias(&mut self, values: &[f32]) {
        self.bias.iter_mut().zip(values).for_each(|(bias, value)| *bias += value);
    }
}

/// A layer of the text encoder.
#[derive(Clone, Debug)]
struct Layer {
    query: Conv,
    key: Conv,
    value: Conv,
    output: Conv,
    /// `[2 * window + 1][head]`
    relative_keys: Vec<f32>,
    relative_values: Vec<f32>,
    norm: Norm,
    up: Conv,
    down: Conv,
    feed_forward_norm: Norm,
}

/// A layer of a depth-separable stack.
#[derive(Clone, Debug)]
struct Separable {
    depthwise: Conv,
    norm_1: Norm,
    point: Conv,
    norm_2: Norm,
}

/// A spline of the duration predictor.
#[derive(Clone, Debug)]
struct Spline {
    input: Conv,
    convs: Vec<Separable>,
    output: Conv,
}

/// A coupling layer of the flow.
#[derive(Clone, Debug)]
struct Coupling {
    enter: Conv,
    /// Convolution into the gates, and the layer after them.
    layers: Vec<[Conv; 2]>,
    leave: Conv,
}

/// Upsampling, and residual blocks of convolutions, one or two at a step.
#[derive(Clone, Debug)]
struct DecoderStage {
    upsample: Conv,
    blocks: Vec<Vec<Vec<Conv>>>,
}

/// A voice as read.
#[derive(Debug)]
pub struct Voice {
    path: PathBuf,
    config: VitsConfig,
    /// Which of several speakers it is, in words.
    speaker: Option<String>,
    /// Symbols' numbers.
    symbols: BTreeMap<char, u32>,
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    stats: Conv,
    duration_input: Conv,
    duration_convs: Vec<Separable>,
    duration_condition: Conv,
    /// In the order in which they are undone.
    splines: Vec<Spline>,
    /// Mean and scale.
    affine: [f32; 2],
    /// In the order in which they are undone.
    couplings: Vec<Coupling>,
    decoder_input: Conv,
    stages: Vec<DecoderStage>,
    decoder_output: Conv,
}

impl Voice {
    /// Reads a voice; its settings are in `config`, or in the file of the voice's name with `.json` appended. Of several speakers it is the one of
    /// this name or number, or the first.
    ///
    /// # Errors
    /// A file is missing or malformed, holds another network, has no such speaker, or asks for what the runtime does not do.
    pub fn open(path: &Path, config: Option<&Path>, speaker: Option<&str>) -> Result<Self, Error> {
        let beside = path.with_added_extension("json");
        let settings = settings::read(config.unwrap_or(&beside))?;
        read::voice(path, settings, speaker)
    }

    /// Which of several speakers it is: number, name if it has one, and how many there are. None where there is but one.
    pub fn speaker(&self) -> Option<&str> {
        self.speaker.as_deref()
    }

    /// Its configuration.
    pub fn config(&self) -> &VitsConfig {
        &self.config
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let conv = |conv: &Conv| conv.weight.len() + conv.bias.len();
        let norm = |norm: &Norm| 2 * norm.weight.len();
        let separable = |list: &[Separable]| -> usize {
            list.iter().map(|one| conv(&one.depthwise) + conv(&one.point) + norm(&one.norm_1) + norm(&one.norm_2)).sum()
        };
        let layer = |layer: &Layer| {
            let convs = [&layer.query, &layer.key, &layer.value, &layer.output, &layer.up, &layer.down].map(conv);
            let relative = layer.relative_keys.len() + layer.relative_values.len();
            convs.iter().sum::<usize>() + relative + norm(&layer.norm) + norm(&layer.feed_forward_norm)
        };
        let spline = |spline: &Spline| conv(&spline.input) + separable(&spline.convs) + conv(&spline.output);
        let coupling = |one: &Coupling| conv(&one.enter) + one.layers.iter().flatten().map(conv).sum::<usize>() + conv(&one.leave);
        let stage = |stage: &DecoderStage| conv(&stage.upsample) + stage.blocks.iter().flatten().flatten().map(conv).sum::<usize>();
        let single = [&self.stats, &self.duration_input, &self.duration_condition, &self.decoder_input, &self.decoder_output].map(conv);
        self.embedding.len()
            + single.iter().sum::<usize>()
            + self.layers.iter().map(layer).sum::<usize>()
            + separable(&self.duration_convs)
            + self.splines.iter().map(spline).sum::<usize>()
            + self.couplings.iter().map(coupling).sum::<usize>()
            + self.stages.iter().map(stage).sum::<usize>()
    }
}
