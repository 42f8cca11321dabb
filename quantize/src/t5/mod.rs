//! `ossicle-quantize t5`: the encoder of a T5 of version 1.0 as a model folder.

mod float;
mod write;

use std::path::{Path, PathBuf};

use ossicle_models::folder::ModelConfig;
use ossicle_models::t5::{MAX_TOKENS, T5Config};
use ossicle_text::Tokenizer;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::source::{read_json, read_text};
use crate::sources::checkpoint;
use crate::sources::taken::Tensors;

pub use crate::folder::Task;

/// What Hugging Face's `config.json` says; what is left out is as in T5 of version 1.0.
#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "max_distance")]
    relative_attention_max_distance: usize,
    layer_norm_epsilon: f32,
    #[serde(default = "relu")]
    feed_forward_proj: String,
}

fn buckets() -> usize {
    32
}

fn max_distance() -> usize {
    128
}

fn relu() -> String {
    "relu".into()
}

/// One layer; matrices are `[outputs][inputs]`.
#[derive(Clone, Debug)]
struct Layer {
    norm: Vec<f32>,
    qkv: Vec<f32>,
    out: Vec<f32>,
    forward_norm: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
}

/// An encoder as read.
#[derive(Debug)]
pub struct Encoder {
    path: PathBuf,
    config: T5Config,
    tokenizer: Option<(Tokenizer, String)>,
    /// `[vocab_size][d_model]`
    embedding: Vec<f32>,
    /// `[buckets][heads]`
    bias: Vec<f32>,
    buckets: usize,
    layers: Vec<Layer>,
    norm: Vec<f32>,
}

impl Encoder {
    /// Reads a folder with Hugging Face's `config.json` and weights (a T5, its encoder alone, or a MusicGen with one in it), and `tokenizer.json`.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let encoder = Self::open_without_tokenizer(folder)?;
        let path = folder.join("tokenizer.json");
        let text = read_text(&path)?;
        let tokenizer = Tokenizer::from_json(&text).map_err(|e| Error::json(&path, e))?;
        if tokenizer.size() > encoder.config.vocab_size {
            let what = format!("{} tokens, config.json has a vocabulary of {}", tokenizer.size(), encoder.config.vocab_size);
            return Err(Error::unsupported(&path, what));
        }
        Ok(Self { tokenizer: Some((tokenizer, text)), ..encoder })
    }

    /// As [`open`](Self::open), without the tokenizer: such an encoder can be compared, but not written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_without_tokenizer(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let raw: Value = read_json(&path)?;
        let own = raw.get("text_encoder").unwrap_or(&raw);
        let read: Config = Deserialize::deserialize(own).map_err(|e| Error::json(&path, e))?;
        if read.feed_forward_proj != "relu" {
            let what = format!("feed_forward_proj is {:?}, \"relu\" is possible (T5 of version 1.0)", read.feed_forward_proj);
            return Err(Error::unsupported(&path, what));
        }
        let buckets = read.relative_attention_num_buckets;
        if !(4..=1024).contains(&buckets) || !buckets.is_multiple_of(4) {
            return Err(Error::unsupported(&path, format!("relative_attention_num_buckets is {buckets}, a multiple of 4 is possible")));
        }
        let config = T5Config {
            vocab_size: read.vocab_size,
            d_model: read.d_model,
            d_kv: read.d_kv,
            d_ff: read.d_ff,
            num_layers: read.num_layers,
            num_heads: read.num_heads,
            max_distance: read.relative_attention_max_distance,
            layer_norm_epsilon: read.layer_norm_epsilon,
            max_tokens: MAX_TOKENS,
        };
        if let Some(problem) = config.problem() {
            return Err(Error::unsupported(&path, problem));
        }
        // A T5's decoder is not needed, nor are the other parts of a MusicGen.
        let tensors = checkpoint::tensors(folder, is_encoder)?;
        let prefix = "text_encoder.";
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.strip_prefix(prefix).unwrap_or(&name).to_owned(), tensor)).collect();
        let mut tensors = Tensors::new(folder, tensors);
        let (width, inner, wide) = (config.d_model, config.inner(), config.d_ff);
        let names = ["shared.weight", "encoder.embed_tokens.weight"];
        let name = names.iter().find(|name| tensors.has(name)).unwrap_or(&names[0]);
        let embedding = tensors.take(name, &[config.vocab_size, width])?;
        names.iter().for_each(|name| drop(tensors.tensors.remove(*name)));
        let bias = tensors.take("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", &[buckets, config.num_heads])?;
        let mut layers = vec![];
        for i in 0..config.num_layers {
            let name = |part: &str| format!("encoder.block.{i}.layer.{part}.weight");
            let projections = ["q", "k", "v"].map(|part| name(&format!("0.SelfAttention.{part}")));
            layers.push(Layer {
                norm: tensors.take(&name("0.layer_norm"), &[width])?,
                qkv: tensors.joined(&projections, &[inner, width])?,
                out: tensors.take(&name("0.SelfAttention.o"), &[width, inner])?,
                forward_norm: tensors.take(&name("1.layer_norm"), &[width])?,
                up: tensors.take(&name("1.DenseReluDense.wi"), &[wide, width])?,
                down: tensors.take(&name("1.DenseReluDense.wo"), &[width, wide])?,
            });
        }
        let norm = tensors.take("encoder.final_layer_norm.weight", &[width])?;
        tensors.nothing_left("a T5's encoder")?;
        Ok(Self { path: folder.to_owned(), config, tokenizer: None, embedding, bias, buckets, layers, norm })
    }

    /// The runtime's configuration.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// Weights.
    pub fn parameters(&self) -> usize {
        let matrices = |layer: &Layer| layer.qkv.len() + layer.out.len() + layer.up.len() + layer.down.len();
        let layers: usize = self.layers.iter().map(|layer| matrices(layer) + layer.norm.len() + layer.forward_norm.len()).sum();
        self.embedding.len() + self.bias.len() + layers + self.norm.len()
    }

    /// The bias of a head for the distance from a query to a key.
    fn bias_of(&self, head: usize, distance: isize) -> f32 {
        let (half, exact) = (self.buckets / 2, self.buckets / 4);
        let apart = distance.unsigned_abs();
        let bucket = if apart < exact {
            apart
        } else {
            // In f32, as the reference computes it: which side of a border a distance falls on hangs on it.
            let ratio = (apart as f32 / exact as f32).ln() / (self.config.max_distance as f64 / exact as f64).ln() as f32;
            (exact + (ratio * (half - exact) as f32) as usize).min(half - 1)
        };
        self.bias[(bucket + if distance > 0 { half } else { 0 }) * self.config.num_heads + head]
    }
}

/// Whether a tensor belongs to the encoder, of a T5 or within a MusicGen.
fn is_encoder(name: &str) -> bool {
    let name = match name.strip_prefix("text_encoder.") {
        Some(name) => name,
        // A MusicGen's own parts, and its codec's encoder.
        None if name.starts_with("audio_encoder.") || name.starts_with("enc_to_dec_proj.") => return false,
        None => name,
    };
    name == "shared.weight" || name.starts_with("encoder.")
}
