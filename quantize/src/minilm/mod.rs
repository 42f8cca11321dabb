//! `ossicle-quantize minilm`: a sentence encoder from sentence-transformers (BERT with mean pooling) as a model folder.

mod float;
mod measure;
mod round;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::folder::{FolderError, ModelConfig};
use ossicle_models::minilm::MiniLmConfig;
use ossicle_text::Tokenizer;
use serde::Deserialize;

use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;
use crate::norm::Norm;
use crate::source::{read, read_json, read_text};
use crate::sources::safetensors;

pub use crate::vectors::Report;
pub use write::Task;

/// Sentences that ranges and rounding are chosen with unless others are given.
const SENTENCES: &str = include_str!("sentences.txt");

/// Longest texts unless the checkpoint says otherwise.
const TOKENS: usize = 256;

/// What a Hugging Face BERT says of itself.
#[derive(Deserialize)]
struct BertConfig {
    model_type: String,
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f32,
    vocab_size: usize,
}

/// A module of sentence-transformers.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

/// A linear layer in f32.
#[derive(Clone, Debug)]
struct Linear {
    /// `[outputs][inputs]`
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }
}

/// One layer.
#[derive(Clone, Debug)]
struct Layer {
    /// Queries, keys and values.
    qkv: Linear,
    output: Linear,
    output_norm: Norm,
    up: Linear,
    down: Linear,
    down_norm: Norm,
}

/// A sentence encoder as read.
#[derive(Debug)]
pub struct Encoder {
    path: PathBuf,
    config: MiniLmConfig,
    tokenizer: Tokenizer,
    tokenizer_json: String,
    /// `[vocab_size][hidden_size]`
    words: Vec<f32>,
    /// `[max_tokens][hidden_size]`, the type's embedding added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Reads a folder with `config.json`, `model.safetensors` and `tokenizer.json`, and with what sentence-transformers lays beside them.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let config = config(folder)?;
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer_json = read_text(&tokenizer_path)?;
        let tokenizer = Tokenizer::from_json(&tokenizer_json).map_err(|e| Error::json(&tokenizer_path, e))?;
        if tokenizer.size() > config.vocab_size {
            let what = format!("{} tokens, config.json has a vocabulary of {}", tokenizer.size(), config.vocab_size);
            return Err(Error::unsupported(&tokenizer_path, what));
        }
        let path = folder.join(safetensors::SINGLE);
        let mut tensors = Tensors {
            tensors: safetensors::parse_wanted(&path, Arc::new(read(&path)?), |name| !name.ends_with("embeddings.position_ids"))?,
            path,
        };
        tensors.strip("bert.");
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let words = tensors.take("embeddings.word_embeddings.weight", &[config.vocab_size, width])?;
        let mut positions = tensors.first_rows("embeddings.position_embeddings.weight", config.max_tokens, width)?;
        let kind = tensors.first_rows("embeddings.token_type_embeddings.weight", 1, width)?;
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(&kind).for_each(|(x, kind)| *x += kind);
        }
        let norm = tensors.norm("embeddings.LayerNorm", width)?;
        let mut layers = vec![];
        for i in 0..config.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{i}.{part}");
            let mut qkv = Linear { weight: vec![], bias: vec![] };
            for part in ["query", "key", "value"] {
                let Linear { weight, bias } = tensors.linear(&name(&format!("attention.self.{part}")), width, width)?;
                qkv.weight.extend(weight);
                qkv.bias.extend(bias);
            }
            layers.push(Layer {
                qkv,
                output: tensors.linear(&name("attention.output.dense"), width, width)?,
                output_norm: tensors.norm(&name("attention.output.LayerNorm"), width)?,
                up: tensors.linear(&name("intermediate.dense"), inner, width)?,
                down: tensors.linear(&name("output.dense"), width, inner)?,
                down_norm: tensors.norm(&name("output.LayerNorm"), width)?,
            });
        }
        tensors.nothing_left()?;
        Ok(Self { path: folder.to_owned(), config, tokenizer, tokenizer_json, words, positions, norm, layers })
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let linear = |linear: &Linear| linear.weight.len() + linear.bias.len();
        let layers = self.layers.iter().map(|layer| [&layer.qkv, &layer.output, &layer.up, &layer.down].map(linear).iter().sum::<usize>());
        self.words.len() + self.positions.len() + layers.sum::<usize>() + (4 * self.layers.len() + 2) * self.config.hidden_size
    }

    /// Tokens of each text, as many as the model takes.
    fn tokens(&self, texts: &[&str]) -> Vec<Vec<u32>> {
        texts.iter().map(|text| self.tokenizer.encode(text, self.config.max_tokens).ids).collect()
    }
}

/// The runtime's configuration, from what several files say.
fn config(folder: &Path) -> Result<MiniLmConfig, Error> {
    let path = folder.join("config.json");
    let bert: BertConfig = read_json(&path)?;
    let positions = bert.position_embedding_type.as_deref().unwrap_or("absolute");
    for (name, have, want) in [
        ("model_type", &*bert.model_type, "bert"),
        ("hidden_act", &*bert.hidden_act, "gelu"),
        ("position_embedding_type", positions, "absolute"),
    ] {
        if have != want {
            return Err(Error::unsupported(&path, format!("{name} is {have:?}, {want:?} is possible")));
        }
    }
    let modules = folder.join("modules.json");
    if modules.is_file() {
        for Module { kind } in read_json::<Vec<Module>>(&modules)? {
            if !["Transformer", "Pooling", "Normalize"].iter().any(|known| kind.rsplit('.').next() == Some(known)) {
                return Err(Error::unsupported(&modules, format!("module {kind:?}: Transformer, Pooling and Normalize are possible")));
            }
        }
    }
    let pooling = folder.join("1_Pooling/config.json");
    if pooling.is_file() {
        let modes: BTreeMap<String, serde_json::Value> = read_json(&pooling)?;
        let on: Vec<&str> =
            modes.iter().filter(|(key, on)| key.starts_with("pooling_mode") && on.as_bool() == Some(true)).map(|(key, _)| &**key).collect();
        if on != ["pooling_mode_mean_tokens"] {
            return Err(Error::unsupported(&pooling, format!("{}: pooling_mode_mean_tokens alone is possible", on.join(", "))));
        }
    }
    let sentence = folder.join("sentence_bert_config.json");
    let max_tokens = match sentence.is_file() {
        true => read_json::<SentenceConfig>(&sentence)?.max_seq_length,
        false => TOKENS,
    };
    let config = MiniLmConfig {
        vocab_size: bert.vocab_size,
        hidden_size: bert.hidden_size,
        num_hidden_layers: bert.num_hidden_layers,
        num_attention_heads: bert.num_attention_heads,
        intermediate_size: bert.intermediate_size,
        max_tokens: max_tokens.min(bert.max_position_embeddings),
        layer_norm_eps: bert.layer_norm_eps,
        sounds: 0,
        captions: 0,
        described: 0,
        captions_of: String::new(),
    };
    match config.problem() {
        None => Ok(config),
        Some(problem) => Err(Error::unsupported(&path, problem)),
    }
}

/// A checkpoint's tensors, each taken once.
struct Tensors {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Takes a prefix from all names, if they have it.
    fn strip(&mut self, prefix: &str) {
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors.map(|(name, tensor)| (name.strip_prefix(prefix).unwrap_or(&name).to_owned(), tensor)).collect();
    }

    fn values(&self, name: &str, tensor: &Tensor) -> Result<Vec<f32>, Error> {
        let values = tensor.to_f32();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::tensor(&self.path, name, TensorProblem::NotFinite { index })),
        }
    }

    fn remove(&mut self, name: &str) -> Result<Tensor, Error> {
        self.tensors.remove(name).ok_or_else(|| Error::tensor(&self.path, name, TensorProblem::Missing))
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.remove(name)?;
        if tensor.shape() != shape {
            let problem = TensorProblem::Shape { expected: shape.to_owned(), found: tensor.shape().to_owned() };
            return Err(Error::tensor(&self.path, name, problem));
        }
        self.values(name, &tensor)
    }

    /// The first rows of a table that may have more.
    fn first_rows(&mut self, name: &str, rows: usize, width: usize) -> Result<Vec<f32>, Error> {
        let tensor = self.remove(name)?;
        if tensor.shape().len() != 2 || tensor.shape()[0] < rows || tensor.shape()[1] != width {
            let problem = TensorProblem::Shape { expected: vec![rows, width], found: tensor.shape().to_owned() };
            return Err(Error::tensor(&self.path, name, problem));
        }
        let mut values = self.values(name, &tensor)?;
        values.truncate(rows * width);
        Ok(values)
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        Ok(Linear {
            weight: self.take(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: self.take(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, Error> {
        Ok(Norm { weight: self.take(&format!("{name}.weight"), &[width])?, bias: self.take(&format!("{name}.bias"), &[width])? })
    }

    /// All but what a sentence's vector does not need was taken.
    fn nothing_left(&self) -> Result<(), Error> {
        let unused = ["pooler.dense.weight", "pooler.dense.bias"];
        match self.tensors.keys().find(|name| !unused.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Error::unsupported(&self.path, format!("tensor {name} is no part of a BERT encoder"))),
        }
    }
}

/// Why the runtime does not take a folder, without the draft's path, which is gone when this is read.
fn refusal(error: ossicle_models::GraphError) -> String {
    use ossicle_models::GraphError;
    match error {
        GraphError::Folder(FolderError::Malformed { problem, .. }) => problem,
        GraphError::Folder(FolderError::Tensor { name, problem, .. }) => format!("tensor {name} {problem}"),
        other => other.to_string(),
    }
}
