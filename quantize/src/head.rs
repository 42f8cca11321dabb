//! A trained head of a YAMNet, as `models-int8/sound-events/train` leaves it: `head.json`, `head.safetensors` and `events.toml`.
//!
//! `head.json` names the layers whose maps it reads, its width, its dilations and its labels. The tensors, `[outputs][inputs]`: for each
//! layer and then the last map's mean `inputs.N.weight`, of which the first has `inputs.0.bias`; for each dilation `blocks.N.weight` over
//! three cells in a row and `blocks.N.bias`; `classes.weight` and `classes.bias`, a row for each label. With `near_labels` there are also
//! `near.weight` and `near.bias`, a row for each of these, over the mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ossicle_models::yamnet::{BANDS, TAPS};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dense::Dense;
use crate::error::{Error, TensorProblem};
use crate::float::{Tensor, check_shape};

use crate::sources::safetensors;
use crate::{pack, source};

/// The head's rules by which scores become events, a file of its folder and of the model's.
pub const RULES: &str = "events.toml";

/// The file with the head's figures and labels.
pub(crate) const DESCRIPTION: &str = "head.json";

/// A float head, without its class layer: that takes the place of the network's classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Layers whose maps it reads.
    pub layers: Vec<usize>,
    /// Cells between the taps of each block.
    pub dilations: Vec<usize>,
    /// One for each layer's map, then one for the mean; only the first has a bias.
    pub inputs: Vec<Dense>,
    /// One for each dilation.
    pub blocks: Vec<Dense>,
    /// The text of `events.toml`.
    pub rules: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inputs: Vec<usize>,
    width: usize,
    dilations: Vec<usize>,
    labels: Vec<String>,
    #[serde(default)]
    near_labels: Vec<String>,
}

/// A class layer and its labels.
type Classes = (Dense, Vec<String>);

impl Head {
    /// Its part of the model's `config.json`.
    pub(crate) fn config(&self) -> Value {
        json!({"inputs": self.layers, "width": self.width(), "dilations": self.dilations})
    }

    /// Values of a cell.
    pub fn width(&self) -> usize {
        self.inputs.first().map_or(0, Dense::outputs)
    }
}

/// Reads the head of a folder, its class layer and its labels, for a network whose layers have `channels`; then what it learned of whole
/// patches, if anything.
///
/// # Errors
/// A file is missing or malformed, or the head is another network's.
pub(crate) fn read(folder: &Path, channels: &[usize]) -> Result<(Head, Dense, Vec<String>, Option<Classes>), Error> {
    let path = folder.join(DESCRIPTION);
    let File { inputs: layers, width, dilations, labels, near_labels } = source::read_json(&path)?;
    let wrong = |what: String| Err(Error::json(&path, what));
    if width == 0 || !width.is_multiple_of(pack::BLOCK_ROWS) {
        return wrong(format!("width is {width}, not a multiple of {}", pack::BLOCK_ROWS));
    }
    let unusable = |label: &String| label.is_empty() || label.contains(char::is_control);
    if labels.is_empty() || labels.iter().chain(&near_labels).any(unusable) {
        return wrong("labels: give at least one, each of printable characters".into());
    }
    let mut depths = vec![];
    for &layer in &layers {
        match channels.get(layer) {
            Some(channels) => depths.push(BANDS * channels),
            None => return wrong(format!("inputs name layer {layer}: the network has {} layers, the first is 0", channels.len())),
        }
    }
    depths.extend(channels.last());
    let weights = folder.join("head.safetensors");
    let tensors = Tensors { tensors: safetensors::parse(&weights, Arc::new(source::read(&weights)?))?, path: &weights };
    let inputs = depths.iter().enumerate().map(|(i, &depth)| tensors.dense(&format!("inputs.{i}"), width, depth, i == 0));
    let blocks = (0..dilations.len()).map(|i| tensors.dense(&format!("blocks.{i}"), width, TAPS * width, true));
    let head = Head {
        inputs: inputs.collect::<Result<_, _>>()?,
        blocks: blocks.collect::<Result<_, _>>()?,
        rules: source::read_text(&folder.join(RULES))?,
        layers,
        dilations,
    };
    let classifier = tensors.dense("classes", labels.len(), width, true)?;
    let near = || Ok((tensors.dense("near", near_labels.len(), channels.last().copied().unwrap_or(0), true)?, near_labels.clone()));
    let near = if near_labels.is_empty() { None } else { Some(near()?) };
    Ok((head, classifier, labels, near))
}

struct Tensors<'a> {
    tensors: BTreeMap<String, Tensor>,
    path: &'a Path,
}

impl Tensors<'_> {
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.tensors.get(name).ok_or_else(|| Error::tensor(self.path, name, TensorProblem::Missing))?;
        check_shape(self.path, name, tensor, shape)?;
        let values = tensor.to_f32();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(Error::tensor(self.path, name, TensorProblem::NotFinite { index })),
            None => Ok(values),
        }
    }

    fn dense(&self, name: &str, outputs: usize, inputs: usize, biased: bool) -> Result<Dense, Error> {
        let weights = self.values(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = if biased { self.values(&format!("{name}.bias"), &[outputs])? } else { vec![] };
        Ok(Dense { weights, bias, inputs })
    }
}
