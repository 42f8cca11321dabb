//! `ossicle-quantize audiogen`: a language model over codes, from Hugging Face's MusicGen or audiocraft, as a model folder.

mod float;
mod read;
mod write;

pub use write::{Codes, Task, Text};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle::generate::Recommended;
use ossicle_models::audiogen::AudiogenConfig;

use crate::Error;
use crate::norm::Norm;
use crate::source::read as read_file;
use crate::sources::taken::Tensors;
use crate::sources::{checkpoint, pickle};

/// audiocraft's file.
const AUDIOCRAFT: &str = "state_dict.bin";

/// One layer; matrices are `[outputs][inputs]`.
#[derive(Clone, Debug)]
struct Layer {
    self_norm: Norm,
    /// Queries, keys and values.
    qkv: Vec<f32>,
    out: Vec<f32>,
    cross_norm: Norm,
    cross_query: Vec<f32>,
    /// Keys and values.
    cross_kv: Vec<f32>,
    cross_out: Vec<f32>,
    forward_norm: Norm,
    up: Vec<f32>,
    down: Vec<f32>,
}

/// A language model as read.
#[derive(Debug)]
pub struct LanguageModel {
    path: PathBuf,
    config: AudiogenConfig,
    /// `[codes + 1][hidden_size]` of each codebook.
    embeddings: Vec<Vec<f32>>,
    layers: Vec<Layer>,
    norm: Norm,
    /// `[codebooks][codes][hidden_size]`
    heads: Vec<f32>,
    /// Weight and bias.
    text_projection: Option<(Vec<f32>, Vec<f32>)>,
    /// How it is meant to be drawn from: `generation_config.json` of the model folder.
    generation: Recommended,
}

/// What a model recommends that was trained on pieces of so many seconds; the stride is audiocraft's.
fn of_window(seconds: f64) -> Recommended {
    let window_seconds = seconds.clamp(1.0, 30.0);
    let stride = if window_seconds < 30.0 { 2.0 } else { 18.0 };
    Recommended { window_seconds, stride_seconds: f64::min(stride, window_seconds / 2.0), ..Recommended::default() }
}

impl LanguageModel {
    /// Reads a folder with Hugging Face's `config.json` and weights (a MusicGen, or its decoder alone), or with audiocraft's `state_dict.bin`, or
    /// such a file itself.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do.
    pub fn open(source: &Path) -> Result<Self, Error> {
        let package = if source.is_file() { Some(source.to_owned()) } else { Some(source.join(AUDIOCRAFT)).filter(|path| path.is_file()) };
        match package {
            Some(path) => {
                let package = pickle::parse_package(&path, Arc::new(read_file(&path)?), |_| true)?;
                let Some(settings) = package.texts.get("xp.cfg") else {
                    return Err(Error::unsupported(&path, "it has no xp.cfg: export it with audiocraft.utils.export.export_lm"));
                };
                read::audiocraft(&path, settings, Tensors::new(&path, package.tensors))
            }
            None => {
                // The other parts of a MusicGen are read by their own importers.
                let other = |name: &str| name.starts_with("audio_encoder.") || name.starts_with("text_encoder.");
                read::hugging_face(source, Tensors::new(source, checkpoint::tensors(source, |name| !other(name))?))
            }
        }
    }

    /// The runtime's configuration.
    pub fn config(&self) -> &AudiogenConfig {
        &self.config
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let norm = |norm: &Norm| norm.weight.len() + norm.bias.len();
        let layers = self.layers.iter().map(|layer| {
            let matrices = [&layer.qkv, &layer.out, &layer.cross_query, &layer.cross_kv, &layer.cross_out, &layer.up, &layer.down];
            let norms = [&layer.self_norm, &layer.cross_norm, &layer.forward_norm];
            matrices.iter().map(|matrix| matrix.len()).sum::<usize>() + norms.iter().map(|own| norm(own)).sum::<usize>()
        });
        let projection = self.text_projection.as_ref().map_or(0, |(weight, bias)| weight.len() + bias.len());
        let embeddings = self.embeddings.iter().map(Vec::len).sum::<usize>();
        embeddings + layers.sum::<usize>() + norm(&self.norm) + self.heads.len() + projection
    }
}
