//! Which tensors an int8 Whisper folder holds, in file order, and which float tensors they come from.

use crate::float::{CONV_TAPS, FloatModel, WhisperConfig};
use crate::pack::{self, QuantizedRows};
use crate::{Error, float};

/// One packed layer: float layers stacked by rows, quantised together row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Name in the model folder, without `.weight`.
    pub name: String,
    /// Float layers stacked in this order, without `.weight`.
    pub sources: Vec<String>,
    /// Output channels of all sources together.
    pub outputs: usize,
    /// Inputs of one output: channels times taps for a convolution.
    pub inputs: usize,
    /// True for a convolution, whose float weight is `[out, in, 3]`.
    pub conv: bool,
    /// True when the layer has a bias tensor.
    pub bias: bool,
}

impl Linear {
    /// The float weight as rows of `inputs` values; a convolution's rows are tap-major.
    ///
    /// # Errors
    /// A source tensor is missing or not finite.
    pub fn weight(&self, model: &FloatModel) -> Result<Vec<f32>, Error> {
        let mut rows = Vec::with_capacity(self.outputs * self.inputs);
        for source in &self.sources {
            let values = model.values(&format!("{source}.weight"))?;
            if self.conv {
                rows.extend(pack::tap_major(&values, self.outputs, self.inputs / CONV_TAPS, CONV_TAPS));
            } else {
                rows.extend(values);
            }
        }
        Ok(rows)
    }

    /// The float bias, zeros where a source has none.
    ///
    /// # Errors
    /// A source tensor is missing or not finite.
    pub fn bias(&self, model: &FloatModel) -> Result<Vec<f32>, Error> {
        let each = self.outputs / self.sources.len();
        let mut all = Vec::with_capacity(self.outputs);
        for source in &self.sources {
            let name = format!("{source}.bias");
            if source.ends_with(".k_proj") && !model.contains(&name) {
                all.resize(all.len() + each, 0.0);
            } else {
                all.extend(model.values(&name)?);
            }
        }
        Ok(all)
    }

    /// The weight quantised row by row, not yet packed.
    ///
    /// # Errors
    /// As [`Linear::weight`].
    pub fn quantize(&self, model: &FloatModel) -> Result<QuantizedRows, Error> {
        Ok(pack::quantize_rows(&self.weight(model)?, self.outputs, self.inputs))
    }
}

/// One entry of the model folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A packed layer: weight, scales and perhaps bias.
    Linear(Linear),
    /// A float tensor kept as f32, under its own name.
    Float(String),
}

/// Everything an int8 model folder holds, in the order the model runs.
pub fn entries(config: &float::WhisperConfig) -> Vec<Entry> {
    let d = config.d_model;
    let mut list = Vec::new();
    for (conv, channels) in [("conv1", config.num_mel_bins), ("conv2", d)] {
        let name = format!("model.encoder.{conv}");
        list.push(Entry::Linear(Linear {
            sources: vec![name.clone()],
            name,
            outputs: d,
            inputs: channels * CONV_TAPS,
            conv: true,
            bias: true,
        }));
    }
    list.push(Entry::Float("model.encoder.embed_positions.weight".to_owned()));
    for i in 0..config.encoder_layers {
        let layer = format!("model.encoder.layers.{i}");
        self_attention(&mut list, &layer, d);
        feed_forward(&mut list, &layer, d, config.encoder_ffn_dim);
    }
    norm(&mut list, "model.encoder.layer_norm");
    list.push(Entry::Float("model.decoder.embed_positions.weight".to_owned()));
    for i in 0..config.decoder_layers {
        let layer = format!("model.decoder.layers.{i}");
        self_attention(&mut list, &layer, d);
        cross_attention(&mut list, &layer, d);
        feed_forward(&mut list, &layer, d, config.decoder_ffn_dim);
    }
    norm(&mut list, "model.decoder.layer_norm");
    list.push(Entry::Linear(embedding(config)));
    list
}

/// The packed layers alone.
pub fn linears(config: &WhisperConfig) -> impl Iterator<Item = Linear> {
    entries(config).into_iter().filter_map(|entry| match entry {
        Entry::Linear(linear) => Some(linear),
        Entry::Float(_) => None,
    })
}

fn embedding(config: &WhisperConfig) -> Linear {
    let name = "model.decoder.embed_tokens".to_owned();
    Linear { sources: vec![name.clone()], name, outputs: config.vocab_size, inputs: config.d_model, conv: false, bias: false }
}

fn norm(list: &mut Vec<Entry>, name: &str) {
    list.extend(["weight", "bias"].map(|part| Entry::Float(format!("{name}.{part}"))));
}

fn linear(list: &mut Vec<Entry>, prefix: &str, name: &str, parts: &[&str], each: usize, inputs: usize) {
    list.push(Entry::Linear(Linear {
        name: format!("{prefix}.{name}"),
        sources: parts.iter().map(|part| format!("{prefix}.{part}")).collect(),
        outputs: parts.len() * each,
        inputs,
        conv: false,
        bias: true,
    }));
}

fn self_attention(list: &mut Vec<Entry>, layer: &str, d: usize) {
    norm(list, &format!("{layer}.self_attn_layer_norm"));
    let attention = format!("{layer}.self_attn");
    linear(list, &attention, "qkv", &["q_proj", "k_proj", "v_proj"], d, d);
    linear(list, &attention, "out_proj", &["out_proj"], d, d);
}

fn cross_attention(list: &mut Vec<Entry>, layer: &str, d: usize) {
    norm(list, &format!("{layer}.encoder_attn_layer_norm"));
    let attention = format!("{layer}.encoder_attn");
    linear(list, &attention, "q_proj", &["q_proj"], d, d);
    linear(list, &attention, "kv", &["k_proj", "v_proj"], d, d);
    linear(list, &attention, "out_proj", &["out_proj"], d, d);
}

fn feed_forward(list: &mut Vec<Entry>, layer: &str, d: usize, ffn: usize) {
    norm(list, &format!("{layer}.final_layer_norm"));
    linear(list, layer, "fc1", &["fc1"], ffn, d);
    linear(list, layer, "fc2", &["fc2"], d, ffn);
}
