//! A network as a model folder.

use std::collections::HashSet;
use std::path::Path;

use ossicle_kernels::activation::Activation;
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::dot::MAX_DEPTH_U8;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelFolder, NUMERICS_OF_BYTES, NUMERICS_VERSION};
use ossicle_models::network::{self as runtime, INPUT, InputShape, NetworkConfig, NetworkGraph, Op, Words};
use ossicle_models::{GraphError, Options};

use super::ir::{Kind, Layer, Weights};
use super::padding::{LANES, padded};
use super::{Network, bytes};
use crate::Error;
use crate::card;
use crate::folder::{self, Partial, write_text};
use crate::pack::{self, quantize_rows};
use crate::tensors::Tensor;

/// What comes with a network.
#[derive(Debug, Default)]
pub struct Parts {
    /// A name for each score.
    pub labels: Vec<String>,
    /// `preprocessor_config.json`.
    pub preprocessor: String,
    /// First sentence of the model card; one about ONNX if it is empty.
    pub introduction: String,
    /// Markdown for the model card.
    pub notes: String,
    /// Other files: name and text.
    pub extra: Vec<(String, String)>,
    /// How images are compared with texts, and the tensors of that.
    pub words: Option<WordVectors>,
}

/// Vectors of the labels' words, and what is said of them in the folder.
#[derive(Debug)]
pub struct WordVectors {
    pub(crate) config: Words,
    pub(crate) tensors: Vec<Tensor>,
}

/// Weights and biases of a layer.
pub(super) fn parameters(layer: &Layer) -> usize {
    match &layer.kind {
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => weights.weight.len() + weights.bias.len(),
        Kind::Depthwise { weight, bias, .. } => weight.len() + bias.len(),
        Kind::Affine { scale, shift, .. } => scale.len() + shift.len(),
        Kind::Norm { gamma, beta, .. } => gamma.len() + beta.len(),
        Kind::Prepend { tokens: constant } | Kind::AddConstant { constant } => constant.len(),
        _ => 0,
    }
}

/// How far below zero each layer's values can be, where that is bounded: rows of what is read from there are u8 with that offset, unless they
/// are so long that their sums could overflow.
pub(super) fn offsets(layers: &[Layer]) -> Vec<Option<f32>> {
    let mut bounds: Vec<Option<f32>> = vec![];
    for layer in layers {
        let of = |input: usize| layer.inputs.get(input).and_then(|input| bounds[input.layer]);
        let bound = match &layer.kind {
            Kind::Conv { activation, .. }
            | Kind::Linear { activation, .. }
            | Kind::Depthwise { activation, .. }
            | Kind::Affine { activation, .. }
            | Kind::Activate(activation) => activation.depth_below_zero(),
            Kind::Add { activation: Activation::Identity } => of(0).zip(of(1)).map(|(a, b)| a + b),
            Kind::Add { activation } => activation.depth_below_zero(),
            Kind::Concat { .. } => (0..layer.inputs.len()).map(of).try_fold(0.0f32, |deepest, bound| Some(deepest.max(bound?))),
            Kind::Pool { .. } | Kind::Mean | Kind::Take { .. } => of(0),
            // A gate from an activation with values from 0 to 1 only brings values nearer to zero.
            Kind::Scale if gate(&layers[layer.inputs[1].layer].kind) => of(0),
            _ => None,
        };
        bounds.push(bound);
    }
    let fits = |layer: &Layer| match &layer.kind {
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => weights.inputs() <= MAX_DEPTH_U8,
        _ => true,
    };
    layers.iter().map(|layer| layer.inputs.first().filter(|_| fits(layer)).and_then(|input| bounds[input.layer])).collect()
}

/// Whether a layer's values are between 0 and 1.
fn gate(kind: &Kind) -> bool {
    let activation = match kind {
        Kind::Conv { activation, .. } | Kind::Linear { activation, .. } | Kind::Affine { activation, .. } | Kind::Activate(activation) => {
            activation
        }
        _ => return false,
    };
    matches!(activation, Activation::Sigmoid | Activation::HardSigmoid)
}

impl Network {
    /// Writes the model folder, all of it or none. An existing model folder is replaced only by `force`. `measure` looks at the folder before it is
    /// published, and may add to what comes with it.
    ///
    /// # Errors
    /// The labels do not fit, the folder exists, the disk refuses, or `measure` fails.
    pub fn write(
        &self,
        folder: &Path,
        force: bool,
        mut parts: Parts,
        measure: impl FnOnce(&Path, &mut Parts) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outputs = self.outputs();
        if let Some(label) = parts.labels.iter().find(|label| label.contains(char::is_control)) {
            return Err(Error::unsupported(self.graph.path(), format!("label {label:?} holds control characters: give plain text")));
        }
        if parts.labels.len() != outputs {
            let what = format!("{} labels, but the network has {outputs} outputs", parts.labels.len());
            return Err(Error::unsupported(self.graph.path(), what));
        }
        let mut partial = Partial::create(folder, force)?;
        let at = partial.path.clone();
        let (layers, mut tensors) = self.layers("")?;
        let words = parts.words.take().map(|words| {
            tensors.extend(words.tensors);
            words.config
        });
        let numerics_version = if self.has_bytes() { NUMERICS_OF_BYTES } else { NUMERICS_VERSION };
        let config = NetworkConfig { input: self.input(), layers, scores: self.fused.scores, num_labels: outputs, numerics_version, words };
        folder::put(&at, self.graph.path(), "network", &config, &tensors)?;
        write_text(&at.join("labels.txt"), &parts.labels.iter().flat_map(|label| [label, "\n"]).collect::<String>())?;
        write_text(&at.join("preprocessor_config.json"), &parts.preprocessor)?;
        self.check(&at)?;
        measure(&at, &mut parts)?;
        for (name, text) in &parts.extra {
            write_text(&at.join(name), text)?;
        }
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &parts))?;
        partial.publish(folder)
    }

    /// Opens what was written as the runtime does, and runs it once.
    fn check(&self, folder: &Path) -> Result<(), Error> {
        let refused = |error: GraphError| {
            let reason = match error {
                GraphError::Folder(FolderError::Malformed { problem, .. }) => problem,
                GraphError::Folder(FolderError::Tensor { name, problem, .. }) => format!("tensor {name} {problem}"),
                other => other.to_string(),
            };
            Error::Onnx { path: self.graph.path().to_owned(), reason: format!("the runtime does not take this network: {reason}") }
        };
        let model = ModelFolder::open(folder).map_err(|error| refused(error.into()))?;
        let mut network = NetworkGraph::new(model, Options { isa: Isa::detect(), threads: 1 }).map_err(refused)?;
        let zeros = vec![0.0; network.input_len()];
        let finite = network.run(&zeros).map_err(refused)?.iter().all(|score| score.is_finite());
        if finite {
            return Ok(());
        }
        Err(Error::Onnx { path: self.graph.path().to_owned(), reason: "its scores for an input of zeros are no finite numbers".into() })
    }

    /// Scores.
    pub fn outputs(&self) -> usize {
        self.fused.layers.last().map_or(0, |layer| layer.channels)
    }

    /// Height, width and channels of the input.
    pub fn input(&self) -> InputShape {
        let Layer { size, channels, .. } = self.fused.layers[0];
        InputShape { height: size.height, width: size.width, channels }
    }

    /// The layers' names, each a different one.
    pub(super) fn names(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names = vec![];
        for layer in &self.fused.layers {
            let base = if names.is_empty() { INPUT } else { &layer.name };
            let mut name = base.to_owned();
            for count in 2.. {
                if seen.insert(name.clone()) {
                    break;
                }
                name = format!("{base}.{count}");
            }
            names.push(name);
        }
        names
    }

    /// Layers as the runtime's configuration has them.
    fn runtime_layers(&self, names: &[String]) -> Result<Vec<runtime::Layer>, Error> {
        let layers = self.fused.layers.iter().zip(names).zip(&self.offsets).enumerate().skip(1);
        let layers = layers.map(|(at, ((layer, name), &offset))| {
            let inputs = layer.inputs.iter().map(|input| names[input.layer].clone()).collect();
            Some(runtime::Layer { name: name.clone(), inputs, bytes: self.grid(at), op: op(layer, offset, self.grid(at).is_some())? })
        });
        let layers: Option<Vec<runtime::Layer>> = layers.collect();
        layers.ok_or_else(|| Error::unsupported(self.graph.path(), "a pattern is incomplete"))
    }

    /// The layers, and their tensors with `prefix` in front of their names: what a model of several parts is put together from.
    pub(crate) fn layers(&self, prefix: &str) -> Result<(Vec<runtime::Layer>, Vec<Tensor>), Error> {
        let names = self.names();
        let mut tensors = vec![];
        for (at, ((layer, name), offset)) in self.fused.layers.iter().zip(&names).zip(&self.offsets).enumerate() {
            let name = format!("{prefix}{name}");
            if !bytes::put(self, &mut tensors, at, &name) {
                put(&mut tensors, layer, &name, *offset);
            }
        }
        Ok((self.runtime_layers(&names)?, tensors))
    }

    fn card(&self, name: &str, bytes: u64, parts: &Parts) -> String {
        let InputShape { height, width, channels } = self.input();
        let rows = [
            ("kind", format!("network, {} classes", self.outputs())),
            ("input", format!("{height} x {width} x {channels}")),
            ("layers", (self.fused.layers.len() - 1).to_string()),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: products int8 with one f32 scale per output, everything else f32")),
            ("numerics version", if self.has_bytes() { NUMERICS_OF_BYTES } else { NUMERICS_VERSION }.to_string()),
        ];
        let introduction = match &*parts.introduction {
            "" => "An ONNX network for the Ossicle runtime, made by `ossicle-quantize --onnx`.",
            own => own,
        };
        card::page(name, introduction, &rows, &parts.notes)
    }
}

/// A layer as the runtime's configuration has it; none for a part of a pattern.
fn op(layer: &Layer, offset: Option<f32>, bytes: bool) -> Option<Op> {
    let channels = layer.channels;
    Some(match layer.kind {
        Kind::Input | Kind::Part(_) => return None,
        Kind::Conv { window, activation, .. } if bytes && layer.inputs[0].layer == 0 => Op::PixelConv { window, channels, activation },
        Kind::Conv { window, activation, .. } if stays_float(layer) => Op::ConvF32 { window, channels, activation },
        Kind::Conv { window, groups, activation, .. } => Op::Conv { window, channels, groups, activation, offset },
        Kind::Linear { activation, .. } => Op::Linear { channels, activation, offset },
        Kind::Depthwise { window, activation, .. } => Op::Depthwise { window, activation },
        Kind::Pool { window, pool } => Op::Pool { window, pool },
        Kind::Mean => Op::Mean,
        Kind::Affine { activation, .. } => Op::Affine { activation },
        Kind::Add { activation } => Op::Add { activation },
        Kind::Multiply => Op::Multiply,
        Kind::Scale => Op::Scale,
        Kind::Activate(activation) => Op::Activate { activation },
        Kind::Norm { epsilon, .. } => Op::Norm { epsilon },
        Kind::Attention { heads, head: HEAD, causal } => Op::Attention { heads, causal },
        Kind::Attention { heads, head, .. } => Op::WideAttention { heads, head },
        Kind::Prepend { ref tokens } => Op::Prepend { tokens: tokens.len() / channels },
        Kind::AddConstant { .. } => Op::AddConstant,
        Kind::Concat { ref channels } => Op::Concat { channels: channels.clone() },
        Kind::Take { first, count } => Op::Take { first, count },
    })
}

/// Longest windows of the input that stay f32.
const FLOAT_WINDOW: usize = 64;

/// Whether a convolution stays f32: a first one of few values, which are as they come, with an offset of their own that 8 bits would be
/// spent on. It is a small part of the work.
fn stays_float(layer: &Layer) -> bool {
    let Kind::Conv { weights, groups: 1, .. } = &layer.kind else { return false };
    layer.inputs[0].layer == 0 && weights.inputs() <= FLOAT_WINDOW
}

/// A layer's tensors.
fn put(tensors: &mut Vec<Tensor>, layer: &Layer, name: &str, offset: Option<f32>) {
    let channels = layer.channels;
    let mut floats = |ending: &str, rows: Option<usize>, values: &[f32]| {
        let shape = rows.into_iter().chain([channels.next_multiple_of(LANES)]).collect();
        tensors.push(Tensor::floats(format!("{name}.{ending}"), shape, padded(values, channels)));
    };
    match &layer.kind {
        Kind::Conv { weights, .. } if stays_float(layer) => {
            let inputs = weights.inputs();
            let by_input: Vec<f32> = (0..inputs).flat_map(|k| weights.weight.iter().skip(k).step_by(inputs).copied()).collect();
            floats("weight", Some(inputs), &by_input);
            floats("bias", None, &weights.bias);
        }
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => put_linear(tensors, name, weights, offset),
        Kind::Depthwise { weight, bias, .. } => {
            floats("weight", Some(weight.len() / channels), weight);
            floats("bias", None, bias);
        }
        Kind::Affine { scale: weight, shift: bias, .. } | Kind::Norm { gamma: weight, beta: bias, .. } => {
            floats("weight", None, weight);
            floats("bias", None, bias);
        }
        Kind::Prepend { tokens } => floats("tokens", Some(tokens.len() / channels), tokens),
        Kind::AddConstant { constant } => floats("constant", Some(constant.len() / channels), constant),
        _ => {}
    }
}

fn put_linear(tensors: &mut Vec<Tensor>, name: &str, weights: &Weights, offset: Option<f32>) {
    let (outputs, inputs) = (weights.bias.len(), weights.inputs());
    let (rows, depth) = (pack::padded_rows(outputs), inputs.next_multiple_of(LANES));
    let q = quantize_rows(&padded(&weights.weight, inputs), outputs, depth);
    let mut bias = weights.bias.clone();
    if let Some(offset) = offset {
        // Rows come as values plus the offset: what that adds to each output is taken from its bias.
        for ((bias, row), scale) in bias.iter_mut().zip(q.values.chunks_exact(depth)).zip(&q.scales) {
            let sum: i64 = row.iter().map(|&w| i64::from(w)).sum();
            *bias = (f64::from(*bias) - f64::from(offset) * f64::from(*scale) * sum as f64) as f32;
        }
    }
    let shape = vec![rows / pack::BLOCK_ROWS, depth / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
    tensors.push(Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, outputs, depth)));
    tensors.push(Tensor::floats(format!("{name}.weight_scale"), vec![rows], padded(&q.scales, outputs)));
    tensors.push(Tensor::floats(format!("{name}.bias"), vec![rows], padded(&bias, outputs)));
}
