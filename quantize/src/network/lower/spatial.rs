//! Convolutions, pooling and means.

use ossicle_kernels::activation::Activation;
use ossicle_kernels::conv::Size;
use ossicle_kernels::window::{Pool, Window};
use ossicle_models::network::{Block, WindowConfig};
use tract_onnx::pb::NodeProto;

use super::shapes::axis_of;
use super::{Lowerer, Refused, given};
use crate::network::check::MAX_VALUES;
use crate::network::graph::Constant;
use crate::network::ir::{Kind, Layer, Part, Value, Weights};
use crate::network::node::{int, ints, text};
use crate::network::view::View;

/// How ONNX sees a map of this shape: `[1, channels, height, width]`, or `[1, channels, width]` for one row.
fn channels_first(size: Size, channels: usize, rank: usize) -> View {
    let (height, width) = ((size.height, size.width * channels), (size.width, channels));
    if rank == 3 { View::strided(&[(1, 0), (channels, 1), width]) } else { View::strided(&[(1, 0), (channels, 1), height, width]) }
}

/// Pads below and to the right until a window has as many outputs as `ceil_mode` gives it, each of which sees something of the map.
fn reach(window: &mut WindowConfig, size: Size, outputs: [usize; 2]) {
    for (axis, size) in [size.height, size.width].into_iter().enumerate() {
        let last = outputs[axis].saturating_sub(1).saturating_mul(window.stride[axis]);
        let end = last.saturating_add((window.kernel[axis] - 1) * window.dilation[axis] + 1);
        let more = end.saturating_sub(size + window.padding[axis]);
        if more < window.padding[axis + 2] + window.stride[axis] && last < size + window.padding[axis] {
            window.padding[axis + 2] = window.padding[axis + 2].max(more);
        }
    }
}

/// Weights that are zero where a filter does not reach, within bounds: a small file may ask for many.
fn zeros(dims: &[usize], kernel: &[f32]) -> Result<Vec<f32>, Refused> {
    let count = dims.iter().try_fold(1usize, |count, &n| count.checked_mul(n)).filter(|&count| count <= MAX_VALUES.max(kernel.len()));
    Ok(vec![0.0; count.ok_or_else(|| format!("weights of {dims:?}: more than {MAX_VALUES} values"))?])
}

impl Lowerer<'_> {
    /// A value as a map with its channels first.
    fn map(&mut self, node: &NodeProto) -> Result<(Value, Size, usize), Refused> {
        let value = self.value(node, 0)?;
        let value = self.whole(&value)?;
        let rank = value.view.axes.len();
        let is_map = |of: &Self, Value { layer, view, .. }: &Value| {
            let Layer { size, channels, .. } = of.layers[*layer];
            *view == channels_first(size, channels, rank) && (rank == 4 || size.height == 1)
        };
        // Its channels may be in an order of their own.
        let own = if is_map(self, &value) { Some(value.clone()) } else { self.select(&value) };
        let own = own.filter(|own| is_map(self, own));
        let value = own.ok_or_else(|| format!("what it reads, {:?}, is no map with its channels first", value.view.shape()))?;
        let Layer { size, channels, .. } = self.layers[value.layer];
        Ok((value, size, channels))
    }

    /// Geometry by a node's attributes, and the output's size, which has to be the one of the graph.
    fn window(&self, node: &NodeProto, kernel: &[usize], size: Size) -> Result<(WindowConfig, Size), Refused> {
        let dims = kernel.len();
        if !(1..=2).contains(&dims) {
            return Err(format!("a window of {dims} dimensions: 1 and 2 are possible"));
        }
        let figures = |name: &str, count: usize, default: usize| -> Result<Vec<usize>, Refused> {
            let given = ints(node, name).filter(|given| !given.is_empty()).unwrap_or_else(|| vec![default as i64; count]);
            let figures: Option<Vec<usize>> = given.iter().map(|&n| usize::try_from(n).ok()).collect();
            figures.filter(|figures| figures.len() == count).ok_or_else(|| format!("{name} = {given:?}"))
        };
        // One dimension is the width of a single row.
        let pair = |of: &[usize], default: usize| [if dims == 2 { of[0] } else { default }, of[dims - 1]];
        let kernel = pair(kernel, 1);
        let stride = pair(&figures("strides", dims, 1)?, 1);
        let dilation = pair(&figures("dilations", dims, 1)?, 1);
        let pads = figures("pads", 2 * dims, 0)?;
        let ([top, left], [bottom, right]) = (pair(&pads[..dims], 0), pair(&pads[dims..], 0));
        let mut padding = [top, left, bottom, right];
        match text(node, "auto_pad").as_deref() {
            None | Some("" | "NOTSET") => {}
            Some("VALID") => padding = [0; 4],
            Some(same @ ("SAME_UPPER" | "SAME_LOWER")) => {
                for (axis, size) in [size.height, size.width].into_iter().enumerate() {
                    let reach = (size.div_ceil(stride[axis].max(1)) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
                    let total = reach.saturating_sub(size);
                    let (less, more) = (total / 2, total - total / 2);
                    (padding[axis], padding[axis + 2]) = if same == "SAME_UPPER" { (less, more) } else { (more, less) };
                }
            }
            Some(other) => return Err(format!("auto_pad = {other:?}")),
        }
        let mut config = WindowConfig { kernel, stride, dilation, padding };
        let shape = self.output_shape(node)?;
        let wanted = shape.get(2..).filter(|wanted| wanted.len() == dims).ok_or_else(|| format!("its output is {shape:?}"))?;
        if int(node, "ceil_mode") == Some(1) {
            reach(&mut config, size, pair(wanted, 1));
        }
        let output = Window::from(config).output(size).ok_or_else(|| format!("{config:?} does not fit {size:?}"))?;
        if pair(wanted, 1) != [output.height, output.width] {
            return Err(format!("its output is {shape:?}, not of {output:?}"));
        }
        Ok((config, output))
    }

    pub(super) fn conv(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let Constant { values: kernel, dims } = self.constant(node, 1)?.ok_or("it has no weights")?;
        let group = usize::try_from(int(node, "group").unwrap_or(1)).map_err(|_| "a negative number of groups")?;
        if group == 1
            && let Some((source, channels)) = self.some_channels(node)?
        {
            return self.conv_of(node, source, &channels, &kernel, &dims);
        }
        let (value, size, channels) = self.map(node)?;
        if group == 1 {
            let all: Vec<usize> = (0..channels).collect();
            return self.conv_of(node, value, &all, &kernel, &dims);
        }
        let rank = value.view.axes.len();
        if dims.len() != rank {
            return Err(format!("weights of {dims:?}"));
        }
        let outputs = dims[0];
        let bias = if given(node, 2) { self.vector(node, 2, outputs)? } else { vec![0.0; outputs] };
        let (window, output) = self.window(node, &dims[2..], size)?;
        let taps = dims[2..].iter().product::<usize>();
        let activation = Activation::Identity;
        let block = Block::new(group, channels, outputs).filter(|_| dims[1].checked_mul(group) == Some(channels));
        let block = block.ok_or_else(|| {
            format!("{group} groups of {channels} channels to {outputs}, with weights of {dims:?}: equal parts of both are possible")
        })?;
        let kind = if dims[1] == 1 && outputs == channels {
            let weight = (0..taps).flat_map(|tap| kernel.iter().skip(tap).step_by(taps).copied()).collect();
            Kind::Depthwise { window, weight, bias, activation }
        } else {
            // A single block is a convolution over all channels.
            let (groups, width) = if block.inputs < channels { (group, block.inputs) } else { (1, channels) };
            let (inputs, filters) = (dims[1], outputs / group);
            let mut weight = zeros(&[outputs, taps, width], &kernel)?;
            for (n, row) in weight.chunks_exact_mut(taps * width).enumerate() {
                let first = n / filters * inputs % width;
                for (c, taps_of) in kernel[n * inputs * taps..][..inputs * taps].chunks_exact(taps).enumerate() {
                    for (tap, w) in taps_of.iter().enumerate() {
                        row[tap * width + first + c] = *w;
                    }
                }
            }
            Kind::Conv { window, groups, weights: Weights { weight, bias }, activation }
        };
        let layer = self.push(node, kind, vec![value], output, outputs);
        Ok(Value { layer, view: channels_first(output, outputs, rank), factor: 1.0 })
    }

    /// What a convolution reads as some channels of a layer, if these are at least half of them: weights of zero cost less than a copy.
    fn some_channels(&self, node: &NodeProto) -> Result<Option<(Value, Vec<usize>)>, Refused> {
        let value = self.value(node, 0)?;
        self.is_layer(&value)?;
        let Layer { size, channels, .. } = self.layers[value.layer];
        let rank = value.view.axes.len();
        let selected = value.view.selected(size.positions(), channels);
        let fits = |(table, view): &(Vec<usize>, View)| {
            *view == channels_first(size, table.len(), rank) && (rank == 4 || size.height == 1) && 2 * table.len() >= channels
        };
        Ok(selected.filter(fits).map(|(table, _)| (Value { view: channels_first(size, channels, rank), ..value }, table)))
    }

    /// A convolution of some channels of a map.
    fn conv_of(&mut self, node: &NodeProto, value: Value, inputs: &[usize], kernel: &[f32], dims: &[usize]) -> Result<Value, Refused> {
        let factor = value.factor;
        let value = Value { factor: 1.0, ..value };
        let Layer { size, channels, .. } = self.layers[value.layer];
        let rank = value.view.axes.len();
        if dims.len() != rank || dims[1] != inputs.len() {
            return Err(format!("weights of {dims:?} for {} channels", inputs.len()));
        }
        let (outputs, taps) = (dims[0], dims[2..].iter().product::<usize>());
        let bias = if given(node, 2) { self.vector(node, 2, outputs)? } else { vec![0.0; outputs] };
        let (window, output) = self.window(node, &dims[2..], size)?;
        let mut weight = zeros(&[outputs, taps, channels], kernel)?;
        let own = crate::pack::tap_major(kernel, outputs, inputs.len(), taps);
        for (row, own) in weight.chunks_exact_mut(channels).zip(own.chunks_exact(inputs.len())) {
            for (&channel, w) in inputs.iter().zip(own) {
                row[channel] = w * factor;
            }
        }
        let (weights, activation) = (Weights { weight, bias }, Activation::Identity);
        let pointwise = taps == 1 && window.stride == [1, 1] && window.padding == [0; 4];
        let kind = if pointwise { Kind::Linear { weights, activation } } else { Kind::Conv { window, groups: 1, weights, activation } };
        let layer = self.push(node, kind, vec![value], output, outputs);
        Ok(Value { layer, view: channels_first(output, outputs, rank), factor: 1.0 })
    }

    pub(super) fn pool(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (value, size, channels) = self.map(node)?;
        let rank = value.view.axes.len();
        let kernel = ints(node, "kernel_shape").ok_or("it has no kernel_shape")?;
        let kernel: Option<Vec<usize>> = kernel.into_iter().map(|n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
        let (window, output) = self.window(node, &kernel.ok_or("its kernel_shape is empty")?, size)?;
        if window.dilation != [1, 1] {
            return Err("dilations other than 1".into());
        }
        let pool = match (node.op_type.as_str(), int(node, "count_include_pad")) {
            ("MaxPool", _) => Pool::Max,
            (_, Some(1)) if int(node, "ceil_mode") == Some(1) => return Err("ceil_mode with count_include_pad".into()),
            (_, Some(1)) => Pool::PaddedMean,
            _ => Pool::Mean,
        };
        let layer = self.push(node, Kind::Pool { window, pool }, vec![value], output, channels);
        Ok(Value { layer, view: channels_first(output, channels, rank), factor: 1.0 })
    }

    pub(super) fn global_max(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (value, size, channels) = self.map(node)?;
        let rank = value.view.axes.len();
        let window = WindowConfig { kernel: [size.height, size.width], stride: [1, 1], dilation: [1, 1], padding: [0; 4] };
        let one = Size { height: 1, width: 1 };
        let layer = self.push(node, Kind::Pool { window, pool: Pool::Max }, vec![value], one, channels);
        Ok(Value { layer, view: channels_first(one, channels, rank), factor: 1.0 })
    }

    /// The mean over all positions, or over the channels, which is a part of layer normalisation.
    pub(super) fn mean(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let rank = value.view.axes.len();
        let axes: Vec<i64> = if node.op_type == "GlobalAveragePool" {
            (2..rank as i64).collect()
        } else {
            let given = match node.input.get(1).filter(|name| !name.is_empty()) {
                Some(name) => self.graph.ints(name),
                None => ints(node, "axes"),
            };
            given.filter(|axes| !axes.is_empty()).ok_or("it names no axes")?
        };
        let mut axes = axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        // Exporters name them in either order; it is the same mean.
        axes.sort_unstable();
        let square = self.layers[value.layer].kind.is_part(&Part::Square) && value.factor == 1.0;
        let value = if square { value } else { self.whole(&value)? };
        let Layer { size, channels, .. } = self.layers[value.layer];
        let shape = self.output_shape(node)?;
        let reduced = View { offset: 0, axes: vec![axes.iter().flat_map(|&axis| value.view.axes[axis].clone()).collect()] };
        let over = reduced.steps(0);
        if over.iter().copied().eq(0..channels) && axes == [rank - 1] {
            let part = if square { Part::Variance } else { Part::RowMean };
            let view = value.view.sliced(rank - 1, 0..1).and_then(|view| view.reshaped(&shape)).ok_or("its output has another shape")?;
            return Ok(Value { layer: self.push(node, Kind::Part(part), vec![value], size, channels), view, factor: 1.0 });
        }
        if !over.iter().copied().eq((0..size.positions()).map(|position| position * channels)) {
            return Err("the mean over all positions is possible".into());
        }
        let layer = self.push(node, Kind::Mean, vec![value], Size { height: 1, width: 1 }, channels);
        let view = View::dense(&[channels]).reshaped(&shape).ok_or("its output has another shape")?;
        Ok(Value { layer, view, factor: 1.0 })
    }
}
