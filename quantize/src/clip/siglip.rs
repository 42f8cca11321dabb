//! SigLIP (Zhai et al. 2023): what its checkpoints have that CLIP's have not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::made;
use crate::Error;
use crate::float::Tensor;
use crate::onnx::builder::Builder;

/// Where the image tower's pooling is.
pub(super) const HEAD: &str = "vision_model.head";

/// What becomes of images where a file says nothing.
pub(super) fn preprocessor() -> Value {
    json!({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})
}

/// The pooling's attention, in which a learned probe looks at all positions, as one in which every position asks what the probe asks: its query is
/// the bias of a layer whose weights are zero.
///
/// # Errors
/// A tensor of it is missing, misshapen or not finite.
pub(super) fn tensors(path: &Path, width: usize, tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, Error> {
    let mut taken = Builder::new(path, tensors);
    let probe = taken.take(&format!("{HEAD}.probe"), &[1, 1, width])?;
    let weight = taken.take(&format!("{HEAD}.attention.in_proj_weight"), &[3 * width, width])?;
    let bias = taken.take(&format!("{HEAD}.attention.in_proj_bias"), &[3 * width])?;
    let mut tensors = taken.into_tensors();
    let (asked, rest) = weight.split_at(width * width);
    let product = |row: &[f32]| row.iter().zip(&probe).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
    let query: Vec<f32> = asked.chunks_exact(width).zip(&bias).map(|(row, bias)| (product(row) + f64::from(*bias)) as f32).collect();
    let parts = [
        ("q_proj", vec![0.0; width * width], query),
        ("k_proj", rest[..width * width].to_vec(), bias[width..2 * width].to_vec()),
        ("v_proj", rest[width * width..].to_vec(), bias[2 * width..].to_vec()),
    ];
    for (part, weight, bias) in parts {
        let name = format!("{HEAD}.attention.{part}");
        tensors.insert(format!("{name}.weight"), made(path, &name, &weight, vec![width, width])?);
        tensors.insert(format!("{name}.bias"), made(path, &name, &bias, vec![width])?);
    }
    Ok(tensors)
}
