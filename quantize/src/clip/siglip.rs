//! SigLIP (Zhai et al. 2023): what its checkpoints have that CLIP's have not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::config::{Activation, Config, Defaults, File, ImageConfig, Pooled, Scored, TextConfig, Trunk, Vit};
use super::made;
use crate::Error;
use crate::float::Tensor;
use crate::onnx::builder::Builder;

/// Where the image tower's pooling is.
pub(super) const HEAD: &str = "vision_model.head";

/// What `SiglipConfig` takes for both towers where a file says nothing.
const DEFAULTS: Defaults = Defaults { width: 768, inner: 3072, heads: 12, epsilon: 1e-6, activation: Activation::TanhGelu };

/// What becomes of images where a file says nothing.
pub(super) fn preprocessor() -> Value {
    json!({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]})
}

/// The configuration of a `SiglipModel`.
pub(super) fn config(file: &File) -> Result<Config, String> {
    let (text, vision) = (&file.text_config, &file.vision_config);
    if vision.vision_use_head == Some(false) {
        return Err("vision_config: vision_use_head is false: towers with their pooling are possible".into());
    }
    let blocks = vision.blocks(DEFAULTS).map_err(|e| format!("vision_config: {e}"))?;
    let projection = blocks.width;
    let trunk = Trunk::Vit(Vit { blocks, patch: vision.patch_size.unwrap_or(16), pooled: Pooled::Probe });
    let image = ImageConfig { trunk, side: vision.image_size.unwrap_or(224) };
    let blocks = text.blocks(DEFAULTS).map_err(|e| format!("text_config: {e}"))?;
    let wide = text.projection_size.unwrap_or(blocks.width);
    if wide != projection {
        return Err(format!("texts become {wide} values and images {projection}: one number is possible"));
    }
    let text = TextConfig {
        blocks,
        vocabulary: text.vocab_size.unwrap_or(32_000),
        tokens: text.max_position_embeddings.unwrap_or(64),
        causal: false,
        pad: Some(text.pad_token_id.unwrap_or(1)),
    };
    Ok(Config { projection, image, text, scores: Scored::Sigmoid })
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
