//! `ossicle-quantize efficientnet`: EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation, with ReLU6) from a PyTorch state
//! dict as a model folder of kind `network`.
//!
//! The checkpoint is written down as the ONNX graph that it means, and goes on as every other network does: the same lowering, folding and
//! measuring.

mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::network::Network;
use crate::onnx::builder::Builder;
use crate::onnx::proto::{Message, attribute, integers, real};
use crate::source::read;
use crate::sources::pickle;
use crate::{Error, network::Parts};

/// ImageNet's 1000 classes in their usual order, one a line: WordNet's first word for each synset, made different where two are the same.
pub const LABELS: &str = include_str!("imagenet.txt");

/// Side of the images it reads.
const SIDE: usize = 224;

/// What becomes of an image: the shorter side to 256 pixels, bicubic, and the middle of that; ImageNet's mean and deviation.
const PREPROCESSOR: &str = r#"{"size": {"shortest_edge": 256}, "do_center_crop": true, "resample": 3,
    "rescale_factor": 0.00392156862745098, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}"#;

/// Blocks in a row: how many, their window's side, stride of the first, expansion, channels after them.
const STAGES: [(usize, usize, usize, usize, usize); 7] =
    [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)];

/// Channels of the first and of the last convolution.
const STEM: usize = 32;
const HEAD: usize = 1280;

/// Added to the variance in each batch normalisation.
const EPSILON: f32 = 1e-3;

/// Reads a state dict (`.pth`, `.pt`) with the names of lukemelas' EfficientNet-PyTorch.
///
/// # Errors
/// The file is none, or holds another network: the first tensor that is missing, too many, of another shape or not finite.
///
/// ```no_run
/// let network = ossicle_quantize::efficientnet::open("efficientnet-lite0.pth".as_ref())?;
/// println!("{} classes", network.outputs());
/// # Ok::<(), ossicle_quantize::Error>(())
/// ```
pub fn open(path: &Path) -> Result<Network, Error> {
    let counters = |name: &str| name.ends_with(".num_batches_tracked");
    let tensors = pickle::parse_wanted(path, Arc::new(read(path)?), |name| !counters(name))?;
    // DataParallel puts its own name in front.
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.strip_prefix("module.").unwrap_or(&name).to_owned(), tensor)).collect();
    let mut graph = Graph { path: path.to_owned(), builder: Builder::new(path, tensors), last: "pixels".into() };
    let classes = graph.build()?;
    graph.nothing_left()?;
    let file = graph.builder.file("efficientnet-lite0", ("pixels", &[1, 3, SIDE, SIDE]), ("scores", &[1, classes]));
    Network::parse(path, &file)
}

/// What comes with the network: these labels, what becomes of an image, notes for the model card and, if a sentence encoder's folder and name
/// are given, its vectors of the labels' words.
///
/// # Errors
/// The sentence encoder cannot be used, or the labels have no words.
pub fn parts(labels: &str, notes: String, text_model: Option<(&Path, &str)>) -> Result<Parts, Error> {
    let labels: Vec<String> = labels.lines().map(str::to_owned).collect();
    let words = text_model.map(|(folder, name)| words::encode(folder, name, &labels)).transpose()?;
    Ok(Parts {
        labels,
        preprocessor: preprocessor()?.to_json(),
        introduction: "EfficientNet-Lite0 for the Ossicle runtime, made by `ossicle-quantize efficientnet`.".into(),
        notes,
        extra: vec![],
        words,
    })
}

/// What becomes of an image.
///
/// # Errors
/// None but a fault in this module.
pub fn preprocessor() -> Result<ossicle::label::Preprocessor, Error> {
    let target = ossicle::label::Target { height: SIDE, width: SIDE, channels: 3 };
    ossicle::label::Preprocessor::parse(PREPROCESSOR.as_bytes(), target).map_err(|e| Error::json(Path::new("preprocessor_config.json"), e))
}

/// A convolution of the network.
struct Conv {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    /// Whether each channel has a window of its own.
    depthwise: bool,
    /// Whether ReLU6 follows.
    relu: bool,
}

/// The graph as far as it is written.
struct Graph {
    path: PathBuf,
    builder: Builder,
    /// What the last node gives.
    last: String,
}

impl Graph {
    /// All layers, in order; gives the number of classes.
    fn build(&mut self) -> Result<usize, Error> {
        self.builder.constant("zero", &[], &[0.0]);
        self.builder.constant("six", &[], &[6.0]);
        let mut side = SIDE;
        let stem = Conv { inputs: 3, outputs: STEM, kernel: 3, stride: 2, depthwise: false, relu: true };
        self.conv("_conv_stem", "_bn0", &stem, &mut side)?;
        let (mut channels, mut block) = (STEM, 0);
        for (repeats, kernel, first, expansion, outputs) in STAGES {
            for repeat in 0..repeats {
                let stride = if repeat == 0 { first } else { 1 };
                let (name, inner, before) = (format!("_blocks.{block}"), channels * expansion, self.last.clone());
                if expansion != 1 {
                    let conv = Conv { inputs: channels, outputs: inner, kernel: 1, stride: 1, depthwise: false, relu: true };
                    self.conv(&format!("{name}._expand_conv"), &format!("{name}._bn0"), &conv, &mut side)?;
                }
                let conv = Conv { inputs: inner, outputs: inner, kernel, stride, depthwise: true, relu: true };
                self.conv(&format!("{name}._depthwise_conv"), &format!("{name}._bn1"), &conv, &mut side)?;
                let conv = Conv { inputs: inner, outputs, kernel: 1, stride: 1, depthwise: false, relu: false };
                self.conv(&format!("{name}._project_conv"), &format!("{name}._bn2"), &conv, &mut side)?;
                if stride == 1 && channels == outputs {
                    let last = self.last.clone();
                    self.node("Add", &[&before, &last], &format!("{name}.add"), vec![]);
                }
                (channels, block) = (outputs, block + 1);
            }
        }
        let head = Conv { inputs: channels, outputs: HEAD, kernel: 1, stride: 1, depthwise: false, relu: true };
        self.conv("_conv_head", "_bn1", &head, &mut side)?;
        self.then("GlobalAveragePool", &[], "_avg_pooling", vec![]);
        self.then("Flatten", &[], "features", vec![]);
        let classes = self.builder.shape("_fc.bias")?.iter().product();
        let weight = self.builder.weight("_fc.weight", &[classes, HEAD])?;
        let bias = self.builder.weight("_fc.bias", &[classes])?;
        self.then("Gemm", &[&weight, &bias], "_fc", vec![attribute("transB", 1)]);
        self.then("Softmax", &[], "scores", vec![attribute("axis", -1)]);
        Ok(classes)
    }

    /// A convolution, its batch normalisation and its activation. `side` is the map's size before the call, and after the convolution when it returns.
    fn conv(&mut self, name: &str, norm: &str, conv: &Conv, side: &mut usize) -> Result<(), Error> {
        let Conv { inputs, outputs, kernel, stride, depthwise, relu } = *conv;
        let filters = if depthwise { 1 } else { inputs };
        let weight = self.builder.weight(&format!("{name}.weight"), &[outputs, filters, kernel, kernel])?;
        // TensorFlow's "same": as many outputs as strides begin in the map, and of an odd number of zeros one more at the end.
        let reach = (side.div_ceil(stride) - 1) * stride + kernel;
        let (before, all) = (reach.saturating_sub(*side) / 2, reach.saturating_sub(*side));
        let pads = [before, before, all - before, all - before].map(|n| n as i64);
        let group = if depthwise { inputs } else { 1 };
        let attributes = vec![integers("pads", &pads), integers("strides", &[stride as i64; 2]), attribute("group", group as i64)];
        self.then("Conv", &[&weight], name, attributes);
        let mut figures = vec![];
        for figure in ["weight", "bias", "running_mean", "running_var"] {
            figures.push(self.builder.weight(&format!("{norm}.{figure}"), &[outputs])?);
        }
        let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
        self.then("BatchNormalization", &figures, norm, vec![real("epsilon", EPSILON)]);
        if relu {
            self.then("Clip", &["zero", "six"], &format!("{name}.relu6"), vec![]);
        }
        *side = side.div_ceil(stride);
        Ok(())
    }

    fn node(&mut self, op: &str, inputs: &[&str], name: &str, attributes: Vec<Message>) {
        self.last = self.builder.node(op, inputs, name, attributes);
    }

    /// A node that reads the last one.
    fn then(&mut self, op: &str, constants: &[&str], name: &str, attributes: Vec<Message>) {
        let last = self.last.clone();
        let inputs: Vec<&str> = [last.as_str()].into_iter().chain(constants.iter().copied()).collect();
        self.node(op, &inputs, name, attributes);
    }

    /// Every tensor was taken.
    fn nothing_left(&self) -> Result<(), Error> {
        let Some(name) = self.builder.left().next() else { return Ok(()) };
        let squeeze = if name.contains("._se_") { " (it has no squeeze-and-excitation: export B0 to B7 to ONNX)" } else { "" };
        Err(Error::unsupported(&self.path, format!("tensor {name} does not belong to EfficientNet-Lite0{squeeze}")))
    }
}

#[cfg(test)]
mod tests;
