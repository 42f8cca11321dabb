//! `config.json` of a network: its layers, by name.

use std::collections::HashMap;

use ossicle_engine::layers::map::{Block, MAX_INPUTS, Offset, Scores, Shape};
use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::activation::Activation;
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::conv::Size;
use ossicle_kernels::dot::{MAX_DEPTH, MAX_DEPTH_U8};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Pool, Window};
use serde::{Deserialize, Serialize};

/// What layers call the network's input.
pub const INPUT: &str = "input";

/// Most values of one map.
const MAX_VALUES: usize = 1 << 26;

/// Largest figure of a window.
const MAX_FIGURE: usize = 1 << 15;

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
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
}

/// What a layer computes. Weights are tensors of the layer's name with the endings given here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A convolution: a linear layer on windows. `.weight`, `.weight_scale`, `.bias`, as for [`Op::Linear`] with `taps * channels` inputs,
    /// rounded up to 16. In groups, the channels are those of a [`Block`].
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
    /// A convolution of each channel by itself. `.weight` `[taps][channels]` and `.bias`, f32.
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
    },
    /// Constant positions in front of the input's: `.tokens` `[tokens][channels]`, f32.
    Prepend {
        /// How many.
        tokens: usize,
    },
    /// A constant for each value: `.constant` `[positions][channels]`, f32.
    AddConstant,
    /// The channels of up to [`MAX_INPUTS`] maps behind one another, or some of them.
    Concat {
        /// Which of all inputs' channels, counted on from one input to the next; all of them if empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<usize>,
    },
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

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_one(groups: &usize) -> bool {
    *groups == 1
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
    Tanh,
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

/// Whether a map of this shape has values, and no more than [`MAX_VALUES`].
fn fits(shape: Shape) -> bool {
    let Shape { size, channels } = shape;
    let values = size.height.checked_mul(size.width).and_then(|n| n.checked_mul(channels.checked_add(LANES)?));
    channels > 0 && values.is_some_and(|n| n > 0 && n <= MAX_VALUES)
}

impl NetworkConfig {
    /// The input's shape.
    pub(super) fn input_shape(&self) -> Shape {
        Shape { size: Size { height: self.input.height, width: self.input.width }, channels: self.input.channels }
    }

    /// The shape behind each layer, and where its inputs come from: 0 is the network's input, `i + 1` layer `i`.
    ///
    /// # Errors
    /// The first layer that cannot be, and why.
    pub(super) fn shapes(&self) -> Result<Vec<(Shape, Vec<usize>)>, String> {
        if !fits(self.input_shape()) {
            return Err(format!("input {:?} is empty or too large", self.input));
        }
        let mut known: HashMap<&str, (usize, Shape)> = HashMap::from([(INPUT, (0, self.input_shape()))]);
        let mut shapes = vec![];
        for (i, layer) in self.layers.iter().enumerate() {
            let wrong = |problem: String| format!("layer {:?}: {problem}", layer.name);
            let mut sources = vec![];
            for name in &layer.inputs {
                sources.push(*known.get(name.as_str()).ok_or_else(|| wrong(format!("{name:?} is no layer before it")))?);
            }
            let inputs: Vec<Shape> = sources.iter().map(|&(_, shape)| shape).collect();
            let shape = layer.op.shape(&inputs).map_err(wrong)?;
            if !fits(shape) {
                return Err(wrong(format!("a map of {shape:?} is empty or too large")));
            }
            if known.insert(&layer.name, (i + 1, shape)).is_some() {
                return Err(wrong("there are two of that name".into()));
            }
            shapes.push((shape, sources.into_iter().map(|(source, _)| source).collect()));
        }
        Ok(shapes)
    }
}

impl Op {
    /// The shape behind a layer with these inputs.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let wanted = match self {
            Self::Add { .. } | Self::Multiply | Self::Scale => 2..=2,
            Self::Concat { .. } => 1..=MAX_INPUTS,
            _ => 1..=1,
        };
        if !wanted.contains(&inputs.len()) {
            return Err(format!("{} inputs, not {}", inputs.len(), wanted.end()));
        }
        let x = inputs[0];
        let windowed = |window: &WindowConfig| {
            let figures = [window.kernel, window.stride, window.dilation].into_iter().flatten().chain(window.padding);
            let window = Window::from(*window);
            if figures.max() > Some(MAX_FIGURE) {
                return Err(format!("{window:?} is out of bounds"));
            }
            let size = window.output(x.size).ok_or_else(|| format!("{window:?} does not fit {:?}", x.size))?;
            Ok::<_, String>((window, size))
        };
        match *self {
            Self::Conv { ref window, channels, groups, offset, .. } => {
                let (window, size) = windowed(window)?;
                let block = Block::new(groups, x.channels, channels);
                let block = block.ok_or_else(|| format!("{groups} groups of {} channels to {channels}", x.channels))?;
                let depth = window.kernel[0].checked_mul(window.kernel[1]).and_then(|taps| taps.checked_mul(block.inputs));
                check_rows(depth.unwrap_or(usize::MAX), offset)?;
                Ok(Shape { size, channels })
            }
            Self::ConvF32 { ref window, channels, .. } => {
                let (window, size) = windowed(window)?;
                let depth = window.kernel[0].checked_mul(window.kernel[1]).and_then(|taps| taps.checked_mul(x.channels));
                check_depth(depth.unwrap_or(usize::MAX), MAX_DEPTH)?;
                Ok(Shape { size, channels })
            }
            Self::Linear { channels, offset, .. } => {
                check_rows(x.channels, offset)?;
                Ok(Shape { size: x.size, channels })
            }
            Self::Depthwise { ref window, .. } => Ok(Shape { size: windowed(window)?.1, channels: x.channels }),
            Self::Pool { ref window, .. } => {
                let (window, size) = windowed(window)?;
                // Or a window could see nothing but padding.
                let reach = |axis: usize| window.kernel[axis].saturating_sub(1).saturating_mul(window.dilation[axis]);
                if window.dilation != [1, 1] || (0..2).any(|axis| window.before[axis] > reach(axis) || window.after[axis] > reach(axis)) {
                    return Err(format!("a pool with {window:?}: dilation 1 and padding below the kernel's size are possible"));
                }
                Ok(Shape { size, channels: x.channels })
            }
            Self::Mean => Ok(Shape { size: Size { height: 1, width: 1 }, channels: x.channels }),
            Self::Affine { .. } | Self::Activate { .. } | Self::AddConstant => Ok(x),
            Self::Norm { epsilon } => {
                if !x.channels.is_multiple_of(LANES) {
                    return Err(format!("{} channels: layer normalisation wants a multiple of {LANES}", x.channels));
                }
                if epsilon.is_finite() && epsilon >= 0.0 { Ok(x) } else { Err(format!("epsilon {epsilon}")) }
            }
            Self::Add { .. } | Self::Multiply => {
                if x == inputs[1] || (x.channels == inputs[1].channels && x.positions() == inputs[1].positions()) {
                    return Ok(x);
                }
                Err(format!("{x:?} and {:?} differ", inputs[1]))
            }
            Self::Scale => {
                let fits = inputs[1].positions() == 1 && inputs[1].channels == x.channels;
                if fits { Ok(x) } else { Err(format!("{x:?} cannot be scaled by {:?}", inputs[1])) }
            }
            Self::Attention { heads } => {
                let fits = heads > 0 && heads.checked_mul(3 * HEAD) == Some(x.channels);
                // The products over positions are as deep as there are positions, and probabilities are u8.
                check_depth(x.positions(), MAX_DEPTH_U8)?;
                if fits { Ok(Shape { channels: heads * HEAD, ..x }) } else { Err(format!("{heads} heads in {} channels", x.channels)) }
            }
            Self::Prepend { tokens } => {
                let positions = x.positions().checked_add(tokens).ok_or("too many tokens")?;
                Ok(Shape::line(positions, x.channels))
            }
            Self::Concat { ref channels } => {
                if let Some(other) = inputs.iter().find(|other| other.positions() != x.positions()) {
                    return Err(format!("{x:?} and {other:?} differ in positions"));
                }
                // Each map is within bounds, and there are few.
                let all = inputs.iter().map(|input| input.channels).sum();
                if let Some(channel) = channels.iter().find(|&&channel| channel >= all) {
                    return Err(format!("channel {channel} of {all}"));
                }
                Ok(Shape { channels: if channels.is_empty() { all } else { channels.len() }, ..x })
            }
            Self::Take { first, count } => {
                let fits = count > 0 && first.checked_add(count).is_some_and(|end| end <= x.positions());
                if fits { Ok(Shape::line(count, x.channels)) } else { Err(format!("{count} positions from {first} on of {x:?}")) }
            }
        }
    }
}

fn check_depth(depth: usize, most: usize) -> Result<(), String> {
    let padded = depth.checked_next_multiple_of(LANES);
    if padded.is_some_and(|depth| depth <= most) { Ok(()) } else { Err(format!("products over {depth} values, at most {most}")) }
}

/// Rows of a product: their length, and the offset that makes them u8.
fn check_rows(depth: usize, offset: Offset) -> Result<(), String> {
    if let Some(offset) = offset.filter(|offset| !offset.is_finite() || *offset < 0.0) {
        return Err(format!("offset {offset}, not a number from zero up"));
    }
    check_depth(depth, if offset.is_some() { MAX_DEPTH_U8 } else { MAX_DEPTH })
}

impl ModelConfig for NetworkConfig {
    const KIND: &'static str = "network";

    fn problem(&self) -> Option<String> {
        if self.layers.len() > 4096 {
            return Some(format!("{} layers, at most 4096", self.layers.len()));
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
