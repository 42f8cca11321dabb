//! From ONNX nodes to layers.

mod arithmetic;
mod attention;
mod channels;
mod shapes;
mod spatial;

use std::collections::HashMap;

use ossicle_kernels::activation::Activation;
use ossicle_kernels::conv::Size;
use tract_onnx::pb::NodeProto;

use super::graph::{Constant, Graph};
use super::ir::{Kind, Layer, Part, Value};
use super::node::{float, int, name_of};
use super::view::View;
use crate::Error;
use shapes::axis_of;

/// What an ONNX graph became.
pub(super) struct Lowered {
    pub(super) layers: Vec<Layer>,
    /// The layer that gives the graph's output.
    pub(super) last: usize,
    /// ONNX tensors by name, in the graph's order.
    pub(super) tensors: Vec<(String, Value)>,
    /// How ONNX sees the input.
    pub(super) input: View,
}

/// Why a node is refused.
type Refused = String;

/// Most values of one map, as the runtime has it.
const MAX_VALUES: usize = 1 << 26;

/// Whether a node has this input; those that are left out have no name.
fn given(node: &NodeProto, input: usize) -> bool {
    node.input.get(input).is_some_and(|name| !name.is_empty())
}

/// Lowers every node that depends on the input.
///
/// # Errors
/// [`Error::Onnx`] names the first node that cannot be lowered.
pub(super) fn lower(graph: &Graph) -> Result<Lowered, Error> {
    let mut lowerer = Lowerer { graph, layers: vec![], values: HashMap::new(), joined: vec![] };
    let mut tensors = vec![];
    let input = lowerer.input();
    let input_view = input.view.clone();
    lowerer.values.insert(graph.input.0.clone(), input);
    for node in &graph.nodes {
        if node.output.iter().all(|name| name.is_empty() || graph.is_constant(name)) {
            continue;
        }
        let before = lowerer.layers.len();
        let values = lowerer.node(node).map_err(|why| graph.refuse(node, &why))?;
        if lowerer.layers[before..].iter().any(|layer| layer.checked_len().is_none_or(|len| len > MAX_VALUES)) {
            return Err(graph.refuse(node, &format!("more than {MAX_VALUES} values")));
        }
        for (name, mut value) in node.output.iter().zip(values) {
            if !value.factor.is_finite() {
                return Err(graph.refuse(node, "its factors multiply to no finite number"));
            }
            // A guard for what the lowering of a single node got wrong, and the axes of one step that ONNX puts in front.
            if let Some(shape) = graph.shape(name).filter(|shape| *shape != value.view.shape()) {
                let several = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
                let view = Some(&value.view).filter(|view| several(&view.shape()) == several(shape)).and_then(|view| view.reshaped(shape));
                let have = value.view.shape();
                value.view =
                    view.ok_or_else(|| graph.refuse(node, &format!("its output is {shape:?}, the runtime's would be {have:?}")))?;
            }
            tensors.push((name.clone(), value.clone()));
            lowerer.values.insert(name.clone(), value);
        }
    }
    let wrong = |reason: String| Error::Onnx { path: graph.path().to_owned(), reason };
    let output = lowerer.values.get(&graph.output).cloned();
    let output = output.ok_or_else(|| wrong(format!("output {:?} does not depend on the input", graph.output)))?;
    // Softmax is a part of attention or the end.
    let softmax = lowerer.layers[output.layer].kind.is_part(&Part::Softmax);
    if softmax && output.factor != 1.0 {
        return Err(wrong(format!("output {:?} is a softmax times {}: export the model without that", graph.output, output.factor)));
    }
    let last = if softmax { output.layer } else { lowerer.whole(&output).map_err(wrong)?.layer };
    let scored = &lowerer.layers[if softmax { lowerer.layers[last].inputs[0].layer } else { last }];
    if scored.positions() != 1 || output.view.run() != Some(0..scored.channels) {
        let dims = output.view.shape();
        return Err(wrong(format!("output {:?} has the shape {dims:?}: one row of scores was expected", graph.output)));
    }
    Ok(Lowered { layers: lowerer.layers, last, tensors, input: input_view })
}

struct Lowerer<'a> {
    graph: &'a Graph,
    layers: Vec<Layer>,
    values: HashMap<String, Value>,
    joined: Vec<channels::Joined>,
}

impl Lowerer<'_> {
    /// The input: `[1, channels, height, width]`, `[1, height, width, channels]` if that is what the sizes say, or `[1, height, width]`.
    fn input(&mut self) -> Value {
        let colours = |n: usize| n == 1 || n == 3;
        let (size, channels, view) = match self.graph.input.1[..] {
            [_, height, width, channels] if colours(channels) && !colours(height) => {
                (Size { height, width }, channels, View::dense(&[1, height, width, channels]))
            }
            [_, channels, height, width] => {
                let view = View::strided(&[(1, 0), (channels, 1), (height, width * channels), (width, channels)]);
                (Size { height, width }, channels, view)
            }
            ref shape => {
                let (height, width) = (shape[1], shape.get(2).copied().unwrap_or(1));
                (Size { height, width }, 1, View::dense(&[1, height, width]))
            }
        };
        let input = Layer { name: "input".into(), op: String::new(), kind: Kind::Input, inputs: vec![], size, channels };
        self.layers.push(input);
        Value { layer: 0, view, factor: 1.0 }
    }

    /// What a node's outputs are.
    fn node(&mut self, node: &NodeProto) -> Result<Vec<Value>, Refused> {
        let one = |value: Value| vec![value];
        match node.op_type.as_str() {
            "Identity" | "Dropout" => self.value(node, 0).map(one),
            "Cast" if int(node, "to") == Some(1) => self.value(node, 0).map(one),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(node).map(one),
            "Expand" => self.expand(node).map(one),
            "Transpose" => self.transpose(node).map(one),
            "Gather" => self.gather(node).map(one),
            "Slice" => self.slice(node).map(one),
            "Split" => self.split(node),
            "Concat" => self.concat(node).map(one),
            "Conv" => self.conv(node).map(one),
            "MaxPool" | "AveragePool" => self.pool(node).map(one),
            "GlobalAveragePool" | "ReduceMean" => self.mean(node).map(one),
            "GlobalMaxPool" => self.global_max(node).map(one),
            "Gemm" => self.gemm(node).map(one),
            "MatMul" => self.matmul(node).map(one),
            "BatchNormalization" => self.batch_norm(node).map(one),
            "LayerNormalization" => self.layer_norm(node).map(one),
            "Add" => self.add(node).map(one),
            "Sub" => self.sub(node).map(one),
            "Mul" => self.mul(node).map(one),
            "Div" => self.div(node).map(one),
            "Pow" => self.pow(node).map(one),
            "Sqrt" => self.sqrt(node).map(one),
            "Neg" => self.value(node, 0).map(|value| one(Value { factor: -value.factor, ..value })),
            "Softmax" => self.softmax(node).map(one),
            "Erf" => self.erf(node).map(one),
            "Clip" => self.clip(node).map(one),
            "Relu" => self.activate(node, Activation::Relu).map(one),
            "Sigmoid" => self.activate(node, Activation::Sigmoid).map(one),
            "Tanh" => self.activate(node, Activation::Tanh).map(one),
            "HardSwish" => self.activate(node, Activation::HardSwish).map(one),
            "HardSigmoid" => self.hard_sigmoid(node).map(one),
            "Gelu" => self.gelu(node).map(one),
            _ => Err("the runtime has no such layer".into()),
        }
    }

    /// A node's input that depends on the network's.
    fn value(&self, node: &NodeProto, input: usize) -> Result<Value, Refused> {
        let name = node.input.get(input).ok_or_else(|| format!("it has no input {input}"))?;
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| format!("input {name:?} is a constant, the network's input was expected to reach it"))
    }

    /// A node's constant input: values and dimensions; none if it is left out.
    fn constant(&self, node: &NodeProto, input: usize) -> Result<Option<Constant>, Refused> {
        let Some(name) = node.input.get(input).filter(|name| !name.is_empty()) else { return Ok(None) };
        let constant = self.graph.floats(name).filter(|constant| !constant.values.is_empty());
        constant.map(Some).ok_or_else(|| format!("input {name:?} is no constant of finite numbers"))
    }

    /// As [`constant`](Self::constant), of this many values along its last axis.
    fn vector(&self, node: &NodeProto, input: usize, count: usize) -> Result<Vec<f32>, Refused> {
        let Constant { values, dims } = self.constant(node, input)?.ok_or_else(|| format!("it has no input {input}"))?;
        let fits = values.len() == count && (count == 1 || dims.last() == Some(&count));
        if fits { Ok(values) } else { Err(format!("input {input} has the shape {dims:?}, not [{count}]")) }
    }

    /// Dimensions of a node's first output.
    fn output_shape(&self, node: &NodeProto) -> Result<Vec<usize>, Refused> {
        let shape = node.output.first().and_then(|name| self.graph.shape(name));
        shape.map(<[usize]>::to_vec).ok_or_else(|| "the shape of its output is not known".into())
    }

    /// Adds a layer behind some values.
    fn push(&mut self, node: &NodeProto, kind: Kind, inputs: Vec<Value>, size: Size, channels: usize) -> usize {
        let (name, op) = (name_of(node).to_owned(), node.op_type.clone());
        self.layers.push(Layer { name, op, kind, inputs, size, channels });
        self.layers.len() - 1
    }

    /// Adds a layer that keeps the shape of `value`, a whole one.
    fn like(&mut self, node: &NodeProto, kind: Kind, value: Value) -> Value {
        let Layer { size, channels, .. } = self.layers[value.layer];
        let view = value.view.clone();
        Value { layer: self.push(node, kind, vec![value], size, channels), view, factor: 1.0 }
    }

    /// Whether there is a layer for what a value is of.
    fn is_layer(&self, value: &Value) -> Result<(), Refused> {
        let Layer { name, op, kind, .. } = &self.layers[value.layer];
        match kind {
            Kind::Part(part) if *part != Part::Erf => {
                Err(format!("it reads node {name:?} ({op}), which the runtime has a layer for only as a part of something else"))
            }
            _ => Ok(()),
        }
    }

    /// A value that is all of its layer's map and needs no factor; layers are added for what it is not.
    fn whole(&mut self, value: &Value) -> Result<Value, Refused> {
        self.is_layer(value)?;
        let Layer { channels, ref name, ref op, .. } = self.layers[value.layer];
        let run = value.view.run().filter(|run| run.start % channels == 0 && run.len() % channels == 0);
        let Some(run) = run else {
            let selected = self.select(value).ok_or("what it reads mixes positions and channels of a layer, or is a part of both")?;
            return self.whole(&selected);
        };
        let (name, op) = (name.clone(), op.clone());
        let mut value = value.clone();
        if run.len() < self.layers[value.layer].len() {
            let (first, count) = (run.start / channels, run.len() / channels);
            let size = Size { height: 1, width: count };
            let view = View { offset: 0, axes: value.view.axes.clone() };
            let kind = Kind::Take { first, count };
            let name = format!("{name}.take_{first}_{count}");
            self.layers.push(Layer { name, op: op.clone(), kind, inputs: vec![Value { factor: 1.0, ..value }], size, channels });
            value = Value { layer: self.layers.len() - 1, view, factor: value.factor };
        }
        if (value.factor - 1.0).abs() > 1e-6 {
            let kind = Kind::Affine { scale: vec![value.factor; channels], shift: vec![0.0; channels], activation: Activation::Identity };
            let (size, view) = (self.layers[value.layer].size, value.view.clone());
            self.layers.push(Layer {
                name: format!("{name}.factor"),
                op,
                kind,
                inputs: vec![Value { factor: 1.0, ..value }],
                size,
                channels,
            });
            value = Value { layer: self.layers.len() - 1, view, factor: 1.0 };
        }
        value.factor = 1.0;
        Ok(value)
    }

    /// A function of each value.
    fn activate(&mut self, node: &NodeProto, activation: Activation) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let value = self.whole(&value)?;
        Ok(self.like(node, Kind::Activate(activation), value))
    }

    fn hard_sigmoid(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (alpha, beta) = (float(node, "alpha").unwrap_or(0.2), float(node, "beta").unwrap_or(0.5));
        let value = self.value(node, 0)?;
        let mut value = self.whole(&value)?;
        // Ours is max(0, min(1, x / 6 + 1/2)).
        let (scale, shift) = (alpha * 6.0, (beta - 0.5) * 6.0);
        if (scale - 1.0).abs() > 1e-6 || shift.abs() > 1e-6 {
            let channels = self.layers[value.layer].channels;
            let kind = Kind::Affine { scale: vec![scale; channels], shift: vec![shift; channels], activation: Activation::Identity };
            value = self.like(node, kind, value);
        }
        Ok(self.like(node, Kind::Activate(Activation::HardSigmoid), value))
    }

    fn gelu(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        match super::node::text(node, "approximate").as_deref() {
            None | Some("none") => self.activate(node, Activation::Gelu),
            Some("tanh") => self.activate(node, Activation::TanhGelu),
            Some(other) => Err(format!("approximate = {other:?}: \"none\" and \"tanh\" are possible")),
        }
    }

    fn clip(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let bound = |input: usize, name: &str| -> Result<Option<f32>, Refused> {
            if !given(node, input) {
                return Ok(float(node, name));
            }
            self.vector(node, input, 1).map(|values| Some(values[0]))
        };
        match (bound(1, "min")?, bound(2, "max")?) {
            (Some(0.0), Some(6.0)) => self.activate(node, Activation::Relu6),
            (Some(0.0), None) => self.activate(node, Activation::Relu),
            (Some(0.0), Some(high)) if high > 1e30 => self.activate(node, Activation::Relu),
            (low, high) => Err(format!("from {low:?} to {high:?}: 0 to 6 (ReLU6) and 0 upwards are possible")),
        }
    }

    fn erf(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let Layer { size, channels, .. } = self.layers[value.layer];
        let view = value.view.clone();
        Ok(Value { layer: self.push(node, Kind::Part(Part::Erf), vec![value], size, channels), view, factor: 1.0 })
    }

    fn softmax(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let rank = value.view.axes.len();
        // Before opset 13 the axis was 1 unless told otherwise, and all axes from there on were one.
        let axis = axis_of(int(node, "axis").unwrap_or(if self.graph.opset < 13 { 1 } else { -1 }), rank)?;
        if !value.view.axes[axis + 1..].iter().all(Vec::is_empty) {
            return Err(format!("over axis {axis} of {rank}: the last one is possible"));
        }
        let Layer { size, channels, .. } = self.layers[value.layer];
        let view = value.view.clone();
        // Attention takes the factor into its queries and looks at the axes itself; scores need no factor.
        let value = if matches!(self.layers[value.layer].kind, Kind::Part(_)) {
            value
        } else {
            let value = self.whole(&value)?;
            if !value.view.steps(axis).into_iter().eq(0..channels) {
                return Err(format!("over axis {axis} of {:?}: the one of all scores is possible", value.view.shape()));
            }
            value
        };
        Ok(Value { layer: self.push(node, Kind::Part(Part::Softmax), vec![value], size, channels), view, factor: 1.0 })
    }
}
