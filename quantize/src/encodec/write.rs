//! A codec as a model folder.

use std::path::Path;

use ossicle_models::encodec::{Kind, Part, padded};
use ossicle_models::folder::NUMERICS_VERSION;

use super::{Codec, Conv, Recurrent, Report, Weights};
use crate::codebook::codebook;
use crate::dense::Dense;
use crate::folder::{self, Partial};
use crate::tensors::Tensor;
use crate::{Error, card};

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
    /// Recordings at the codec's rate to measure on; a synthetic one if empty.
    pub recordings: Vec<Vec<f32>>,
}

impl Codec {
    /// Writes the model folder, all of it or none, once the runtime has opened it and run it.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<Report, Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        self.put(&at)?;
        let report = self.measure(&at, &task.recordings)?;
        let notes = format!("{}\n\n{}", task.notes.trim_end(), report.markdown());
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &notes))?;
        partial.publish(folder)?;
        Ok(report)
    }

    /// Weights and configuration, without card and sums.
    pub(crate) fn put(&self, at: &Path) -> Result<(), Error> {
        folder::put(at, &self.path, "encodec", &self.config, &self.tensors())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![];
        for (part, weights) in self.encoder.iter().chain(&self.decoder) {
            put_part(&mut tensors, part, weights);
        }
        let (channels, codes) = (self.config.hidden_size, self.config.codebook_size);
        for (q, book) in self.codebooks.iter().enumerate() {
            tensors.extend(codebook(q, book, channels, codes));
        }
        tensors
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "encodec: sound to codes and back, one channel".to_owned()),
            ("samples a second", config.sampling_rate.to_string()),
            ("samples a frame", config.hop().to_string()),
            ("codebooks", format!("{} of {} codes", config.num_quantizers, config.codebook_size)),
            ("channels", format!("{} to {}", config.num_filters, config.widest())),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes, int8 with one f32 scale per output channel; codebooks in f32")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "EnCodec for the Ossicle runtime, made by `ossicle-quantize encodec`.", &rows, notes)
    }
}

fn put_part(tensors: &mut Vec<Tensor>, part: &Part, weights: &Weights) {
    let name = &part.name;
    match (part.kind, weights) {
        (Kind::Conv { inputs: 1, outputs, kernel, .. }, Weights::Conv(conv)) => {
            let mut turned = vec![0.0; kernel * padded(outputs)];
            for (output, taps) in conv.weight.chunks_exact(kernel).enumerate() {
                taps.iter().enumerate().for_each(|(tap, weight)| turned[tap * padded(outputs) + output] = *weight);
            }
            let mut bias = conv.bias.clone();
            bias.resize(padded(outputs), 0.0);
            tensors.push(Tensor::floats(format!("{name}.weight"), vec![kernel, padded(outputs)], turned));
            tensors.push(Tensor::floats(format!("{name}.bias"), vec![padded(outputs)], bias));
        }
        (Kind::Conv { inputs, kernel, .. }, Weights::Conv(conv)) => conv.dense(inputs, kernel).put(tensors, name),
        (Kind::Transposed { inputs, outputs, stride }, Weights::Conv(conv)) => conv.pairs(inputs, outputs, stride).put(tensors, name),
        (Kind::Residual { channels, inner }, Weights::Residual { first, second, shortcut }) => {
            let kernel = first.weight.len() / (channels * inner);
            first.dense(channels, kernel).put(tensors, &format!("{name}.1"));
            second.dense(inner, 1).put(tensors, &format!("{name}.3"));
            if let Some(shortcut) = shortcut {
                shortcut.dense(channels, 1).put(tensors, &format!("{name}.shortcut"));
            }
        }
        (Kind::Lstm { channels }, Weights::Lstm(layers)) => {
            for (index, layer) in layers.iter().enumerate() {
                let [input, hidden] = layer.dense(channels);
                input.put(tensors, &format!("{name}.{index}.input"));
                hidden.put(tensors, &format!("{name}.{index}.recurrent"));
            }
        }
        // Layers and weights are made together.
        _ => {}
    }
}

impl Conv {
    /// As a linear layer of windows `[kernel][inputs]`, channels rounded up.
    fn dense(&self, inputs: usize, kernel: usize) -> Dense {
        let depth = kernel * padded(inputs);
        let mut weights = vec![0.0; self.bias.len() * depth];
        for (own, weights) in self.weight.chunks_exact(inputs * kernel).zip(weights.chunks_exact_mut(depth)) {
            for (at, weight) in own.iter().enumerate() {
                weights[at % kernel * padded(inputs) + at / kernel] = *weight;
            }
        }
        Dense { weights, bias: self.bias.clone(), inputs: depth }
    }

    /// A transposed convolution as a linear layer of two rows: the taps of an output row reach the row before it by `stride` more.
    fn pairs(&self, inputs: usize, outputs: usize, stride: usize) -> Dense {
        let (wide, depth, kernel) = (padded(outputs), 2 * padded(inputs), 2 * stride);
        let mut weights = vec![0.0; stride * wide * depth];
        let mut bias = vec![0.0; stride * wide];
        for phase in 0..stride {
            for output in 0..outputs {
                let at = phase * wide + output;
                bias[at] = self.bias[output];
                let row = &mut weights[at * depth..][..depth];
                for input in 0..inputs {
                    let taps = &self.weight[(input * outputs + output) * kernel..][..kernel];
                    row[input] = taps[phase + stride];
                    row[padded(inputs) + input] = taps[phase];
                }
            }
        }
        Dense { weights, bias, inputs: depth }
    }
}

impl Recurrent {
    /// Of the input and of the state, channels of each gate rounded up.
    fn dense(&self, channels: usize) -> [Dense; 2] {
        let wide = padded(channels);
        let place = |at: usize| at / channels * wide + at % channels;
        let turned = |own: &[f32]| {
            let mut weights = vec![0.0; 4 * wide * wide];
            for (at, own) in own.chunks_exact(channels).enumerate() {
                weights[place(at) * wide..][..channels].copy_from_slice(own);
            }
            weights
        };
        let mut bias = vec![0.0; 4 * wide];
        self.bias.iter().enumerate().for_each(|(at, value)| bias[place(at)] = *value);
        let input = Dense { weights: turned(&self.input), bias, inputs: wide };
        [input, Dense { weights: turned(&self.hidden), bias: vec![], inputs: wide }]
    }
}
