//! Tensors of safetensors files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::safetensors::{Dtype, SafeTensors};

use crate::Error;
use crate::error::TensorProblem;
use crate::float::{Float, Tensor};

/// The file of an unsharded checkpoint.
pub const SINGLE: &str = "model.safetensors";
/// The index of a sharded one.
pub const INDEX: &str = "model.safetensors.index.json";

/// The tensors of one safetensors file whose bytes are `file`; `path` is named in errors.
///
/// # Errors
/// The header is malformed or a tensor is not f32, f16 or bf16.
pub fn parse(path: &Path, file: Arc<Vec<u8>>) -> Result<BTreeMap<String, Tensor>, Error> {
    parse_wanted(path, file, |_| true)
}

/// As [`parse`], of the tensors whose names `wanted` takes.
pub(crate) fn parse_wanted(path: &Path, file: Arc<Vec<u8>>, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>, Error> {
    let broken = |reason: String| Error::Safetensors { path: path.to_owned(), reason };
    let (header, metadata) = SafeTensors::read_metadata(&file).map_err(|e| broken(e.to_string()))?;
    let start = size_of::<u64>() + header;
    let mut tensors = BTreeMap::new();
    for (name, info) in metadata.tensors().into_iter().filter(|(name, _)| wanted(name)) {
        let float = match info.dtype {
            Dtype::F32 => Float::F32,
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::Bf16,
            other => {
                let problem = TensorProblem::NotFloat(format!("{other:?}").to_lowercase());
                return Err(Error::tensor(path, &name, problem));
            }
        };
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        let tensor = Tensor::new(&file, bytes, float, info.shape.clone())
            .ok_or_else(|| broken(format!("tensor {name}: offsets do not fit its shape")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
