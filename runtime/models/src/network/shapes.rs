//! Shapes of a network's maps, from its input to its last layer.

use std::collections::HashMap;

use ossicle_engine::layers::map::{Block, Grid, MAX_INPUTS, Offset, Shape};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::conv::Size;
use ossicle_kernels::dot::{MAX_DEPTH, MAX_DEPTH_U8};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Pool, Window};

use super::config::{INPUT, Layer, NetworkConfig, Op, WindowConfig};

/// Most layers.
const MAX_LAYERS: usize = 4096;

/// Most values of one map.
const MAX_VALUES: usize = 1 << 26;

/// Largest figure of a window.
const MAX_FIGURE: usize = 1 << 15;

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

    /// The shape after each layer, and where its inputs come from: 0 is the network's input, `i + 1` layer `i`.
    ///
    /// # Errors
    /// The first layer that cannot be, and why.
    pub(super) fn shapes(&self) -> Result<Vec<(Shape, Vec<usize>)>, String> {
        shapes(self.input_shape(), &self.layers)
    }
}

/// The shape after each layer, and where its inputs come from: 0 is the input, `i + 1` layer `i`.
///
/// # Errors
/// The first layer that cannot be, and why.
pub(crate) fn shapes(input: Shape, layers: &[Layer]) -> Result<Vec<(Shape, Vec<usize>)>, String> {
    if layers.len() > MAX_LAYERS {
        return Err(format!("{} layers, at most {MAX_LAYERS}", layers.len()));
    }
    if !fits(input) {
        return Err(format!("an input of {input:?} is empty or too large"));
    }
    let mut known: HashMap<&str, (usize, Shape)> = HashMap::from([(INPUT, (0, input))]);
    let mut grids: Vec<Option<Grid>> = vec![None];
    let mut shapes = vec![];
    for (i, layer) in layers.iter().enumerate() {
        let wrong = |problem: String| format!("layer {:?}: {problem}", layer.name);
        let mut sources = vec![];
        for name in &layer.inputs {
            sources.push(*known.get(name.as_str()).ok_or_else(|| wrong(format!("{name:?} is not a layer before it")))?);
        }
        let inputs: Vec<Shape> = sources.iter().map(|&(_, shape)| shape).collect();
        let shape = layer.op.shape(&inputs).map_err(wrong)?;
        if !fits(shape) {
            return Err(wrong(format!("a map of {shape:?} is empty or too large")));
        }
        let from: Vec<Option<Grid>> = sources.iter().map(|&(source, _)| grids[source]).collect();
        let raw = sources.first().is_some_and(|&(source, _)| source == 0);
        if let Some(problem) = byte_problem(layer, raw, &inputs, &from) {
            return Err(wrong(problem));
        }
        grids.push(layer.bytes);
        if known.insert(&layer.name, (i + 1, shape)).is_some() {
            return Err(wrong("there are two of that name".into()));
        }
        shapes.push((shape, sources.into_iter().map(|(source, _)| source).collect()));
    }
    Ok(shapes)
}

/// What is wrong with a layer's maps of bytes, if anything. (Layers of f32 read bytes as f32.)
fn byte_problem(layer: &Layer, raw: bool, inputs: &[Shape], from: &[Option<Grid>]) -> Option<String> {
    let bytes = layer.bytes.is_some();
    if let Some(problem) = layer.bytes.and_then(Grid::problem) {
        return Some(problem);
    }
    let all = from.iter().all(Option::is_some);
    let fits = match layer.op {
        Op::PixelConv { .. } => bytes && raw,
        Op::Conv { .. } => !bytes || all,
        Op::Depthwise { .. } | Op::Add { .. } => !bytes || all,
        Op::Pool { pool, .. } => !bytes || (pool == Pool::Max && from[0] == layer.bytes),
        _ => !bytes || matches!(layer.op, Op::Linear { .. }),
    };
    if !fits {
        return Some("its map cannot be bytes".into());
    }
    if let (Some(grid), Some(activation)) = (layer.bytes, layer.op.activation())
        && grid.to_bytes(activation).is_none()
    {
        return Some(format!("{activation:?} gives no bytes"));
    }
    // Rows of bytes are u8, whatever comes out.
    let rows = match (&layer.op, from.first()) {
        (Op::Conv { offset: Some(_), .. } | Op::Linear { offset: Some(_), .. }, Some(Some(_))) => {
            return Some("bytes have no offset".into());
        }
        (Op::Linear { .. }, Some(Some(_))) => inputs[0].channels,
        (Op::Conv { window, groups, .. }, Some(Some(_))) => depth(&Window::from(*window), inputs[0].channels / groups),
        (Op::PixelConv { window, .. }, _) => depth(&Window::from(*window), inputs[0].channels),
        _ => return None,
    };
    check_depth(rows, MAX_DEPTH_U8).err()
}

impl Op {
    /// The function behind a layer that may have one.
    fn activation(&self) -> Option<Activation> {
        match *self {
            Self::Conv { activation, .. }
            | Self::PixelConv { activation, .. }
            | Self::Linear { activation, .. }
            | Self::Depthwise { activation, .. }
            | Self::Add { activation } => Some(activation),
            _ => None,
        }
    }

    /// The shape after a layer with these inputs.
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
        match *self {
            Self::Conv { ref window, channels, groups, offset, .. } => {
                let (window, size) = windowed(window, x)?;
                let block = Block::new(groups, x.channels, channels);
                let block = block.ok_or_else(|| format!("{groups} groups of {} channels to {channels}", x.channels))?;
                check_rows(depth(&window, block.inputs), offset)?;
                Ok(Shape { size, channels })
            }
            Self::ConvF32 { ref window, channels, .. } | Self::PixelConv { ref window, channels, .. } => {
                let (window, size) = windowed(window, x)?;
                check_depth(depth(&window, x.channels), MAX_DEPTH)?;
                Ok(Shape { size, channels })
            }
            Self::Linear { channels, offset, .. } => {
                check_rows(x.channels, offset)?;
                Ok(Shape { size: x.size, channels })
            }
            Self::Depthwise { ref window, .. } => Ok(Shape { size: windowed(window, x)?.1, channels: x.channels }),
            Self::Pool { ref window, .. } => pooled(window, x),
            Self::Mean => Ok(Shape { size: Size { height: 1, width: 1 }, channels: x.channels }),
            Self::Affine { .. } | Self::Activate { .. } | Self::AddConstant => Ok(x),
            Self::Norm { epsilon } => normalised(epsilon, x),
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
            Self::Attention { heads, .. } => attended(heads, HEAD, x),
            Self::WideAttention { heads, head } => attended(heads, head, x),
            Self::TextEnd => Ok(Shape::line(1, x.channels)),
            Self::Prepend { tokens } => {
                let positions = x.positions().checked_add(tokens).ok_or("too many tokens")?;
                Ok(Shape::line(positions, x.channels))
            }
            Self::Concat { ref channels } => joined(channels, inputs),
            Self::Take { first, count } => {
                let fits = count > 0 && first.checked_add(count).is_some_and(|end| end <= x.positions());
                if fits { Ok(Shape::line(count, x.channels)) } else { Err(format!("{count} positions from {first} on of {x:?}")) }
            }
        }
    }
}

/// A window on a map, and the positions it gives.
fn windowed(window: &WindowConfig, x: Shape) -> Result<(Window, Size), String> {
    let figures = [window.kernel, window.stride, window.dilation].into_iter().flatten().chain(window.padding);
    let window = Window::from(*window);
    if figures.max() > Some(MAX_FIGURE) {
        return Err(format!("{window:?} is out of bounds"));
    }
    let size = window.output(x.size).ok_or_else(|| format!("{window:?} does not fit {:?}", x.size))?;
    Ok((window, size))
}

/// Values of a window of so many channels.
fn depth(window: &Window, channels: usize) -> usize {
    let taps = window.kernel[0].checked_mul(window.kernel[1]);
    taps.and_then(|taps| taps.checked_mul(channels)).unwrap_or(usize::MAX)
}

fn pooled(window: &WindowConfig, x: Shape) -> Result<Shape, String> {
    let (window, size) = windowed(window, x)?;
    // Or a window could see nothing but padding.
    let reach = |axis: usize| window.kernel[axis].saturating_sub(1).saturating_mul(window.dilation[axis]);
    if window.dilation != [1, 1] || (0..2).any(|axis| window.before[axis] > reach(axis) || window.after[axis] > reach(axis)) {
        return Err(format!("a pool with {window:?}: dilation 1 and padding below the kernel's size are possible"));
    }
    Ok(Shape { size, channels: x.channels })
}

fn normalised(epsilon: f32, x: Shape) -> Result<Shape, String> {
    if !x.channels.is_multiple_of(LANES) {
        return Err(format!("{} channels: layer normalisation wants a multiple of {LANES}", x.channels));
    }
    if epsilon.is_finite() && epsilon >= 0.0 { Ok(x) } else { Err(format!("epsilon {epsilon}")) }
}

fn attended(heads: usize, head: usize, x: Shape) -> Result<Shape, String> {
    let outputs = heads.checked_mul(head).filter(|&outputs| outputs > 0 && head.is_multiple_of(LANES));
    let fits = outputs.and_then(|outputs| outputs.checked_mul(3)) == Some(x.channels);
    // The products over positions are as deep as there are positions, and probabilities are u8.
    check_depth(x.positions(), MAX_DEPTH_U8)?;
    if fits { Ok(Shape { channels: heads * head, ..x }) } else { Err(format!("{heads} heads of {head} values in {} channels", x.channels)) }
}

/// Channels of several maps, or some of them.
fn joined(channels: &[usize], inputs: &[Shape]) -> Result<Shape, String> {
    let x = inputs[0];
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
