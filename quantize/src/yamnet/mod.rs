//! YAMNet as ONNX: read, checked, and written as a model folder.
//!
//! The graph has to be a chain of convolutions with ReLU (3 x 3 with stride 2 first, then pairs of depthwise 3 x 3 and 1 x 1), a mean and a
//! linear layer. Pairs of QuantizeLinear and DequantizeLinear, which simulate another runtime's rounding, are passed over: weights are
//! taken as the floats they are made from.

mod chain;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::dense::Dense;
use crate::head::{self, Head};
use crate::onnx::read;
use crate::{Error, source};
use chain::Chain;

/// The graph's file in a source folder.
pub const GRAPH: &str = "model.onnx";

/// The labels' file in a source folder: index, identifier, display name.
const CLASS_MAP: &str = "yamnet_class_map.csv";

const PATCH_FRAMES: usize = 96;
const MEL_BINS: usize = 64;
const TAPS: usize = 9;

/// A 3 x 3 convolution with one input channel for each output.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// `[9][channels]`
    pub weights: Vec<f32>,
    /// `[channels]`
    pub bias: Vec<f32>,
    /// 1 or 2.
    pub stride: usize,
}

/// A float YAMNet.
#[derive(Clone, Debug, PartialEq)]
pub struct Yamnet {
    /// The graph's file.
    pub path: PathBuf,
    /// The first convolution, stride 2.
    pub stem: Filters,
    /// Depthwise and 1 x 1 convolutions.
    pub layers: Vec<(Filters, Dense)>,
    /// What scores short cells instead of patches.
    pub head: Option<Head>,
    /// From the mean of the last map, or from a head's cells, to logits.
    pub classifier: Dense,
    /// Display names, one for each output.
    pub labels: Vec<String>,
    /// Beside a head: what scores labels of whole patches from the embedding, and their names.
    pub near: Option<(Dense, Vec<String>)>,
}

/// Reads `model.onnx` and `yamnet_class_map.csv` of a folder.
///
/// # Errors
/// A file is missing or malformed, or the graph is another network, in which case its first node that does not fit is named.
pub fn open(folder: &Path) -> Result<Yamnet, Error> {
    let graph = read::read(&folder.join(GRAPH))?;
    let mut chain = Chain::new(&graph);
    let stem = chain.filters(1, 2)?;
    let mut layers = vec![];
    let mut channels = stem.bias.len();
    while chain.next_is("Conv") {
        let depthwise = chain.filters(channels, 0)?;
        let pointwise = chain.pointwise(channels)?;
        channels = pointwise.bias.len();
        layers.push((depthwise, pointwise));
    }
    let classifier = chain.classifier(channels)?;
    let labels = labels(&folder.join(CLASS_MAP))?;
    if labels.len() != classifier.bias.len() {
        let what = format!("{} labels, but the network has {} outputs", labels.len(), classifier.bias.len());
        return Err(Error::unsupported(&folder.join(CLASS_MAP), what));
    }
    Ok(Yamnet { path: graph.path.clone(), stem, layers, head: None, classifier, labels, near: None })
}

/// The third column of a table with a header and rows by index.
fn labels(path: &Path) -> Result<Vec<String>, Error> {
    let text = source::read_text(path)?;
    let mut labels = vec![];
    for (line, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.is_empty()) {
        let mut parts = row.splitn(3, ',');
        let (index, name) = (parts.next().and_then(|index| index.parse::<usize>().ok()), parts.nth(1));
        let name = name.map(|name| name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).replace("\"\"", "\""));
        match name.filter(|name| index == Some(labels.len()) && !name.is_empty() && !name.contains(char::is_control)) {
            Some(name) => labels.push(name),
            None => return Err(Error::json(path, format!("line {}: expected {},ID,NAME", line + 1, labels.len()))),
        }
    }
    Ok(labels)
}

impl Yamnet {
    /// The network with the head of a folder in place of its classifier and labels; these stay as labels near the head's classes, and after
    /// them come those the head's folder has.
    ///
    /// # Errors
    /// A file is missing or malformed, or the head is another network's.
    pub fn with_head(self, folder: &Path) -> Result<Self, Error> {
        let channels: Vec<usize> = self.layers.iter().map(|(_, pointwise)| pointwise.outputs()).collect();
        let (head, classifier, labels, learned) = head::read(folder, &channels)?;
        let (mut near, mut names) = (self.classifier, self.labels);
        if let Some((rows, labels)) = learned {
            if let Some(twice) = labels.iter().find(|label| names.contains(label)) {
                return Err(Error::json(&folder.join(head::DESCRIPTION), format!("near_labels: the network has {twice:?} already")));
            }
            near.weights.extend(rows.weights);
            near.bias.extend(rows.bias);
            names.extend(labels);
        }
        Ok(Self { head: Some(head), classifier, labels, near: Some((near, names)), ..self })
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        let dense = |dense: &Dense| dense.weights.len() + dense.bias.len();
        let filters = |filters: &Filters| filters.weights.len() + filters.bias.len();
        let layers: usize = self.layers.iter().map(|(depthwise, pointwise)| filters(depthwise) + dense(pointwise)).sum();
        let head: usize = self.head.iter().flat_map(|head| head.inputs.iter().chain(&head.blocks)).map(dense).sum();
        let near = self.near.as_ref().map_or(0, |(near, _)| dense(near));
        filters(&self.stem) + layers + head + dense(&self.classifier) + near
    }
}
