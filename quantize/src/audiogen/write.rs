//! A language model as a model folder.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::audiogen::{AudiogenGraph, Limits};
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::{GraphError, Options};
use serde_json::json;

use super::{LanguageModel, Norm};
use crate::dense::Dense;
use crate::folder::{pretty, write_text};
use crate::tensors::{self, Tensor};
use crate::{Error, refusal};

impl LanguageModel {
    /// Weights and configuration into a folder that is there, once the runtime has opened them and taken a step.
    ///
    /// # Errors
    /// The runtime does not take what was written, or the disk refuses.
    pub fn put(&self, at: &Path) -> Result<(), Error> {
        tensors::write(&at.join("model.safetensors"), &self.path, &self.tensors())?;
        let mut config = serde_json::to_value(&self.config).map_err(|e| Error::json(&self.path, e))?;
        config["kind"] = json!("audiogen");
        config["numerics_version"] = json!(NUMERICS_VERSION);
        write_text(&at.join("config.json"), &pretty(&config))?;
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

impl Norm {
    fn put(&self, tensors: &mut Vec<Tensor>, name: &str) {
        tensors.push(Tensor::floats(format!("{name}.weight"), vec![self.weight.len()], self.weight.clone()));
        tensors.push(Tensor::floats(format!("{name}.bias"), vec![self.bias.len()], self.bias.clone()));
    }
}
