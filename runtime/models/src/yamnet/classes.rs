//! Classes of one's own: a linear layer on a YAMNet's embedding, in a folder beside it.

use std::sync::Arc;

use ossicle_engine::GraphError;
use ossicle_engine::weights::{FolderError, LinearSpan, ModelConfig, ModelFolder};
use ossicle_engine::work::{Units, Work};
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::rows::{UnsignedRows, quantize_unsigned_rows};
use ossicle_kernels::simd::{Isa, LANES};
use serde::Deserialize;

use super::config::{YamnetConfig, embedding_sha256};

/// Most classes of a folder.
pub const MAX_CLASSES: usize = 256;

/// `config.json` of a folder of classes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClassesConfig {
    /// Classes; `labels.txt` has a line for each.
    pub num_labels: usize,
    /// Values of the embedding they read.
    pub embedding: usize,
    /// SHA-256 of the `model.safetensors` whose embedding it is, in hexadecimal.
    pub base_sha256: String,
    /// [`embedding_sha256`] of that model: others whose embedding it is will do as well. Folders that were made
    /// before it was written lack it.
    #[serde(default)]
    pub embedding_sha256: Option<String>,
    /// A threshold for each class, above 0 and at most 1.
    pub thresholds: Vec<f32>,
}

impl ModelConfig for ClassesConfig {
    const KIND: &'static str = "yamnet-classes";

    fn problem(&self) -> Option<String> {
        let Self { num_labels, embedding, thresholds, .. } = self;
        if !(1..=MAX_CLASSES).contains(num_labels) {
            return Some(format!("num_labels is {num_labels}, not within 1..={MAX_CLASSES}"));
        }
        if *embedding == 0 || *embedding > 2048 || !embedding.is_multiple_of(LANES) {
            return Some(format!("embedding is {embedding}, not a multiple of {LANES} within {LANES}..=2048"));
        }
        let usable = thresholds.len() == *num_labels && thresholds.iter().all(|&threshold| threshold > 0.0 && threshold <= 1.0);
        (!usable).then(|| format!("thresholds are not {num_labels} numbers above 0 and at most 1"))
    }
}

impl ClassesConfig {
    /// Whether the embedding of the model in `base` is the one that was learned on.
    pub fn is_of(&self, base: &ModelFolder<YamnetConfig>) -> bool {
        self.base_sha256 == base.weights().sha256() || self.embedding_sha256.as_ref().is_some_and(|known| *known == embedding_sha256(base))
    }
}

/// Scores classes from embeddings, by the numerics of the classifier of a YAMNet. Allocates nothing once it is made.
#[derive(Debug)]
pub struct ClassHead {
    folder: Arc<ModelFolder<ClassesConfig>>,
    isa: Isa,
    layer: LinearSpan,
    sums: Arc<[i32]>,
    values: Vec<u8>,
    logits: Vec<f32>,
}

impl ClassHead {
    /// Checks the folder's tensors.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<ClassesConfig>>, isa: Isa) -> Result<Self, FolderError> {
        let &ClassesConfig { num_labels, embedding, .. } = folder.config();
        let layer = folder.weights().linear_span("classifier", num_labels, embedding, true)?;
        let sums = folder.weights().weight_sums("classifier", &layer)?;
        Ok(Self { isa, layer, values: vec![0; embedding], logits: vec![0.0; sums.len()], sums, folder })
    }

    /// The folder's configuration.
    pub fn config(&self) -> &ClassesConfig {
        self.folder.config()
    }

    /// Bytes of the mapped weights.
    pub fn weight_bytes(&self) -> usize {
        self.folder.weights().bytes()
    }

    /// Bytes of what it keeps beside them.
    pub fn state_bytes(&self) -> usize {
        4 * (self.sums.len() + self.logits.len()) + self.values.len()
    }

    /// How much an embedding's scores take to compute.
    pub fn work(&self) -> Work {
        let (depth, outputs) = (self.values.len(), self.logits.len());
        Work::product(1, depth, outputs).and(1, Units { quantize: depth as f64, ..Units::default() })
    }

    /// Scores, each in [0, 1] by itself, of one embedding: values that are finite and not negative.
    ///
    /// # Errors
    /// [`GraphError::Size`] if the embedding has another length.
    pub fn run(&mut self, embedding: &[f32]) -> Result<&[f32], GraphError> {
        let depth = self.values.len();
        if embedding.len() != depth {
            return Err(GraphError::Size { what: "values of an embedding", have: embedding.len(), most: depth });
        }
        let mut scale = [0.0];
        let mut rows = UnsignedRows::new(&mut self.values, &mut scale, 1, depth);
        quantize_unsigned_rows(self.isa, embedding, &mut rows);
        linear_u8(self.isa, rows.as_rows(&self.sums), rows.scales, &self.folder.weights().linear(&self.layer), false, &mut self.logits);
        let scores = &mut self.logits[..self.folder.config().num_labels];
        sigmoid_all(self.isa, scores);
        Ok(scores)
    }
}
