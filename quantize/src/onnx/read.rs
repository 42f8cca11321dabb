//! Nodes and float constants of an ONNX file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::proto::DataType;
use super::wire::{Value, WireError, fields, ints};
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
    data_type: i64,
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
    let malformed = |error: WireError| Error::Onnx { path: path.to_owned(), reason: error.to_string() };
    let mut graph = OnnxGraph { path: path.to_owned(), ..OnnxGraph::default() };
    for field in fields(&bytes) {
        if let (7, Value::Bytes(body)) = field.map_err(malformed)? {
            graph_proto(body, &mut graph).map_err(malformed)?;
        }
    }
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
        let wrong = |problem| Error::tensor(&self.path, name, problem);
        let constant = self.constants.get(name).ok_or_else(|| wrong(TensorProblem::Missing))?;
        if constant.data_type != DataType::Float as i64 {
            return Err(wrong(TensorProblem::NotFloat(format!("data type {}", constant.data_type))));
        }
        let trimmed = |shape: &[usize]| shape[..shape.iter().rposition(|&n| n != 1).map_or(0, |last| last + 1)].to_vec();
        let raw = match &constant.external {
            None => Some(constant.raw.as_slice()),
            Some((file, offset, len)) => self.external.get(file).and_then(|bytes| bytes.get(*offset..)?.get(..*len)),
        };
        let expected = shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n));
        if trimmed(&constant.shape) != trimmed(shape) || raw.is_none_or(|raw| raw.len() / 4 != expected || !raw.len().is_multiple_of(4)) {
            return Err(wrong(TensorProblem::Shape { expected: shape.to_vec(), found: constant.shape.clone() }));
        }
        let values: Vec<f32> = raw.unwrap_or(&[]).as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(wrong(TensorProblem::NotFinite { index })),
            None => Ok(values),
        }
    }

    /// The dimensions of a constant.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.constants.get(name).map(|constant| constant.shape.as_slice())
    }
}

fn graph_proto(bytes: &[u8], graph: &mut OnnxGraph) -> Result<(), WireError> {
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(body)) => graph.nodes.push(node(body)?),
            (5, Value::Bytes(body)) => {
                let (name, constant) = tensor(body)?;
                graph.constants.insert(name, constant);
            }
            _ => {}
        }
    }
    Ok(())
}

fn node(bytes: &[u8]) -> Result<Node, WireError> {
    let mut node = Node::default();
    for field in fields(bytes) {
        match field? {
            (1, value) => node.inputs.extend(value.text()),
            (2, value) => node.outputs.extend(value.text()),
            (3, value) => node.name = value.text().unwrap_or_default(),
            (4, value) => node.op = value.text().unwrap_or_default(),
            (5, Value::Bytes(body)) => {
                let (name, attribute) = attribute(body)?;
                node.attributes.insert(name, attribute);
            }
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(bytes: &[u8]) -> Result<(String, Attribute), WireError> {
    let (mut name, mut attribute) = (String::new(), Attribute::default());
    for field in fields(bytes) {
        match field? {
            (1, value) => name = value.text().unwrap_or_default(),
            (2, value) => attribute.float = value.float(),
            (3 | 8, value) => attribute.ints.extend(ints(value)?),
            (4, value) => attribute.text = value.text(),
            _ => {}
        }
    }
    Ok((name, attribute))
}

fn tensor(bytes: &[u8]) -> Result<(String, Constant), WireError> {
    let (mut name, mut constant) = (String::new(), Constant::default());
    for field in fields(bytes) {
        match field? {
            // Dimensions that are negative or huge match no shape that is asked for.
            (1, value) => constant.shape.extend(ints(value)?.into_iter().map(|n| usize::try_from(n).unwrap_or(usize::MAX))),
            (2, value) => constant.data_type = value.int().unwrap_or(0),
            (8, value) => name = value.text().unwrap_or_default(),
            (9, Value::Bytes(raw)) => constant.raw = raw.to_vec(),
            (13, Value::Bytes(entry)) => external(entry, &mut constant)?,
            _ => {}
        }
    }
    Ok((name, constant))
}

/// One entry, name and text, of where a constant lies.
fn external(bytes: &[u8], constant: &mut Constant) -> Result<(), WireError> {
    let (mut key, mut text) = (String::new(), String::new());
    for field in fields(bytes) {
        match field? {
            (1, value) => key = value.text().unwrap_or_default(),
            (2, value) => text = value.text().unwrap_or_default(),
            _ => {}
        }
    }
    let place = constant.external.get_or_insert_default();
    // A number that cannot be read leads nowhere, and is found when the constant is asked for.
    match key.as_str() {
        "location" => place.0 = text,
        "offset" => place.1 = text.parse().unwrap_or(usize::MAX),
        "length" => place.2 = text.parse().unwrap_or(usize::MAX),
        _ => {}
    }
    Ok(())
}
