//! Nodes and float constants of an ONNX file, and of the files beside it that hold them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};
use tract_onnx::prelude::Framework;

use super::proto::DataType;
use crate::error::{Error, TensorProblem};

/// A graph as the file has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnnxGraph {
    /// The file.
    pub(crate) path: PathBuf,
    /// In the file's order, which is topological.
    pub(crate) nodes: Vec<Node>,
    constants: HashMap<String, Constant>,
    /// Files beside the graph that hold constants, by name.
    external: HashMap<String, Vec<u8>>,
}

/// An operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) op: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    attributes: HashMap<String, Attribute>,
}

#[derive(Clone, Debug, Default)]
struct Attribute {
    ints: Vec<i64>,
    float: Option<f32>,
    text: Option<String>,
    tensor: Option<Constant>,
}

impl Node {
    /// An attribute of integers, or one integer; empty if there is none.
    pub(crate) fn ints(&self, name: &str) -> &[i64] {
        self.attributes.get(name).map_or(&[], |attribute| &attribute.ints)
    }

    /// An attribute that is a number with a fraction.
    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.attributes.get(name)?.float
    }

    /// An attribute that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.text.as_deref()
    }

    /// An attribute that is not among `known`; of several the first by name.
    pub(crate) fn unknown_attribute(&self, known: &[&str]) -> Option<&str> {
        self.attributes.keys().map(String::as_str).filter(|name| !known.contains(name)).min()
    }
}

#[derive(Clone, Debug, Default)]
struct Constant {
    shape: Vec<usize>,
    data_type: i32,
    raw: Vec<u8>,
    /// File, offset and length.
    external: Option<(String, usize, usize)>,
}

/// Reads the graph of `path` and the files beside it that it names.
///
/// # Errors
/// A file cannot be read, is not ONNX, or names a file elsewhere.
pub(crate) fn read(path: &Path) -> Result<OnnxGraph, Error> {
    let bytes = crate::source::read(path)?;
    let malformed = |reason: String| Error::Onnx { path: path.to_owned(), reason: format!("not an ONNX file: {reason}") };
    let model = tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]).map_err(|error| malformed(error.root_cause().to_string()))?;
    let proto = model.graph.ok_or_else(|| malformed("it holds no graph".into()))?;
    let mut graph = OnnxGraph { path: path.to_owned(), ..OnnxGraph::default() };
    graph.nodes = proto.node.into_iter().map(Node::from).collect();
    graph.constants = proto.initializer.into_iter().map(|tensor| (tensor.name.clone(), Constant::from(tensor))).collect();
    // Constants that are nodes are constants too.
    let nodes = graph.nodes.iter_mut().filter(|node| node.op == "Constant");
    let constants: Vec<_> =
        nodes.filter_map(|node| Some((node.outputs.first()?.clone(), node.attributes.get_mut("value")?.tensor.take()?))).collect();
    graph.constants.extend(constants);
    let names: Vec<String> = graph.constants.values().filter_map(|c| Some(c.external.as_ref()?.0.clone())).collect();
    for name in names {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            return Err(Error::Onnx { path: path.to_owned(), reason: format!("constants in {name:?}, which is not beside it") });
        }
        if let Entry::Vacant(entry) = graph.external.entry(name) {
            let bytes = crate::source::read(&path.with_file_name(entry.key()))?;
            entry.insert(bytes);
        }
    }
    Ok(graph)
}

impl OnnxGraph {
    /// A constant of f32 of this shape; dimensions of 1 at its end do not count.
    ///
    /// # Errors
    /// There is none of that name, or it is something else.
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let raw = self.elements(name, shape, DataType::Float)?;
        let values: Vec<f32> = raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(Error::tensor(&self.path, name, TensorProblem::NotFinite { index })),
            None => Ok(values),
        }
    }

    /// A constant of signed bytes of this shape, likewise.
    ///
    /// # Errors
    /// As [`floats`](Self::floats).
    pub(crate) fn bytes(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>, Error> {
        Ok(self.elements(name, shape, DataType::Int8)?.iter().map(|byte| byte.cast_signed()).collect())
    }

    /// A constant of unsigned bytes of this shape, likewise.
    ///
    /// # Errors
    /// As [`floats`](Self::floats).
    pub(crate) fn unsigned_bytes(&self, name: &str, shape: &[usize]) -> Result<&[u8], Error> {
        self.elements(name, shape, DataType::Uint8)
    }

    /// One integer.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        let constant = self.constants.get(name).filter(|constant| constant.data_type == DataType::Int64 as i32)?;
        constant.raw.as_slice().try_into().ok().map(i64::from_le_bytes)
    }

    /// A constant's elements, little-endian.
    fn elements(&self, name: &str, shape: &[usize], wanted: DataType) -> Result<&[u8], Error> {
        let wrong = |problem| Error::tensor(&self.path, name, problem);
        let constant = self.constants.get(name).ok_or_else(|| wrong(TensorProblem::Missing))?;
        if constant.data_type != wanted as i32 {
            let found = format!("data type {}", constant.data_type);
            let float = wanted == DataType::Float;
            return Err(wrong(if float { TensorProblem::NotFloat(found) } else { TensorProblem::NotBytes(found) }));
        }
        let size = if wanted == DataType::Float { 4 } else { 1 };
        let trimmed = |shape: &[usize]| shape[..shape.iter().rposition(|&n| n != 1).map_or(0, |last| last + 1)].to_vec();
        let raw = match &constant.external {
            None => Some(constant.raw.as_slice()),
            Some((file, offset, len)) => self.external.get(file).and_then(|bytes| bytes.get(*offset..)?.get(..*len)),
        };
        let expected = shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n));
        let shaped = trimmed(&constant.shape) == trimmed(shape);
        let raw = raw.filter(|raw| shaped && raw.len() / size == expected && raw.len().is_multiple_of(size));
        raw.ok_or_else(|| wrong(TensorProblem::Shape { expected: shape.to_vec(), found: constant.shape.clone() }))
    }

    /// The dimensions of a constant.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.constants.get(name).map(|constant| constant.shape.as_slice())
    }
}

impl From<NodeProto> for Node {
    fn from(node: NodeProto) -> Self {
        let attributes = node.attribute.into_iter().map(|attribute| (attribute.name.clone(), Attribute::from(attribute)));
        Self { name: node.name, op: node.op_type, inputs: node.input, outputs: node.output, attributes: attributes.collect() }
    }
}

impl From<AttributeProto> for Attribute {
    fn from(attribute: AttributeProto) -> Self {
        use tract_onnx::pb::attribute_proto::AttributeType as Type;
        let kind = attribute.r#type();
        let mut ints = attribute.ints;
        ints.extend((kind == Type::Int).then_some(attribute.i));
        let text = (kind == Type::String).then(|| String::from_utf8_lossy(&attribute.s).into_owned());
        let tensor = attribute.t.filter(|_| kind == Type::Tensor).map(Constant::from);
        Self { ints, float: (kind == Type::Float).then_some(attribute.f), text, tensor }
    }
}

impl From<TensorProto> for Constant {
    fn from(tensor: TensorProto) -> Self {
        // Dimensions that are negative or huge match no shape that is asked for.
        let shape = tensor.dims.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
        let external = (!tensor.external_data.is_empty()).then(|| {
            let of = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
            // A number that cannot be read leads nowhere, and is found when the constant is asked for.
            let figure = |key: &str| of(key).map_or(0, |text| text.parse().unwrap_or(usize::MAX));
            (of("location").unwrap_or_default().to_owned(), figure("offset"), figure("length"))
        });
        // Elements are there as bytes or, of single values above all, as a list of numbers.
        let mut raw = tensor.raw_data;
        if raw.is_empty() && tensor.data_type == DataType::Float as i32 {
            raw = tensor.float_data.iter().flat_map(|value| value.to_le_bytes()).collect();
        } else if raw.is_empty() && [DataType::Int8, DataType::Uint8].map(|known| known as i32).contains(&tensor.data_type) {
            // Eight bits of each, whatever is above them.
            raw = tensor.int32_data.iter().map(|&value| value as u8).collect();
        } else if raw.is_empty() && tensor.data_type == DataType::Int64 as i32 {
            raw = tensor.int64_data.iter().flat_map(|value| value.to_le_bytes()).collect();
        }
        Self { shape, data_type: tensor.data_type, raw, external }
    }
}
