//! The tensors of a Hugging Face folder: safetensors in one file or several, or PyTorch's own files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::{pickle, safetensors};
use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;
use crate::source::{read, read_json};

/// An unsharded checkpoint as `torch.save` writes it, and the index of a sharded one.
const PYTORCH: &str = "pytorch_model.bin";
const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// All tensors whose names `wanted` takes. Safetensors are preferred where both kinds of files are there.
///
/// # Errors
/// A file is missing or malformed, holds a tensor that is not of floats, or an index names what is not there.
pub(crate) fn tensors(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>, Error> {
    for index in [safetensors::INDEX, PYTORCH_INDEX] {
        if folder.join(index).is_file() {
            return sharded(folder, index, &wanted);
        }
        let single = if index == safetensors::INDEX { safetensors::SINGLE } else { PYTORCH };
        if folder.join(single).is_file() {
            return file(&folder.join(single), &wanted);
        }
    }
    // The error names what is expected.
    file(&folder.join(safetensors::SINGLE), &wanted)
}

fn sharded(folder: &Path, index: &str, wanted: &impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>, Error> {
    let index_path = folder.join(index);
    let index: Index = read_json(&index_path)?;
    let mut shards: Vec<&String> = index.weight_map.values().collect();
    shards.sort_unstable();
    shards.dedup();
    let mut all = BTreeMap::new();
    for shard in shards {
        if Path::new(shard).file_name() != Some(shard.as_ref()) {
            return Err(Error::json(&index_path, format!("weight_map names {shard:?}, expected a file of the same folder")));
        }
        let path = folder.join(shard);
        for (name, tensor) in file(&path, wanted)? {
            if index.weight_map.get(&name) != Some(shard) {
                return Err(Error::tensor(&path, &name, TensorProblem::Unexpected));
            }
            all.insert(name, tensor);
        }
    }
    match index.weight_map.iter().find(|(name, _)| wanted(name) && !all.contains_key(*name)) {
        Some((name, shard)) => Err(Error::tensor(&folder.join(shard), name, TensorProblem::Missing)),
        None => Ok(all),
    }
}

/// The tensors of one file; a name that ends in `.safetensors` tells which kind it is.
///
/// # Errors
/// As [`tensors`].
pub(crate) fn file(path: &Path, wanted: &impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>, Error> {
    let bytes = Arc::new(read(path)?);
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        safetensors::parse_wanted(path, bytes, wanted)
    } else {
        pickle::parse_wanted(path, bytes, wanted)
    }
}
