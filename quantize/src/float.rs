//! The float model every importer produces: a configuration and tensors under Hugging Face names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use ossicle_frontend::mel::LogMel;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{self, ModelConfig};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::TensorProblem;

/// Float element type of a source tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
}

impl Float {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A float tensor that stays in its file's own bytes until it is asked for.
#[derive(Clone, Debug)]
pub struct Tensor {
    file: Arc<Vec<u8>>,
    bytes: Range<usize>,
    float: Float,
    shape: Vec<usize>,
}

impl Tensor {
    /// A view of `bytes` in `file`; none when the range does not fit the file or the shape.
    pub fn new(file: &Arc<Vec<u8>>, bytes: Range<usize>, float: Float, shape: Vec<usize>) -> Option<Self> {
        let need = shape.iter().try_fold(float.size(), |n, &d| n.checked_mul(d))?;
        let fits = bytes.start <= bytes.end && bytes.end <= file.len() && bytes.len() == need;
        fits.then(|| Self { file: file.clone(), bytes, float, shape })
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.float.size()
    }

    /// True when the tensor has no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes the tensor takes in its source file.
    pub fn source_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Rows `rows` of the outermost dimension as a tensor of their own; none when out of range.
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let (&n, inner) = self.shape.split_first()?;
        if rows.start > rows.end || rows.end > n {
            return None;
        }
        let row = inner.iter().product::<usize>() * self.float.size();
        let mut shape = self.shape.clone();
        shape[0] = rows.len();
        let start = self.bytes.start;
        Self::new(&self.file, start + rows.start * row..start + rows.end * row, self.float, shape)
    }

    /// All elements as f32, row-major. Exact: f16 and bf16 are subsets of f32.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = &self.file[self.bytes.clone()];
        match self.float {
            Float::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Float::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Float::Bf16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        }
    }
}

/// The shape of a Whisper model, with Hugging Face's field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhisperConfig {
    /// Always `whisper`.
    pub model_type: String,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Encoder blocks.
    pub encoder_layers: usize,
    /// Heads of the encoder's attention.
    pub encoder_attention_heads: usize,
    /// Width inside the encoder's feed-forward blocks.
    pub encoder_ffn_dim: usize,
    /// Decoder blocks.
    pub decoder_layers: usize,
    /// Heads of the decoder's attention.
    pub decoder_attention_heads: usize,
    /// Width inside the decoder's feed-forward blocks.
    pub decoder_ffn_dim: usize,
    /// Mel bins of one frame: 80, or 128 for large-v3.
    pub num_mel_bins: usize,
    /// Encoder positions; two frames each.
    pub max_source_positions: usize,
    /// Decoder positions.
    pub max_target_positions: usize,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Always `gelu` (the exact one).
    #[serde(default = "gelu")]
    pub activation_function: String,
    /// Always false.
    #[serde(default)]
    pub scale_embedding: bool,
}

fn gelu() -> String {
    "gelu".to_owned()
}

impl WhisperConfig {
    /// Checks that the numbers make a model that the runtime takes, by the runtime's own limits.
    ///
    /// # Errors
    /// The first field that is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.model_type != "whisper" {
            return Err(format!("model_type is {:?}, expected \"whisper\"", self.model_type));
        }
        if self.activation_function != "gelu" {
            return Err(format!("activation_function is {:?}, expected \"gelu\"", self.activation_function));
        }
        if self.scale_embedding {
            return Err("scale_embedding is true, expected false".to_owned());
        }
        if LogMel::new(Isa::detect(), self.num_mel_bins).is_err() {
            return Err(format!("num_mel_bins is {}, expected 80 or 128", self.num_mel_bins));
        }
        self.at_runtime().problem().map_or(Ok(()), Err)
    }

    /// What the runtime will read.
    fn at_runtime(&self) -> folder::WhisperConfig {
        folder::WhisperConfig {
            d_model: self.d_model,
            encoder_layers: self.encoder_layers,
            encoder_attention_heads: self.encoder_attention_heads,
            encoder_ffn_dim: self.encoder_ffn_dim,
            decoder_layers: self.decoder_layers,
            decoder_attention_heads: self.decoder_attention_heads,
            decoder_ffn_dim: self.decoder_ffn_dim,
            num_mel_bins: self.num_mel_bins,
            max_source_positions: self.max_source_positions,
            max_target_positions: self.max_target_positions,
            vocab_size: self.vocab_size,
        }
    }

    /// Every tensor of such a model with its shape, in the order they are used.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.d_model;
        let mut list = Vec::new();
        let mut add = |name: String, shape: &[usize]| list.push((name, shape.to_vec()));
        for (conv, inputs) in [("conv1", self.num_mel_bins), ("conv2", d)] {
            add(format!("model.encoder.{conv}.weight"), &[d, inputs, CONV_TAPS]);
            add(format!("model.encoder.{conv}.bias"), &[d]);
        }
        add("model.encoder.embed_positions.weight".to_owned(), &[self.max_source_positions, d]);
        add("model.decoder.embed_tokens.weight".to_owned(), &[self.vocab_size, d]);
        add("model.decoder.embed_positions.weight".to_owned(), &[self.max_target_positions, d]);
        let stacks = [
            ("encoder", self.encoder_layers, self.encoder_ffn_dim, &["self_attn"][..]),
            ("decoder", self.decoder_layers, self.decoder_ffn_dim, &["self_attn", "encoder_attn"][..]),
        ];
        for (stack, layers, ffn, attentions) in stacks {
            for i in 0..layers {
                let layer = format!("model.{stack}.layers.{i}");
                for attention in attentions {
                    for part in ["weight", "bias"] {
                        add(format!("{layer}.{attention}_layer_norm.{part}"), &[d]);
                    }
                    for linear in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                        add(format!("{layer}.{attention}.{linear}.weight"), &[d, d]);
                        if linear != "k_proj" {
                            add(format!("{layer}.{attention}.{linear}.bias"), &[d]);
                        }
                    }
                }
                for part in ["weight", "bias"] {
                    add(format!("{layer}.final_layer_norm.{part}"), &[d]);
                }
                add(format!("{layer}.fc1.weight"), &[ffn, d]);
                add(format!("{layer}.fc1.bias"), &[ffn]);
                add(format!("{layer}.fc2.weight"), &[d, ffn]);
                add(format!("{layer}.fc2.bias"), &[d]);
            }
            for part in ["weight", "bias"] {
                add(format!("model.{stack}.layer_norm.{part}"), &[d]);
            }
        }
        list
    }

    /// The shape of one tensor of the model; none when it has no such tensor.
    pub fn shape_of(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors().into_iter().find(|(n, _)| n == name).map(|(_, shape)| shape)
    }
}

/// Kernel width of both convolutions.
pub const CONV_TAPS: usize = 3;

/// A Whisper checkpoint: every tensor of [`WhisperConfig::tensors`] is present with that shape.
///
/// `k_proj.bias` may be present too: original checkpoints have none, some fine-tuned ones do.
#[derive(Clone, Debug)]
pub struct FloatModel {
    path: PathBuf,
    config: WhisperConfig,
    tensors: BTreeMap<String, Tensor>,
}

impl FloatModel {
    /// Takes the tensors read from `path` and checks them against the configuration.
    ///
    /// # Errors
    /// A configuration out of range, a missing, misshapen or unknown tensor.
    pub fn new(path: &Path, config: WhisperConfig, tensors: BTreeMap<String, Tensor>) -> Result<Self, Error> {
        config.check().map_err(|reason| Error::unsupported(path, reason))?;
        let mut known = std::collections::BTreeSet::new();
        for (name, expected) in config.tensors() {
            let tensor = tensors.get(&name).ok_or_else(|| Error::tensor(path, &name, TensorProblem::Missing))?;
            check_shape(path, &name, tensor, &expected)?;
            known.insert(name);
        }
        for (name, tensor) in &tensors {
            if name.ends_with(".k_proj.bias") {
                let layer = name.replace(".k_proj.bias", ".k_proj.weight");
                if known.contains(&layer) {
                    check_shape(path, name, tensor, &[config.d_model])?;
                    continue;
                }
            }
            if !known.contains(name) {
                return Err(Error::tensor(path, name, TensorProblem::Unexpected));
            }
        }
        Ok(Self { path: path.to_owned(), config, tensors })
    }

    /// The model's shape.
    pub fn config(&self) -> &WhisperConfig {
        &self.config
    }

    /// The file or folder the tensors came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names and tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// True when the checkpoint has that tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Number of parameters, each tied one counted once.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(Tensor::len).sum()
    }

    /// The elements of a tensor as f32.
    ///
    /// # Errors
    /// The tensor is missing or holds NaN or infinity.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, Error> {
        let tensor = self.tensors.get(name).ok_or_else(|| Error::tensor(&self.path, name, TensorProblem::Missing))?;
        let values = tensor.to_f32();
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::tensor(&self.path, name, TensorProblem::NotFinite { index })),
        }
    }
}

pub(crate) fn check_shape(path: &Path, name: &str, tensor: &Tensor, expected: &[usize]) -> Result<(), Error> {
    if tensor.shape() == expected {
        return Ok(());
    }
    let problem = TensorProblem::Shape { expected: expected.to_vec(), found: tensor.shape().to_vec() };
    Err(Error::tensor(path, name, problem))
}
