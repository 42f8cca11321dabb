//! Reads a Hugging Face Whisper checkpoint: `config.json`, safetensors in one file or several,
//! `generation_config.json` and `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::error::TensorProblem;
use crate::float::{FloatModel, Tensor, WhisperConfig};
use crate::generation::{GenerationConfig, Lists};
use crate::source::{Format, Source, read_json, read_tokenizer};
use crate::sources::checkpoint;

const EMBEDDING: &str = "model.decoder.embed_tokens.weight";
const PROJECTION: &str = "proj_out.weight";

/// The lists may be absent or null; fine-tuned checkpoints often drop them.
#[derive(Default, Deserialize)]
struct Generation {
    alignment_heads: Option<Vec<[usize; 2]>>,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    is_multilingual: Option<bool>,
    short_windows: Option<Value>,
}

/// Opens a Hugging Face Whisper folder.
///
/// # Errors
/// A file is missing or malformed, or the checkpoint is not a plain Whisper.
pub fn open(folder: &Path) -> Result<Source, Error> {
    let config_path = folder.join("config.json");
    let raw: Value = read_json(&config_path)?;
    let config: WhisperConfig = Deserialize::deserialize(&raw).map_err(|e| Error::json(&config_path, e))?;
    config.check().map_err(|reason| Error::json(&config_path, reason))?;
    let (tokenizer_path, tokenizer, tokens) = read_tokenizer(folder)?;
    let generation_path = folder.join("generation_config.json");
    // Checkpoints older than generation_config.json keep the lists in config.json.
    let (lists_path, lists) = if generation_path.is_file() {
        (generation_path.clone(), read_json(&generation_path)?)
    } else {
        let lists = Deserialize::deserialize(&raw).map_err(|e| Error::json(&config_path, e))?;
        (config_path, lists)
    };
    let generation = GenerationConfig::new(&config, lists_of(lists), &lists_path, &tokens, &tokenizer_path)?;
    let model = FloatModel::new(folder, config, tensors(folder)?)?;
    Ok(Source { path: folder.to_owned(), format: Format::HuggingFace, model, generation, tokenizer })
}

fn lists_of(g: Generation) -> Lists {
    // Some checkpoints write [-1] for "the tokenizer's default set", which means none here.
    let ids = |list: Option<Vec<i64>>| {
        list.unwrap_or_default().into_iter().filter(|id| *id >= 0).map(|id| u32::try_from(id).unwrap_or(u32::MAX)).collect()
    };
    Lists {
        alignment_heads: g.alignment_heads.unwrap_or_default(),
        begin_suppress_tokens: ids(g.begin_suppress_tokens),
        suppress_tokens: ids(g.suppress_tokens),
        is_multilingual: g.is_multilingual,
        short_windows: g.short_windows,
    }
}

fn tensors(folder: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    let mut all = checkpoint::tensors(folder, |_| true)?;
    // Checkpoints saved from the bare encoder-decoder lack the outer module's prefix.
    if all.keys().any(|name| name.starts_with("encoder.")) {
        all = all.into_iter().map(|(name, tensor)| (format!("model.{name}"), tensor)).collect();
    }
    if let Some(projection) = all.remove(PROJECTION) {
        let tied = all.get(EMBEDDING).is_some_and(|e| e.shape() == projection.shape() && e.to_f32() == projection.to_f32());
        if !tied {
            return Err(Error::tensor(folder, PROJECTION, TensorProblem::Untied));
        }
    }
    Ok(all)
}
