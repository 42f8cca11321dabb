//! `config.json` of a network: its layers, by name.

use ossicle_engine::layers::map::{Grid, Offset, Scores};
use ossicle_engine::weights::{ModelConfig, NUMERICS_OF_BYTES, NUMERICS_VERSION};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::window::{Pool, Window};
use serde::{Deserialize, Serialize};

use super::words::Words;

/// What layers call the network's input.
pub const INPUT: &str = "input";

/// A network as layers that read the input or earlier layers; the last one gives a logit for each label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// What it reads: `[height][width][channels]`, f32.
    pub input: InputShape,
    /// In the order they are computed.
    pub layers: Vec<Layer>,
    /// What becomes of the logits.
    pub scores: Scores,
    /// Classes; `labels.txt` has a line for each.
    pub num_labels: usize,
    /// What it is computed by: 2 if a layer's map is bytes.
    #[serde(default = "first_version")]
    pub numerics_version: u32,
    /// How images are compared with texts, if they can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// Shape of the input: of an image, or of mel frames (height) by bands (width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputShape {
    /// Rows of an image, frames of a recording.
    pub height: usize,
    /// Columns of an image, bands of a frame.
    pub width: usize,
    /// Colours of an image, 1 for a recording.
    pub channels: usize,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Names its tensors, in the weights and in traces.
    pub name: String,
    /// [`INPUT`] or names of earlier layers.
    pub inputs: Vec<String>,
    /// What the bytes of its map stand for, if that is bytes and not f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Grid>,
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
}

/// What a layer computes. Weights are tensors of the layer's name with the endings given here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A convolution: a linear layer on windows. `.weight`, `.weight_scale`, `.bias`, as for [`Op::Linear`] with `taps * channels` inputs,
    /// rounded up to 16. In groups, the channels are those of a [`Block`](ossicle_engine::layers::map::Block).
    Conv {
        /// Its geometry.
        window: WindowConfig,
        /// Channels behind it.
        channels: usize,
        /// As many equal parts of the input's channels each give as many equal parts of the output's.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
        /// How rows are quantised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Offset,
    },
    /// A convolution over all channels in f32, for short windows of the input. `.weight` `[taps * channels][outputs]` and `.bias`.
    ConvF32 {
        /// Its geometry.
        window: WindowConfig,
        /// Channels behind it.
        channels: usize,
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
    },
    /// A convolution of the network's input, which becomes bytes first, `fma(x, steps, zero)`, rounded: `.steps` and `.zeros`, one for each channel; the
    /// rest as for [`Op::Conv`]. Its map is bytes.
    PixelConv {
        /// Its geometry.
        window: WindowConfig,
        /// Channels behind it.
        channels: usize,
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
    },
    /// A linear layer on each position. `.weight` packed, `.weight_scale` and `.bias`.
    Linear {
        /// Channels behind it.
        channels: usize,
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
        /// How rows are quantised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Offset,
    },
    /// A convolution of each channel by itself. `.weight` `[taps][channels]` and `.bias`, f32; if its map is bytes `.weight`, `.weight_scale` and
    /// `.bias` as for [`Op::Linear`], the taps column after column, each with zeros up to a multiple of four rows.
    Depthwise {
        /// Its geometry.
        window: WindowConfig,
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
    },
    /// Pools each channel.
    Pool {
        /// Its geometry.
        window: WindowConfig,
        /// What becomes of a window.
        #[serde(with = "PoolName")]
        pool: Pool,
    },
    /// The mean of all positions.
    Mean,
    /// Each channel by a factor, plus a shift: `.weight` and `.bias`, f32.
    Affine {
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
    },
    /// The sum of two maps.
    Add {
        /// Applied to each value.
        #[serde(with = "ActivationName", default = "identity", skip_serializing_if = "is_identity")]
        activation: Activation,
    },
    /// The product of two maps, value by value.
    Multiply,
    /// A map, each channel scaled by the second input's one position.
    Scale,
    /// A function of each value.
    Activate {
        /// Which.
        #[serde(with = "ActivationName")]
        activation: Activation,
    },
    /// Layer normalisation of each position. `.weight` and `.bias`, f32.
    Norm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Self-attention. Channels of the input are `[3][heads][64]`: queries times 8 (docs/networks.md), keys and values.
    Attention {
        /// Heads of 64 values.
        heads: usize,
        /// Whether each position looks only at itself and those before it.
        #[serde(default, skip_serializing_if = "is_false")]
        causal: bool,
    },
    /// The same in f32, for heads wider than 64. Channels of the input are `[3][heads][head]`: queries divided by what scores are divided by, keys
    /// and values.
    WideAttention {
        /// How many.
        heads: usize,
        /// Values of a head, a multiple of 16.
        head: usize,
    },
    /// Constant positions in front of the input's: `.tokens` `[tokens][channels]`, f32.
    Prepend {
        /// How many.
        tokens: usize,
    },
    /// A constant for each value: `.constant` `[positions][channels]`, f32.
    AddConstant,
    /// The channels of up to [`MAX_INPUTS`](ossicle_engine::layers::map::MAX_INPUTS) maps behind one another, or some of them.
    Concat {
        /// Which of all inputs' channels, counted on from one input to the next; all of them if empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<usize>,
    },
    /// The position at which a text ends, whichever that is in a run. Only towers of texts have one.
    TextEnd,
    /// Some positions in a row.
    Take {
        /// The first.
        first: usize,
        /// How many.
        count: usize,
    },
}

/// [`Window`] in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowConfig {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Down and to the right.
    pub stride: [usize; 2],
    /// Down and to the right.
    #[serde(default = "dense", skip_serializing_if = "is_dense")]
    pub dilation: [usize; 2],
    /// Above, to the left, below, to the right.
    pub padding: [usize; 4],
}

fn first_version() -> u32 {
    NUMERICS_VERSION
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_one(groups: &usize) -> bool {
    *groups == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn dense() -> [usize; 2] {
    [1, 1]
}

fn is_dense(dilation: &[usize; 2]) -> bool {
    *dilation == dense()
}

impl From<WindowConfig> for Window {
    fn from(config: WindowConfig) -> Self {
        let [top, left, bottom, right] = config.padding;
        Self { kernel: config.kernel, stride: config.stride, dilation: config.dilation, before: [top, left], after: [bottom, right] }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "snake_case")]
enum ActivationName {
    Identity,
    Relu,
    Relu6,
    HardSigmoid,
    HardSwish,
    Sigmoid,
    Silu,
    QuickGelu,
    Gelu,
    TanhGelu,
    Tanh,
    Elu,
}

fn identity() -> Activation {
    Activation::Identity
}

fn is_identity(activation: &Activation) -> bool {
    *activation == Activation::Identity
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pool", rename_all = "snake_case")]
enum PoolName {
    Max,
    Mean,
    PaddedMean,
}

impl ModelConfig for NetworkConfig {
    const KIND: &'static str = "network";
    const NUMERICS: u32 = NUMERICS_OF_BYTES;

    fn problem(&self) -> Option<String> {
        if self.layers.iter().any(|layer| layer.op == Op::TextEnd) {
            return Some("op text_end is for texts".into());
        }
        let bytes = self.layers.iter().any(|layer| layer.bytes.is_some());
        if bytes != (self.numerics_version == NUMERICS_OF_BYTES) {
            return Some(format!("numerics_version is {}: 2 is for maps of bytes, 1 for networks without", self.numerics_version));
        }
        if let Some(problem) = self.words.as_ref().and_then(Words::problem) {
            return Some(problem);
        }
        let shapes = match self.shapes() {
            Ok(shapes) => shapes,
            Err(problem) => return Some(problem),
        };
        match shapes.last() {
            None => Some("no layers".into()),
            Some((last, _)) if last.positions() != 1 || last.channels != self.num_labels => {
                Some(format!("the last layer gives {last:?}, not num_labels {} at one position", self.num_labels))
            }
            Some(_) => None,
        }
    }
}
