//! Image classifiers and audio taggers from ONNX: read through tract-onnx, lowered to the runtime's layers, quantised, measured.
//!
//! ONNX tensors are seen as strided views of maps, so reshapes and transposes cost nothing and disappear. What ONNX spells out (batch
//! normalisation, GELU by its error function, layer normalisation by means and roots, attention by products and softmax) is put together
//! again. A node that does not become a layer is refused by its name.

mod bytes;
mod check;
mod fuse;
mod graph;
pub mod inputs;
mod ir;
mod lower;
mod measure;
mod node;
mod pack;
mod padding;
mod quiet;
mod smooth;
mod view;

#[cfg(test)]
mod tests;

pub use measure::{Agreement, LayerNoise, Report};
pub use pack::{Parts, WordVectors};

use std::path::Path;

use crate::Error;
use fuse::Fused;
use graph::Graph;

/// A float network.
pub struct Network {
    graph: Graph,
    fused: Fused,
    /// For each layer left, the ONNX tensor that holds its result, if one does, and where its elements are.
    tensors: Vec<Option<(String, view::View)>>,
    /// For each, the offset of the rows it multiplies, if they are u8.
    offsets: Vec<Option<f32>>,
    /// Which maps are bytes.
    bytes: bytes::Bytes,
    /// How ONNX sees the input.
    input_view: view::View,
}

impl Network {
    /// Reads an ONNX file and lowers it.
    ///
    /// # Errors
    /// [`Error::Onnx`] names the node that cannot be lowered, or what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::lowered(Graph::read(path)?)
    }

    /// Lowers an ONNX file of these bytes; `path` is what errors name.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        Self::lowered(Graph::parse(path, bytes)?)
    }

    fn lowered(graph: Graph) -> Result<Self, Error> {
        let path = graph.path();
        let lowered = lower::lower(&graph)?;
        let fused = fuse::fuse(lowered.layers, lowered.last);
        if let Some(part) = fused.layers.iter().find(|layer| matches!(layer.kind, ir::Kind::Part(_))) {
            let reason = format!("node {:?} ({}): not part of a pattern that the runtime has a layer for", part.name, part.op);
            return Err(Error::Onnx { path: path.to_owned(), reason });
        }
        if let Some(layer) = fused.layers.iter().find(|layer| !layer.kind.is_finite()) {
            let reason = format!("node {:?} ({}): its weights, with what is folded into them, are no finite numbers", layer.name, layer.op);
            return Err(Error::Onnx { path: path.to_owned(), reason });
        }
        let tensor = |origin: &usize| lowered.tensors.iter().find(|(_, value)| value.layer == *origin && value.factor == 1.0);
        let named = |(name, value): &(String, ir::Value)| (name.clone(), value.view.clone());
        let tensors = fused.origins.iter().map(|origin| tensor(origin).map(named)).collect();
        let offsets = pack::offsets(&fused.layers);
        Ok(Self { graph, fused, tensors, offsets, bytes: bytes::Bytes::default(), input_view: lowered.input })
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        self.fused.layers.iter().map(pack::parameters).sum()
    }
}

/// A float graph as it comes, on tract's operators.
pub(crate) struct Reference {
    graph: Graph,
    float: graph::Float,
}

impl Reference {
    /// Reads an ONNX file of these bytes; `path` is what errors name.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let graph = Graph::parse(path, bytes)?;
        let float = graph.float(std::slice::from_ref(&graph.output))?;
        Ok(Self { graph, float })
    }

    /// The output for one input, both as ONNX orders them.
    pub(crate) fn run(&self, input: &[f32]) -> Result<Vec<f32>, Error> {
        let failed = |reason: String| Error::Onnx { path: self.graph.path().to_owned(), reason };
        let outputs = quiet::catch(|| self.float.run(input, &self.graph.input.1)).map_err(failed)?;
        let mut outputs = outputs.map_err(|e| failed(format!("the float model does not run: {}", e.root_cause())))?;
        outputs.pop().ok_or_else(|| failed("the float model gives nothing".into()))
    }
}
