//! Maps a CTranslate2 Whisper file to Hugging Face names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::Error;
use crate::ct2::{self, Container, Dtype, Variable};
use crate::error::TensorProblem;
use crate::float::{Float, FloatModel, Tensor, WhisperConfig, check_shape};
use crate::generation::{GenerationConfig, Lists};
use crate::source::{Format, Source, read, read_json, read_tokenizer};

/// CTranslate2's id of the exact GELU.
const ACTIVATION_GELU: i64 = 3;

/// Scalars that change what the model computes, with the value the runtime's Whisper has.
const REQUIRED_SCALARS: [(&str, i64); 9] = [
    ("decoder/activation", ACTIVATION_GELU),
    ("encoder/activation", ACTIVATION_GELU),
    ("decoder/alibi", 0),
    ("decoder/multi_query_attention", 0),
    ("encoder/multi_query_attention", 0),
    ("decoder/pre_norm", 1),
    ("encoder/pre_norm", 1),
    ("decoder/scale_embeddings", 0),
    ("decoder/start_from_zero_embedding", 0),
];
/// Scalars that do not: the heads to export attention from come from `config.json`.
const IGNORED_SCALARS: [&str; 3] = ["decoder/alignment_heads", "decoder/alignment_layer", "decoder/alibi_use_positive_positions"];
const HEADS: [&str; 2] = ["encoder/num_heads", "decoder/num_heads"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    alignment_heads: Vec<[usize; 2]>,
    #[serde(default)]
    suppress_ids: Vec<u32>,
    #[serde(default)]
    suppress_ids_begin: Vec<u32>,
}

pub(crate) fn open(folder: &Path) -> Result<Source, Error> {
    let config_path = folder.join("config.json");
    let lists: Config = read_json(&config_path)?;
    let (tokenizer_path, tokenizer, tokens) = read_tokenizer(folder)?;
    let model = model(&folder.join("model.bin"))?;
    let lists = Lists {
        alignment_heads: lists.alignment_heads,
        begin_suppress_tokens: lists.suppress_ids_begin,
        suppress_tokens: lists.suppress_ids,
        is_multilingual: None,
        short_windows: None,
    };
    let generation = GenerationConfig::new(model.config(), lists, &config_path, &tokens, &tokenizer_path)?;
    Ok(Source { path: folder.to_owned(), format: Format::CTranslate2, model, generation, tokenizer })
}

fn model(path: &Path) -> Result<FloatModel, Error> {
    let file = Arc::new(read(path)?);
    let mut container = ct2::parse(&file).map_err(|source| Error::Ct2 { path: path.to_owned(), source })?;
    let mut reader = Mapping { path, file, vars: std::mem::take(&mut container.variables), out: BTreeMap::new() };
    tied(path, &container)?;
    let config = reader.config()?;
    config.check().map_err(|reason| Error::unsupported(path, reason))?;
    reader.map(&config)?;
    reader.leftovers()?;
    FloatModel::new(path, config, reader.out)
}

/// The one alias Whisper has: the output projection is the token embedding.
fn tied(path: &Path, container: &Container) -> Result<(), Error> {
    for (alias, target) in &container.aliases {
        if alias != "decoder/projection/weight" || target != "decoder/embeddings/weight" {
            return Err(Error::unsupported(path, format!("alias {alias} -> {target} is not part of Whisper")));
        }
    }
    Ok(())
}

struct Mapping<'a> {
    path: &'a Path,
    file: Arc<Vec<u8>>,
    vars: BTreeMap<String, Variable>,
    out: BTreeMap<String, Tensor>,
}

impl Mapping<'_> {
    fn missing(&self, name: &str) -> Error {
        Error::tensor(self.path, name, TensorProblem::Missing)
    }

    fn dim(&self, name: &str, axis: usize) -> Result<usize, Error> {
        let var = self.vars.get(name).ok_or_else(|| self.missing(name))?;
        var.dims.get(axis).copied().ok_or_else(|| {
            let problem = TensorProblem::Shape { expected: vec![0; axis + 1], found: var.dims.clone() };
            Error::tensor(self.path, name, problem)
        })
    }

    /// An integer scalar, which is then used up.
    fn scalar(&mut self, name: &str) -> Result<Option<i64>, Error> {
        let Some(var) = self.vars.remove(name) else {
            return Ok(None);
        };
        let bytes = &self.file[var.bytes.clone()];
        let value = match (var.dtype, bytes) {
            (Dtype::I8, [b]) => i64::from(b.cast_signed()),
            (Dtype::I16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
            (Dtype::I32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
            _ => {
                let what = format!("{name} is {:?} of shape {:?}, expected one integer", var.dtype, var.dims);
                return Err(Error::unsupported(self.path, what));
            }
        };
        Ok(Some(value))
    }

    fn heads(&mut self, name: &str) -> Result<usize, Error> {
        let value = self.scalar(name)?.ok_or_else(|| self.missing(name))?;
        usize::try_from(value).map_err(|_| Error::unsupported(self.path, format!("{name} is {value}, expected a count")))
    }

    fn layers(&self, stack: &str) -> usize {
        let exists = |i: &usize| {
            let prefix = format!("{stack}/layer_{i}/");
            self.vars.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
        };
        (0..).take_while(exists).count()
    }

    fn config(&mut self) -> Result<WhisperConfig, Error> {
        for (name, expected) in REQUIRED_SCALARS {
            match self.scalar(name)? {
                Some(found) if found != expected => {
                    return Err(Error::unsupported(self.path, format!("{name} is {found}, expected {expected}")));
                }
                _ => {}
            }
        }
        for name in IGNORED_SCALARS {
            self.scalar(name)?;
        }
        let [encoder_attention_heads, decoder_attention_heads] = [self.heads(HEADS[0])?, self.heads(HEADS[1])?];
        Ok(WhisperConfig {
            model_type: "whisper".to_owned(),
            d_model: self.dim("decoder/embeddings/weight", 1)?,
            encoder_layers: self.layers("encoder"),
            encoder_attention_heads,
            encoder_ffn_dim: self.dim("encoder/layer_0/ffn/linear_0/weight", 0)?,
            decoder_layers: self.layers("decoder"),
            decoder_attention_heads,
            decoder_ffn_dim: self.dim("decoder/layer_0/ffn/linear_0/weight", 0)?,
            num_mel_bins: self.dim("encoder/conv1/weight", 1)?,
            max_source_positions: self.dim("encoder/position_encodings/encodings", 0)?,
            max_target_positions: self.dim("decoder/position_encodings/encodings", 0)?,
            vocab_size: self.dim("decoder/embeddings/weight", 0)?,
            activation_function: "gelu".to_owned(),
            scale_embedding: false,
        })
    }

    /// A float variable of the file, which is then used up.
    fn take(&mut self, name: &str) -> Result<Tensor, Error> {
        let var = self.vars.remove(name).ok_or_else(|| self.missing(name))?;
        let float = match var.dtype {
            Dtype::F32 => Float::F32,
            Dtype::F16 => Float::F16,
            Dtype::Bf16 => Float::Bf16,
            other => {
                let problem = TensorProblem::NotFloat(format!("{other:?}").to_lowercase());
                return Err(Error::tensor(self.path, name, problem));
            }
        };
        let found = var.dims.clone();
        Tensor::new(&self.file, var.bytes, float, var.dims)
            .ok_or_else(|| Error::tensor(self.path, name, TensorProblem::Shape { expected: Vec::new(), found }))
    }

    fn copy(&mut self, from: &str, to: String) -> Result<(), Error> {
        let tensor = self.take(from)?;
        self.out.insert(to, tensor);
        Ok(())
    }

    fn linear(&mut self, from: &str, to: &str) -> Result<(), Error> {
        for part in ["weight", "bias"] {
            self.copy(&format!("{from}/{part}"), format!("{to}.{part}"))?;
        }
        Ok(())
    }

    fn norm(&mut self, from: &str, to: &str) -> Result<(), Error> {
        self.copy(&format!("{from}/gamma"), format!("{to}.weight"))?;
        self.copy(&format!("{from}/beta"), format!("{to}.bias"))
    }

    /// A layer whose rows are several layers stacked; a key bias of zeros is dropped, as originals
    /// have none.
    fn split(&mut self, from: &str, to: &str, parts: &[&str], d: usize) -> Result<(), Error> {
        for (kind, row) in [("weight", Some(d)), ("bias", None)] {
            let name = format!("{from}/{kind}");
            let tensor = self.take(&name)?;
            let expected: Vec<usize> = std::iter::once(parts.len() * d).chain(row).collect();
            check_shape(self.path, &name, &tensor, &expected)?;
            for (i, part) in parts.iter().enumerate() {
                let rows = tensor.rows(i * d..(i + 1) * d).ok_or_else(|| self.missing(&name))?;
                let absent = kind == "bias" && *part == "k_proj" && rows.to_f32().iter().all(|v| *v == 0.0);
                if !absent {
                    self.out.insert(format!("{to}.{part}.{kind}"), rows);
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, config: &WhisperConfig) -> Result<(), Error> {
        let d = config.d_model;
        for conv in ["conv1", "conv2"] {
            self.linear(&format!("encoder/{conv}"), &format!("model.encoder.{conv}"))?;
        }
        self.copy("decoder/embeddings/weight", "model.decoder.embed_tokens.weight".to_owned())?;
        for (stack, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
            let to = format!("model.{stack}");
            self.copy(&format!("{stack}/position_encodings/encodings"), format!("{to}.embed_positions.weight"))?;
            self.norm(&format!("{stack}/layer_norm"), &format!("{to}.layer_norm"))?;
            for i in 0..layers {
                let from = format!("{stack}/layer_{i}");
                let to = format!("{to}.layers.{i}");
                self.norm(&format!("{from}/self_attention/layer_norm"), &format!("{to}.self_attn_layer_norm"))?;
                let (source, target) = (format!("{from}/self_attention"), format!("{to}.self_attn"));
                self.split(&format!("{source}/linear_0"), &target, &["q_proj", "k_proj", "v_proj"], d)?;
                self.linear(&format!("{source}/linear_1"), &format!("{target}.out_proj"))?;
                if stack == "decoder" {
                    let (source, target) = (format!("{from}/attention"), format!("{to}.encoder_attn"));
                    self.norm(&format!("{source}/layer_norm"), &format!("{to}.encoder_attn_layer_norm"))?;
                    self.split(&format!("{source}/linear_0"), &target, &["q_proj"], d)?;
                    self.split(&format!("{source}/linear_1"), &target, &["k_proj", "v_proj"], d)?;
                    self.linear(&format!("{source}/linear_2"), &format!("{target}.out_proj"))?;
                }
                self.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.final_layer_norm"))?;
                self.linear(&format!("{from}/ffn/linear_0"), &format!("{to}.fc1"))?;
                self.linear(&format!("{from}/ffn/linear_1"), &format!("{to}.fc2"))?;
            }
        }
        Ok(())
    }

    /// A variable nobody asked for would be a silently wrong model.
    fn leftovers(&self) -> Result<(), Error> {
        match self.vars.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::tensor(self.path, name, TensorProblem::Unexpected)),
        }
    }
}
