//! A checkpoint written down as the ONNX graph that it means, so that it goes on as every other network does: the same lowering, folding and
//! measuring.

use std::collections::BTreeMap;
use std::path::Path;

use super::proto::{self, DataType, Message, attribute, real};
use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;
use crate::sources::taken::Tensors;

/// Version of ONNX' operators that graphs are written in.
const OPSET: i64 = 17;

/// A graph as far as it is written, and the checkpoint's tensors that it has not taken yet.
#[derive(Debug)]
pub(crate) struct Builder {
    tensors: Tensors,
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Builder {
    /// An empty graph; `path` is named in errors.
    pub(crate) fn new(path: &Path, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { tensors: Tensors::new(path, tensors), nodes: vec![], constants: vec![] }
    }

    /// Adds a node, named after its output, and gives that name.
    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], name: &str, attributes: Vec<Message>) -> String {
        let node = attributes.into_iter().fold(proto::node(op, inputs, name), |node, attribute| node.message(5, attribute));
        self.nodes.push(node);
        name.to_owned()
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Float, &signed(dims), &bytes));
    }

    /// Adds a constant of integers.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Int64, &[values.len() as i64], &bytes));
    }

    /// The shape of a tensor that is still there.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize], Error> {
        self.tensors.shape(name).ok_or_else(|| Error::tensor(&self.tensors.path, name, TensorProblem::Missing))
    }

    /// Whether a tensor is still there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.has(name)
    }

    /// Takes a tensor of this shape out of the checkpoint.
    ///
    /// # Errors
    /// It is missing, of another shape or not finite.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.tensors.take(name, shape)
    }

    /// Takes a tensor of this shape out of the checkpoint and into the graph; gives its name.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn weight(&mut self, name: &str, shape: &[usize]) -> Result<String, Error> {
        let values = self.take(name, shape)?;
        self.constant(name, shape, &values);
        Ok(name.to_owned())
    }

    /// A linear layer on the last axis of `x`: `NAME.weight` `[outputs][inputs]` and, if it has one, `NAME.bias`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn linear(&mut self, name: &str, x: &str, sizes: [usize; 2], biased: bool) -> Result<String, Error> {
        let [inputs, outputs] = sizes;
        let weight_name = format!("{name}.weight");
        let weight = self.take(&weight_name, &[outputs, inputs])?;
        let turned: Vec<f32> = (0..inputs).flat_map(|k| weight.iter().skip(k).step_by(inputs).copied()).collect();
        self.constant(&weight_name, &[inputs, outputs], &turned);
        if !biased {
            return Ok(self.node("MatMul", &[x, &weight_name], name, vec![]));
        }
        let product = self.node("MatMul", &[x, &weight_name], &format!("{name}.product"), vec![]);
        let bias = self.weight(&format!("{name}.bias"), &[outputs])?;
        Ok(self.node("Add", &[&product, &bias], name, vec![]))
    }

    /// Layer normalisation of the last axis: `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn layer_norm(&mut self, name: &str, x: &str, width: usize, epsilon: f32) -> Result<String, Error> {
        let weight = self.weight(&format!("{name}.weight"), &[width])?;
        let bias = self.weight(&format!("{name}.bias"), &[width])?;
        Ok(self.node("LayerNormalization", &[x, &weight, &bias], name, vec![attribute("axis", -1), real("epsilon", epsilon)]))
    }

    /// `x / 2 * (1 + erf(x / sqrt 2))`
    pub(crate) fn gelu(&mut self, x: &str, name: &str) -> String {
        for (part, value) in [("root", std::f32::consts::SQRT_2), ("one", 1.0), ("half", 0.5)] {
            self.constant(&format!("{name}.{part}"), &[], &[value]);
        }
        let divided = self.node("Div", &[x, &format!("{name}.root")], &format!("{name}.divided"), vec![]);
        let erf = self.node("Erf", &[&divided], &format!("{name}.erf"), vec![]);
        let plus = self.node("Add", &[&erf, &format!("{name}.one")], &format!("{name}.plus"), vec![]);
        let product = self.node("Mul", &[x, &plus], &format!("{name}.product"), vec![]);
        self.node("Mul", &[&product, &format!("{name}.half")], name, vec![])
    }

    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`
    pub(crate) fn tanh_gelu(&mut self, x: &str, name: &str) -> String {
        self.node("Gelu", &[x], name, vec![proto::string("approximate", "tanh")])
    }

    /// Another shape.
    pub(crate) fn reshape(&mut self, x: &str, shape: &[usize], name: &str) -> String {
        let wanted = format!("{name}.shape");
        self.integers(&wanted, &signed(shape));
        self.node("Reshape", &[x, &wanted], name, vec![])
    }

    /// Axes in another order.
    pub(crate) fn transpose(&mut self, x: &str, order: &[usize], name: &str) -> String {
        self.node("Transpose", &[x], name, vec![proto::integers("perm", &signed(order))])
    }

    /// Every tensor that is left; none once all have been taken.
    pub(crate) fn left(&self) -> impl Iterator<Item = &str> {
        self.tensors.tensors.keys().map(String::as_str)
    }

    /// The tensors that are left.
    pub(crate) fn into_tensors(self) -> BTreeMap<String, Tensor> {
        self.tensors.tensors
    }

    /// The file, with one input and one output of these shapes.
    pub(crate) fn file(&mut self, name: &str, input: (&str, &[usize]), output: (&str, &[usize])) -> Vec<u8> {
        let (input, output) = (proto::shaped(input.0, &signed(input.1)), proto::shaped(output.0, &signed(output.1)));
        let graph = proto::graph(name, std::mem::take(&mut self.nodes), std::mem::take(&mut self.constants), input, output);
        proto::model(8, OPSET, "", graph).into_bytes()
    }
}

/// Dimensions as ONNX has them.
fn signed(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&n| n as i64).collect()
}
