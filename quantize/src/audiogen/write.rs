//! A language model as a model folder.

use std::fs;
use std::path::Path;

use ossicle::generate::{GenerateError, Request, SoundGenerator};
use ossicle_kernels::simd::Isa;
use ossicle_models::audiogen::{AudiogenGraph, Limits};
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION, Weights};
use ossicle_models::{GraphError, Options};
use serde_json::{Value, json};

use super::LanguageModel;
use crate::dense::Dense;
use crate::encodec::{self, Codec};
use crate::folder::{self, Partial, pretty, write_text};
use crate::source::read_json;
use crate::tensors::Tensor;
use crate::{Error, card, refusal, t5};

/// What encodes descriptions.
pub enum Text<'a> {
    /// A T5 as read.
    T5(&'a t5::Encoder),
    /// A model folder of kind `t5` or `minilm`, which is copied.
    Folder(&'a Path),
    /// A model folder of kind `t5` or `minilm`, which will lie next to the new one and is named there with the digest of its weights.
    Beside(&'a Path),
}

/// The codec.
pub enum Codes<'a> {
    /// An EnCodec as read.
    Encodec(&'a Codec),
    /// A model folder of a codec, which is copied.
    Folder(&'a Path),
}

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
    /// Recordings at the codec's rate to measure the codec on; a synthetic one if empty.
    pub recordings: Vec<Vec<f32>>,
}

impl LanguageModel {
    /// Writes the model folder with its codec and its encoder of descriptions in it, all of it or none, once the runtime has opened and run each.
    ///
    /// # Errors
    /// The folder exists, the parts do not fit each other, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, codec: &Codes<'_>, text: &Text<'_>, folder: &Path, task: &Task) -> Result<Option<encodec::Report>, Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        self.put(&at)?;
        write_text(&at.join("generation_config.json"), &pretty(&json!(self.generation)))?;
        let parts = encodec::Task { recordings: task.recordings.clone(), ..encodec::Task::default() };
        let report = match codec {
            Codes::Encodec(codec) => Some(codec.write(&at.join("codec"), &parts)?),
            Codes::Folder(path) => {
                copy(path, &at.join("codec"))?;
                None
            }
        };
        match text {
            Text::T5(encoder) => encoder.write(&at.join("text"), &t5::Task::default())?,
            Text::Folder(path) => copy(path, &at.join("text"))?,
            Text::Beside(path) => self.name_text(path, &at)?,
        }
        let options = Options { isa: Isa::detect(), threads: 1 };
        let fits = Request::new(&at, 1.0).and_then(|request| SoundGenerator::plan(&at, options, request, 8));
        fits.map_err(|error| Error::unsupported(&self.path, format!("the runtime does not take this model: {}", parts_refused(error))))?;
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &task.notes))?;
        partial.publish(folder)?;
        Ok(report)
    }

    /// Writes into `config.json` which model encodes descriptions.
    fn name_text(&self, text: &Path, at: &Path) -> Result<(), Error> {
        ossicle_models::folder::verify(text).map_err(Error::Weights)?;
        let absolute = text.canonicalize().map_err(|e| Error::io(text, e))?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy();
        let weights = Weights::open(text.join("model.safetensors")).map_err(Error::Weights)?;
        let path = at.join("config.json");
        let mut config: Value = read_json(&path)?;
        config["text_model"] = json!({ "name": name, "sha256": weights.sha256() });
        write_text(&path, &pretty(&config))
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "audiogen: descriptions to sounds; codec and text are model folders of their own".to_owned()),
            ("layers", format!("{}, {} heads, {} wide inside", config.num_hidden_layers, config.num_attention_heads, config.ffn_dim)),
            ("width", config.hidden_size.to_string()),
            ("codes", format!("{} codebooks of {}", config.num_codebooks, config.vocab_size)),
            ("longest at once", format!("{} s", self.generation.window_seconds)),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes, int8 with one f32 scale per output channel")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "Sounds from text for the Ossicle runtime, made by `ossicle-quantize audiogen`.", &rows, notes)
    }

    /// Weights and configuration into a folder that is there, once the runtime has opened them and taken a step.
    ///
    /// # Errors
    /// The runtime does not take what was written, or the disk refuses.
    pub fn put(&self, at: &Path) -> Result<(), Error> {
        folder::put(at, &self.path, "audiogen", &self.config, &self.tensors())?;
        let tokens = vec![self.config.vocab_size as u32; self.config.num_codebooks];
        let logits = self.run(at, &tokens, &vec![0.5; self.config.text_size])?;
        match logits.iter().all(|logit| logit.is_finite()) {
            true => Ok(()),
            false => Err(Error::unsupported(&self.path, "the runtime's logits are not finite numbers")),
        }
    }

    /// The logits after each step of a sequence as the runtime computes them, with the description and without:
    /// `[steps][2][codebooks][codes]`.
    ///
    /// # Errors
    /// The runtime does not take the folder or the sequence.
    pub fn run(&self, folder: &Path, tokens: &[u32], text: &[f32]) -> Result<Vec<f32>, Error> {
        let run = || -> Result<Vec<f32>, GraphError> {
            let steps = tokens.len() / self.config.num_codebooks;
            let limits = Limits { rows: 2, steps, text: (text.len() / self.config.text_size).max(1) };
            let mut graph = AudiogenGraph::new(ModelFolder::open(folder)?, Options { isa: Isa::detect(), threads: 1 }, limits)?;
            graph.start(text)?;
            let mut logits = vec![];
            for tokens in tokens.chunks_exact(self.config.num_codebooks) {
                logits.extend_from_slice(graph.step(tokens)?);
            }
            Ok(logits)
        };
        run().map_err(|error| Error::unsupported(&self.path, format!("the runtime does not take this model: {}", refusal(error))))
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (width, inner) = (self.config.hidden_size, self.config.ffn_dim);
        let mut tensors = vec![];
        let matrix = |weights: &[f32], inputs| Dense { weights: weights.to_vec(), bias: vec![], inputs };
        for (k, embedding) in self.embeddings.iter().enumerate() {
            matrix(embedding, width).put(&mut tensors, &format!("embed.{k}"));
        }
        let steps = self.config.max_position_embeddings;
        let positions = (0..steps).flat_map(|at| self.position(at)).collect();
        tensors.push(Tensor::floats("positions".into(), vec![steps, width], positions));
        for (i, layer) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{i}.{part}");
            layer.self_norm.put(&mut tensors, &name("self_norm"));
            layer.cross_norm.put(&mut tensors, &name("cross_norm"));
            layer.forward_norm.put(&mut tensors, &name("forward_norm"));
            for (part, weights, inputs) in [
                ("qkv", &layer.qkv, width),
                ("out", &layer.out, width),
                ("cross_query", &layer.cross_query, width),
                ("cross_kv", &layer.cross_kv, width),
                ("cross_out", &layer.cross_out, width),
                ("up", &layer.up, width),
                ("down", &layer.down, inner),
            ] {
                matrix(weights, inputs).put(&mut tensors, &name(part));
            }
        }
        self.norm.put(&mut tensors, "norm");
        matrix(&self.heads, width).put(&mut tensors, "heads");
        if let Some((weight, bias)) = &self.text_projection {
            let layer = Dense { weights: weight.clone(), bias: bias.clone(), inputs: self.config.text_size };
            layer.put(&mut tensors, "text_projection");
        }
        tensors
    }
}

/// Copies a model folder's files, and checks them.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let io = |e| Error::io(from, e);
    fs::create_dir(to).map_err(|e| Error::io(to, e))?;
    for entry in fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(io)?;
        }
    }
    ossicle_models::folder::verify(to).map_err(Error::Weights)
}

/// Which part does not fit, without the draft's path, which is gone when this is read.
fn parts_refused(error: GenerateError) -> String {
    match error {
        GenerateError::Parts { problem, .. } => problem,
        GenerateError::Folder(error) => refusal(error.into()),
        GenerateError::Graph(error) => refusal(error),
        GenerateError::Tokenizer { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
