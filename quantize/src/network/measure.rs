//! What int8 costs: the float model on tract's operators beside ours, layer by layer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::network::{NetworkGraph, Scores};
use ossicle_trace::{Step, Tap, Tensor, Values};
use serde::Serialize;

use super::Network;
use super::graph::Float;
use super::ir::Kind;
use super::quiet;
use super::view::View;
use crate::Error;
use crate::pack::QMAX;
use crate::signal::Noise;

/// Signal over noise of one layer's output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// The layer's name.
    pub name: String,
    /// The ONNX operator it ends with.
    pub op: String,
    /// Decibel; none if it is always zero, or no ONNX tensor holds it.
    pub decibels: Option<f64>,
}

/// How often both models say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Inputs compared.
    pub inputs: usize,
    /// Those with the same largest score.
    pub same_top: usize,
}

/// What int8 costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Layers in their order.
    pub layers: Vec<LayerNoise>,
    /// The scores.
    pub scores: Option<f64>,
    /// The largest scores.
    pub agreement: Agreement,
}

impl Report {
    /// A table for a terminal.
    pub fn text(&self) -> String {
        let decibels = |value: Option<f64>| value.map_or("-".into(), |db| format!("{db:.1}"));
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0).max(6);
        let mut out = format!("{:width$}  signal over noise, dB\n", "layer");
        for layer in &self.layers {
            out.push_str(&format!("{:width$}  {:>6}  {}\n", layer.name, decibels(layer.decibels), layer.op));
        }
        out.push_str(&format!("{:width$}  {:>6}\n", "scores", decibels(self.scores)));
        let Agreement { inputs, same_top } = self.agreement;
        out.push_str(&format!("largest score the same: {same_top} of {inputs} inputs\n"));
        out
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        // Names and finite or missing numbers, which JSON can always hold.
        format!("{:#}\n", serde_json::to_value(self).unwrap_or_default())
    }

    /// The same for a model card.
    pub fn markdown(&self) -> String {
        format!("## What int8 costs\n\n```\n{}```\n", self.text())
    }
}

/// Keeps the last tensor of each operator.
#[derive(Debug, Default)]
struct Keep(Mutex<HashMap<String, Vec<f32>>>);

impl Tap for Keep {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if let Values::F32(values) = tensor.values {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tensor.op.to_owned(), values.to_vec());
        }
    }
}

/// Elements as ONNX orders them from elements as a map does.
fn gathered(map: &[f32], view: &View) -> Vec<f32> {
    view.places().into_iter().map(|place| map.get(place).copied().unwrap_or(0.0)).collect()
}

/// Energies of what rounding a row to s8, and to u8 above `-offset`, takes away.
fn rounding(row: &[f32], offset: f32) -> [f64; 2] {
    let error = |step: f32, zero: f32| {
        let round = |x: f32| if step > 0.0 { ((x + zero) / step).round_ties_even() * step - zero } else { -zero };
        row.iter().map(|&x| f64::from(x - round(x)).powi(2)).sum::<f64>()
    };
    let magnitude = row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let largest = row.iter().fold(0.0f32, |m, x| m.max(x + offset));
    [error(magnitude / QMAX, 0.0), error(largest / 255.0, offset)]
}

impl Network {
    /// The float model with the scores and some tensors as its outputs.
    pub(super) fn float(&self, names: impl Iterator<Item = String>) -> Result<Float, Error> {
        let names: Vec<String> = [self.graph.output.clone()].into_iter().chain(names).collect();
        self.graph.float(&names)
    }

    pub(super) fn run_float(&self, float: &Float, input: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        let failed = |reason: String| Error::Onnx { path: self.graph.path().to_owned(), reason };
        let expected = self.fused.layers[0].len();
        if input.len() != expected {
            return Err(failed(format!("an input of {} values, not {expected}", input.len())));
        }
        let outputs = quiet::catch(|| float.run(&gathered(input, &self.input_view), &self.graph.input.1));
        outputs.map_err(failed)?.map_err(|e| failed(format!("the float model does not run: {}", e.root_cause())))
    }

    /// The float model's scores.
    ///
    /// # Errors
    /// tract refuses the model, or an input has another length than the network's.
    pub fn float_scores(&self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Error> {
        let float = self.float(std::iter::empty())?;
        inputs.iter().map(|input| Ok(self.run_float(&float, input)?.swap_remove(0))).collect()
    }

    /// Chooses, for each product, between rows of s8 and of u8 with an offset, by what rounding takes away from these inputs (`[height][width]
    /// [channels]`, as the runtime reads them). Without, every row that is bounded from below is u8.
    ///
    /// # Errors
    /// As [`float_scores`](Self::float_scores).
    pub fn calibrate(&mut self, inputs: &[Vec<f32>]) -> Result<(), Error> {
        let mut chosen = vec![];
        for (at, layer) in self.fused.layers.iter().enumerate() {
            let product = matches!(layer.kind, Kind::Conv { .. } | Kind::Linear { .. });
            let source = layer.inputs.first().map_or(0, |input| input.layer);
            if let (true, Some(offset), Some((name, view))) = (product, self.offsets[at], &self.tensors[source]) {
                chosen.push((at, offset, name.clone(), view.clone(), self.fused.layers[source].channels));
            }
        }
        let float = self.float(chosen.iter().map(|(_, _, name, ..)| name.clone()))?;
        let mut energies = vec![[0.0; 2]; chosen.len()];
        for input in inputs {
            let outputs = self.run_float(&float, input)?;
            for ((energy, values), (_, offset, _, view, channels)) in energies.iter_mut().zip(&outputs[1..]).zip(&chosen) {
                let mut map = vec![0.0; values.len()];
                for (value, place) in values.iter().zip(view.places()) {
                    map[place] = *value;
                }
                for row in map.chunks_exact(*channels) {
                    let [signed, unsigned] = rounding(row, *offset);
                    energy[0] += signed;
                    energy[1] += unsigned;
                }
            }
        }
        for ([signed, unsigned], (at, ..)) in energies.iter().zip(&chosen) {
            if signed < unsigned {
                self.offsets[*at] = None;
            }
        }
        Ok(())
    }

    /// Runs a folder that this network was written to beside the float model.
    ///
    /// # Errors
    /// As [`float_scores`](Self::float_scores), or the folder cannot be opened.
    pub fn measure(&self, folder: &Path, inputs: &[Vec<f32>]) -> Result<Report, Error> {
        let failed = |reason: String| Error::unsupported(folder, reason);
        let model = ModelFolder::open(folder).map_err(|e| failed(e.to_string()))?;
        let mut int8 = NetworkGraph::new(model, Options { isa: Isa::detect(), threads: 1 }).map_err(|e| failed(e.to_string()))?;
        let keep = Arc::new(Keep::default());
        int8.set_tap(Some(keep.clone()));
        let names = self.names();
        let named: Vec<(usize, &String, &View)> = self
            .tensors
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(|(at, tensor)| tensor.as_ref().map(|(name, view)| (at, name, view)))
            .collect();
        let float = self.float(named.iter().map(|(_, name, _)| (*name).clone()))?;
        let mut noise: Vec<Noise> = vec![Noise::default(); self.fused.layers.len()];
        let (mut scores, mut agreement) = (Noise::default(), Agreement::default());
        for input in inputs {
            let outputs = self.run_float(&float, input)?;
            let ours = int8.run(input).map_err(|e| failed(e.to_string()))?.to_vec();
            agreement.inputs += 1;
            agreement.same_top += usize::from(top(&ours) == top(&outputs[0]));
            ours.iter().zip(&outputs[0]).for_each(|(ours, exact)| scores.add(f64::from(*exact), f64::from(*ours)));
            let kept = keep.0.lock().unwrap_or_else(PoisonError::into_inner);
            for ((at, _, view), exact) in named.iter().zip(&outputs[1..]) {
                if let Some(map) = kept.get(&format!("network.{}", names[*at])) {
                    let ours = gathered(map, view);
                    exact.iter().zip(&ours).for_each(|(exact, ours)| noise[*at].add(f64::from(*exact), f64::from(*ours)));
                }
            }
        }
        let layers = self.fused.layers.iter().zip(&names).zip(&noise).skip(1);
        let layers =
            layers.map(|((layer, name), noise)| LayerNoise { name: name.clone(), op: layer.op.clone(), decibels: noise.decibels() });
        Ok(Report { layers: layers.collect(), scores: scores.decibels(), agreement })
    }

    /// What becomes of the logits.
    pub fn scores(&self) -> Scores {
        self.fused.scores
    }
}

/// The first of the largest values.
fn top(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}
