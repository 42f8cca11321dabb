//! A sentence encoder as a model folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ossicle_kernels::activation::Activation;
use ossicle_models::folder::NUMERICS_VERSION;
use ossicle_models::minilm::MiniLmConfig;

use super::float::Input;
use super::round::Inputs;
use super::{Encoder, Layer, Linear, Report, SENTENCES};
use crate::captions::Captions;
use crate::folder::{self, Partial, write_text};
use crate::pack::{self, QuantizedRows};
use crate::tensors::{self, Tensor};
use crate::{Error, card};

/// How much of a channel's range the weights take over.
const SMOOTHING: f64 = 0.75;

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
    /// Sentences for ranges and rounding, one a line; built-in ones if empty.
    pub calibration: String,
    /// Sentences to measure with, one a line; not measured if empty.
    pub measured: String,
    /// Phrases for sounds, one a line: a label of YAMNet, a tab, the phrase. Their vectors go into the folder.
    pub sounds: String,
    /// A caption map, which goes into the folder.
    pub captions: Option<Captions>,
}

/// Mean and standard deviation of each channel.
struct Moments {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

/// Channels brought to like ranges: `(x - mean) / scale`.
struct Smoothed {
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl Encoder {
    /// Writes the model folder, all of it or none, once the runtime has opened it and run it. `progress` gets what is being done.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task, progress: &mut dyn FnMut(&str)) -> Result<Option<Report>, Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        let calibration = if task.calibration.trim().is_empty() { SENTENCES } else { &task.calibration };
        let mut tensors = self.tensors(&lines(calibration), progress);
        let mut config = self.config.clone();
        if let Some(captions) = &task.captions {
            let labels: BTreeSet<&str> = task.sounds.lines().filter_map(|line| Some(line.split_once('\t')?.0)).collect();
            let needed = config.hidden_size + labels.len();
            if captions.rows.rows != needed {
                let what = format!("a caption map of {} values, the encoder and --sounds need {needed}", captions.rows.rows);
                return Err(Error::unsupported(&self.path, what));
            }
            tensors::put_rows(&mut tensors, "captions", &captions.rows, Some(captions.bias.clone()));
            (config.captions, config.described) = (captions.rows.inputs, captions.rows.rows);
            config.captions_of.clone_from(&captions.embedding_sha256);
        }
        self.put(&at, &tensors, &config)?;
        write_text(&at.join("tokenizer.json"), &self.tokenizer_json)?;
        progress("running what was written");
        let sounds = lines(&task.sounds);
        if !sounds.is_empty() {
            let phrases: Option<Vec<&str>> = sounds.iter().map(|line| line.split_once('\t').map(|(_, phrase)| phrase)).collect();
            let phrases =
                phrases.ok_or_else(|| Error::unsupported(&self.path, "a line of --sounds without a tab: give label, tab, phrase"))?;
            let vectors = self.vectors(&at, &phrases)?.concat();
            let rows = pack::quantize_rows(&vectors, phrases.len(), self.config.hidden_size);
            tensors::put_rows(&mut tensors, "sounds", &rows, None);
            fs::remove_file(at.join("model.safetensors")).map_err(|e| Error::io(&at, e))?;
            config.sounds = phrases.len();
            self.put(&at, &tensors, &config)?;
            write_text(&at.join("sounds.tsv"), &sounds.iter().flat_map(|line| [line, "\n"]).collect::<String>())?;
        }
        let measured = lines(&task.measured);
        let report = self.measure(&at, if measured.is_empty() { &["A dog barks."] } else { &measured })?;
        let report = (!measured.is_empty()).then_some(report);
        let mut notes = task.notes.trim_end().to_owned();
        if let Some(report) = &report {
            notes = format!("{notes}\n\n{}", report.markdown("sentences"));
        }
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &notes))?;
        partial.publish(folder)?;
        Ok(report)
    }

    /// Weights and configuration.
    fn put(&self, at: &Path, tensors: &[Tensor], config: &MiniLmConfig) -> Result<(), Error> {
        folder::put(at, &self.path, "minilm", config, tensors)
    }

    fn tensors(&self, sentences: &[&str], progress: &mut dyn FnMut(&str)) -> Vec<Tensor> {
        let width = self.config.hidden_size;
        let mut tensors = vec![];
        let words = pack::quantize_rows(&self.words, self.config.vocab_size, width);
        tensors::put_rows(&mut tensors, "embed.words", &words, None);
        tensors.push(Tensor::floats("embed.positions".into(), vec![self.config.max_tokens, width], self.positions.clone()));
        self.norm.put(&mut tensors, "embed.norm");
        progress("float vectors of the calibration sentences");
        let rows = self.rows(sentences);
        for (i, (layer, rows)) in self.layers.iter().zip(&rows).enumerate() {
            progress(&format!("layer {} of {}", i + 1, self.layers.len()));
            put_layer(&mut tensors, &format!("layers.{i}"), layer, rows, width);
        }
        tensors
    }

    /// The rows that go into each layer's four products.
    fn rows(&self, sentences: &[&str]) -> Vec<[Vec<f32>; 4]> {
        let mut rows = vec![[const { Vec::new() }; 4]; self.layers.len()];
        for tokens in self.tokens(sentences) {
            self.encode(&tokens, &mut |layer, input, values| rows[layer][input as usize].extend(values));
        }
        rows
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "minilm: BERT with mean pooling, vectors of length 1".to_owned()),
            (
                "layers",
                format!("{}, {} heads, {} wide inside", config.num_hidden_layers, config.num_attention_heads, config.intermediate_size),
            ),
            ("width of a vector", config.hidden_size.to_string()),
            ("longest text", format!("{} tokens", config.max_tokens)),
            ("vocabulary", config.vocab_size.to_string()),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: products and word embeddings int8 with one f32 scale per output or word")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "A sentence encoder for the Ossicle runtime, made by `ossicle-quantize minilm`.", &rows, notes)
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn put_layer(tensors: &mut Vec<Tensor>, name: &str, layer: &Layer, rows: &[Vec<f32>; 4], width: usize) {
    let [qkv, output, up, down] = [Input::Qkv, Input::Output, Input::Up, Input::Down].map(|input| &rows[input as usize]);
    put_smoothed(tensors, &format!("{name}.qkv"), &layer.qkv, qkv);
    let products = inputs(output, width);
    put_linear(tensors, &format!("{name}.output"), &layer.output, &products, 0.0);
    layer.output_norm.put(tensors, &format!("{name}.output.norm"));
    put_smoothed(tensors, &format!("{name}.feed_forward.up"), &layer.up, up);
    let products = inputs(down, layer.down.inputs());
    let offset = Activation::Gelu.depth_below_zero().unwrap_or(0.0);
    put_linear(tensors, &format!("{name}.feed_forward.down"), &layer.down, &products, offset);
    layer.down_norm.put(tensors, &format!("{name}.feed_forward.norm"));
}

fn inputs(rows: &[f32], width: usize) -> Inputs {
    let mut inputs = Inputs::new(width);
    rows.chunks_exact(width).for_each(|row| inputs.add(row));
    inputs
}

/// A layer, rounded for these inputs. Its bias gets what rounding takes from the mean output, and loses what rows above `-offset` add to it.
fn put_linear(tensors: &mut Vec<Tensor>, name: &str, layer: &Linear, inputs: &Inputs, offset: f32) {
    let (factor, depth) = (inputs.factor(), layer.inputs());
    let (mut values, mut scales, mut bias) = (vec![0; layer.weight.len()], vec![], vec![]);
    let means: Vec<f64> = inputs.means().collect();
    for ((row, q), &own) in layer.weight.chunks_exact(depth).zip(values.chunks_exact_mut(depth)).zip(&layer.bias) {
        let scale = factor.round(row, q);
        let rounded = q.iter().map(|&q| f64::from(q) * f64::from(scale));
        let lost: f64 = row.iter().zip(rounded).zip(&means).map(|((&w, rounded), mean)| (f64::from(w) - rounded) * mean).sum();
        let sum: i64 = q.iter().map(|&q| i64::from(q)).sum();
        bias.push((f64::from(own) + lost - f64::from(offset) * f64::from(scale) * sum as f64) as f32);
        scales.push(scale);
    }
    tensors::put_rows(tensors, name, &QuantizedRows { rows: layer.bias.len(), inputs: depth, values, scales }, Some(bias));
}

/// A layer whose input's channels are brought to like ranges first.
fn put_smoothed(tensors: &mut Vec<Tensor>, name: &str, layer: &Linear, rows: &[f32]) {
    let width = layer.inputs();
    let smoothed = smooth(&moments(rows, width), layer);
    let Smoothed { means, scales } = &smoothed;
    let mut moved = Inputs::new(width);
    let mut row = vec![0.0; width];
    for x in rows.chunks_exact(width) {
        for (((out, &x), mean), scale) in row.iter_mut().zip(x).zip(means).zip(scales) {
            *out = ((f64::from(x) - mean) / scale) as f32;
        }
        moved.add(&row);
    }
    let weight = layer.weight.chunks_exact(width).flat_map(|row| row.iter().zip(scales).map(|(&w, scale)| (f64::from(w) * scale) as f32));
    let with_mean = |(row, &bias): (&[f32], &f32)| {
        let mean: f64 = row.iter().zip(means).map(|(&w, mean)| f64::from(w) * mean).sum();
        (f64::from(bias) + mean) as f32
    };
    let layer = Linear { weight: weight.collect(), bias: layer.weight.chunks_exact(width).zip(&layer.bias).map(with_mean).collect() };
    put_linear(tensors, name, &layer, &moved, 0.0);
    let scale = scales.iter().map(|scale| (1.0 / scale) as f32).collect();
    let shift = means.iter().zip(scales).map(|(mean, scale)| (-mean / scale) as f32).collect();
    tensors.push(Tensor::floats(format!("{name}.input_scale"), vec![width], scale));
    tensors.push(Tensor::floats(format!("{name}.input_shift"), vec![width], shift));
}

fn moments(rows: &[f32], width: usize) -> Moments {
    let count = (rows.len() / width).max(1) as f64;
    let (mut means, mut squares) = (vec![0.0; width], vec![0.0; width]);
    for row in rows.chunks_exact(width) {
        means.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x) / count);
    }
    for row in rows.chunks_exact(width) {
        squares.iter_mut().zip(row).zip(&means).for_each(|((sum, &x), mean)| *sum += (f64::from(x) - mean).powi(2) / count);
    }
    Moments { means, deviations: squares.into_iter().map(f64::sqrt).collect() }
}

/// The channels' scales: what they vary by, balanced with the weights they meet (Xiao et al. 2022).
fn smooth(moments: &Moments, layer: &Linear) -> Smoothed {
    const LEAST: f64 = 1e-3;
    let width = layer.inputs();
    let mut largest = vec![0f32; width];
    for row in layer.weight.chunks_exact(width) {
        largest.iter_mut().zip(row).for_each(|(most, w)| *most = most.max(w.abs()));
    }
    let scale =
        |(deviation, &weight): (&f64, &f32)| deviation.max(1e-6).powf(SMOOTHING) / f64::from(weight).max(1e-6).powf(1.0 - SMOOTHING);
    let mut scales: Vec<f64> = moments.deviations.iter().zip(&largest).map(scale).collect();
    let mean = (scales.iter().map(|scale| scale.ln()).sum::<f64>() / width as f64).exp();
    scales.iter_mut().for_each(|scale| *scale = (*scale / mean).max(LEAST));
    Smoothed { means: moments.means.clone(), scales }
}
