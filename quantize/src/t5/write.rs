//! An encoder as a model folder.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::t5::T5Graph;
use ossicle_models::{GraphError, Options};

use super::Encoder;
use crate::dense::Dense;
use crate::folder::{self, Partial, Task, write_text};
use crate::tensors::Tensor;
use crate::{Error, card, refusal};

impl Encoder {
    /// Writes the model folder, all of it or none, once the runtime has opened it and run it.
    ///
    /// # Errors
    /// The folder exists, there is no tokenizer, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<(), Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        self.put(&at)?;
        self.complete(&at, folder, &task.notes)?;
        partial.publish(folder)
    }

    /// The tokenizer, the card and the sums.
    pub(crate) fn complete(&self, at: &Path, folder: &Path, notes: &str) -> Result<(), Error> {
        let Some((_, tokenizer)) = &self.tokenizer else { return Err(Error::unsupported(&self.path, "there is no tokenizer.json")) };
        write_text(&at.join("tokenizer.json"), tokenizer)?;
        folder::complete(at, folder, |name, bytes| self.card(name, bytes, notes))
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "t5: a text's tokens to rows".to_owned()),
            ("layers", format!("{}, {} heads, {} wide inside", config.num_layers, config.num_heads, config.d_ff)),
            ("width", config.d_model.to_string()),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes, int8 with one f32 scale per output channel")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "T5's encoder for the Ossicle runtime, made by `ossicle-quantize t5`.", &rows, notes)
    }

    /// Weights and configuration into a folder that is there, once the runtime has opened them and run.
    ///
    /// # Errors
    /// The runtime does not take what was written, or the disk refuses.
    pub fn put(&self, at: &Path) -> Result<(), Error> {
        folder::put(at, &self.path, "t5", &self.config, &self.tensors())?;
        match self.run(at, &[0, 1])?.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(Error::unsupported(&self.path, "the runtime's rows are not finite numbers")),
        }
    }

    /// The rows of a text's tokens as the runtime computes them.
    ///
    /// # Errors
    /// The runtime does not take the folder or the tokens.
    pub fn run(&self, folder: &Path, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let run = || -> Result<Vec<f32>, GraphError> {
            let mut graph = T5Graph::new(ModelFolder::open(folder)?, Options { isa: Isa::detect(), threads: 1 })?;
            graph.run(tokens).map(<[f32]>::to_vec)
        };
        run().map_err(|error| Error::unsupported(&self.path, format!("the runtime does not take this model: {}", refusal(error))))
    }

    fn tensors(&self) -> Vec<Tensor> {
        let config = &self.config;
        let (width, inner) = (config.d_model, config.inner());
        let mut tensors = vec![];
        let matrix = |weights: &[f32], inputs| Dense { weights: weights.to_vec(), bias: vec![], inputs };
        let norm = |weight: &[f32], name: &str| Tensor::floats(format!("{name}.weight"), vec![width], weight.to_vec());
        matrix(&self.embedding, width).put(&mut tensors, "embed");
        let (far, distances) = (config.max_distance.cast_signed(), config.distances());
        let mut bias = vec![];
        for head in 0..config.num_heads {
            bias.extend((-far..=far).map(|distance| self.bias_of(head, distance)));
            bias.resize((head + 1) * distances, 0.0);
        }
        tensors.push(Tensor::floats("position_bias".into(), vec![config.num_heads, distances], bias));
        for (i, layer) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{i}.{part}");
            tensors.push(norm(&layer.norm, &name("norm")));
            matrix(&layer.qkv, width).put(&mut tensors, &name("qkv"));
            matrix(&layer.out, inner).put(&mut tensors, &name("out"));
            tensors.push(norm(&layer.forward_norm, &name("forward_norm")));
            matrix(&layer.up, width).put(&mut tensors, &name("up"));
            matrix(&layer.down, config.d_ff).put(&mut tensors, &name("down"));
        }
        tensors.push(norm(&self.norm, "norm"));
        tensors
    }
}
