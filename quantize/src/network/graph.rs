//! An ONNX file through tract-onnx: its nodes, every shape, every constant, and the float model that int8 is compared with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{NodeProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::node::refusal;
use super::{check, quiet};
use crate::Error;

/// What is known of a tensor.
#[derive(Clone, Debug)]
struct Fact {
    shape: Option<Vec<usize>>,
    value: Option<Arc<Tensor>>,
}

/// A tensor that does not depend on the input.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) values: Vec<f32>,
    pub(super) dims: Vec<usize>,
}

/// A graph with one input and one output, a batch of one.
#[derive(Debug)]
pub(super) struct Graph {
    path: PathBuf,
    /// Version of the operators.
    pub(super) opset: i64,
    /// In topological order.
    pub(super) nodes: Vec<NodeProto>,
    facts: HashMap<String, Fact>,
    outlets: HashMap<String, OutletId>,
    model: InferenceModel,
    /// The input's name and shape.
    pub(super) input: (String, Vec<usize>),
    /// The output's name.
    pub(super) output: String,
}

/// The float model, ready to run.
pub(super) struct Float(Arc<TypedRunnableModel>);

impl Graph {
    /// Reads and analyses a file.
    ///
    /// # Errors
    /// It cannot be read, is no ONNX, holds an operator that nobody knows, or its shapes do not follow.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &crate::source::read(path)?)
    }

    /// As [`read`](Self::read), of a file's bytes; `path` is named in errors.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Onnx { path: path.to_owned(), reason };
        let framework = tract_onnx::onnx().with_ignore_value_info(true);
        let proto = framework.proto_model_for_read(&mut &*bytes).map_err(|e| wrong(format!("not an ONNX file: {}", root(&e))))?;
        let graph = proto.graph.as_ref().ok_or_else(|| wrong("not an ONNX file: it holds no graph".into()))?;
        if let Some(node) = graph.node.iter().find(|node| !framework.op_register.0.contains_key(&node.op_type)) {
            return Err(wrong(refusal(node, "this operator is not known")));
        }
        let constants: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !constants.contains(&input.name.as_str())).collect();
        let (&[input], [output]) = (&inputs[..], &graph.output[..]) else {
            let counts = format!("{} inputs and {} outputs", inputs.len(), graph.output.len());
            return Err(wrong(format!("{counts}: a classifier has one of each: an image or mel frames, and scores")));
        };
        let shape = input_shape(input).map_err(wrong)?;
        if let Some(problem) = check::problem(graph) {
            return Err(wrong(problem));
        }
        let folder = path.parent().and_then(Path::to_str);
        let parsed = quiet::catch(|| framework.parse(&proto, folder)).map_err(wrong)?.map_err(|e| wrong(root(&e)))?;
        let (mut model, outlets) = (parsed.model, parsed.outlets_by_name);
        let source = outlets[&input.name];
        let analysed = quiet::catch(|| {
            model.set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape.iter().copied().collect::<TVec<usize>>()))?;
            if model.inputs.first() == Some(&source) { model.analyse(false).map(drop) } else { Ok(()) }
        });
        analysed.map_err(wrong)?.map_err(|e| wrong(format!("shapes do not follow: {}", root(&e))))?;
        let mut facts = HashMap::new();
        for (name, &outlet) in &outlets {
            let fact = model.outlet_fact(outlet).map_err(|e| wrong(root(&e)))?;
            let dims = fact.shape.concretize();
            let shape = dims.and_then(|dims| dims.iter().map(|dim| dim.to_usize().ok()).collect::<Option<Vec<usize>>>());
            facts.insert(name.clone(), Fact { shape, value: fact.value.concretize() });
        }
        let (input, output) = ((input.name.clone(), shape), output.name.clone());
        let opset =
            proto.opset_import.iter().find(|import| matches!(import.domain.as_str(), "" | "ai.onnx")).map_or(0, |import| import.version);
        Ok(Self { path: path.to_owned(), opset, nodes: graph.node.clone(), facts, outlets, model, input, output })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a node.
    pub(super) fn refuse(&self, node: &NodeProto, why: &str) -> Error {
        Error::Onnx { path: self.path.clone(), reason: refusal(node, why) }
    }

    /// A tensor's dimensions, as far as they are known.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.facts.get(name)?.shape.as_deref()
    }

    /// Whether a tensor does not depend on the input.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.facts.get(name).is_some_and(|fact| fact.value.is_some())
    }

    /// A constant as f32; none if it is none, or holds something that is no finite number.
    pub(super) fn floats(&self, name: &str) -> Option<Constant> {
        let tensor = self.facts.get(name)?.value.as_ref()?;
        let cast = tensor.cast_to::<f32>().ok()?;
        let values = cast.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec();
        values.iter().all(|x| x.is_finite()).then(|| Constant { dims: tensor.shape().to_vec(), values })
    }

    /// A constant's values as integers.
    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.facts.get(name)?.value.as_ref()?;
        Some(tensor.cast_to::<i64>().ok()?.try_as_plain_ram().ok()?.as_slice::<i64>().ok()?.to_vec())
    }

    /// The float model with these tensors as its outputs.
    ///
    /// # Errors
    /// tract refuses it.
    pub(super) fn float(&self, names: &[String]) -> Result<Float, Error> {
        let failed = |e: TractError| Error::Onnx { path: self.path.clone(), reason: format!("the float model does not run: {}", root(&e)) };
        let outlets: Vec<OutletId> = names.iter().map(|name| self.outlets[name]).collect();
        let mut model = self.model.clone();
        model.select_output_outlets(&outlets).map_err(failed)?;
        let model = quiet::catch(|| model.into_typed().and_then(|model| model.into_optimized()).and_then(|model| model.into_runnable()));
        let model = model.map_err(|reason| Error::Onnx { path: self.path.clone(), reason })?;
        Ok(Float(model.map_err(failed)?))
    }
}

impl Float {
    /// The chosen tensors for one input.
    pub(super) fn run(&self, input: &[f32], shape: &[usize]) -> TractResult<Vec<Vec<f32>>> {
        let input = Tensor::from_shape(shape, input)?;
        let outputs = self.0.run(tvec!(input.into_tvalue()))?;
        outputs.iter().map(|output| Ok(output.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())).collect()
    }
}

/// The first cause and the node where it showed, in one line.
fn root(error: &TractError) -> String {
    let cause = error.root_cause().to_string();
    let place = error.chain().map(ToString::to_string).find_map(|line| {
        let node = line.strip_prefix("Failed analyse for ").or_else(|| line.strip_prefix("Building "))?;
        node.starts_with("node").then(|| format!("{node}: "))
    });
    format!("{}{cause}", place.unwrap_or_default()).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Dimensions of the input; what is open in the first is one.
fn input_shape(input: &ValueInfoProto) -> Result<Vec<usize>, String> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = tensor else { return Err(format!("input {:?} is no tensor", input.name)) };
    const FLOAT: i32 = 1;
    if tensor.elem_type != FLOAT {
        return Err(format!(
            "input {:?} has element type {}, not f32: export the model without its own preprocessing",
            input.name, tensor.elem_type
        ));
    }
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let mut shape = vec![];
    for (i, dim) in dims.iter().enumerate() {
        match &dim.value {
            Some(Dimension::DimValue(1)) if i == 0 => shape.push(1),
            Some(Dimension::DimValue(n)) if i == 0 && *n > 1 => {
                return Err(format!("input {:?} is a batch of {n}: export the model with a batch of one, or an open one", input.name));
            }
            Some(Dimension::DimValue(n)) if *n > 0 && *n < 1 << 24 => shape.push(*n as usize),
            _ if i == 0 => shape.push(1),
            _ => return Err(format!("dimension {i} of input {:?} is open: export the model with a fixed size", input.name)),
        }
    }
    if shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).is_none_or(|values| values > 1 << 24) {
        return Err(format!("input {:?} of {shape:?} is too large", input.name));
    }
    let fits = (3..=4).contains(&shape.len());
    if fits { Ok(shape) } else { Err(format!("input {:?} has {} dimensions, not 3 or 4", input.name, shape.len())) }
}
