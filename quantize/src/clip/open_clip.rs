//! open_clip's checkpoints: `open_clip_config.json` and a state dict with OpenAI's names, as Hugging Face's names.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{Activation, Blocks, Config, ImageConfig, Pooled, Scored, TextConfig, Trunk, Vit};
use super::fast_vit::FastVit;
use super::made;
use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;
use crate::source::read_json;
use crate::sources::checkpoint;

/// The configuration's file.
pub(super) const CONFIG: &str = "open_clip_config.json";

/// State dicts, as open_clip names them.
const WEIGHTS: [&str; 4] = ["open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin", "pytorch_model.bin"];

/// Endings of buffers of whole numbers, or of what follows from the configuration.
const UNUSED: [&str; 3] = ["attn_mask", "position_ids", "num_batches_tracked"];

/// Values of a head unless the configuration says otherwise.
const HEAD: usize = 64;

#[derive(Deserialize)]
struct File {
    model_cfg: Model,
    #[serde(default)]
    preprocess_cfg: Preprocess,
}

// What is not read below changes the network in a way that is not done here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    embed_dim: usize,
    vision_cfg: Value,
    text_cfg: Text,
    #[serde(default)]
    quick_gelu: bool,
    // The checkpoint has its own.
    #[serde(rename = "init_logit_scale")]
    _init_logit_scale: Option<f64>,
    #[serde(default)]
    custom_text: bool,
}

/// A vision transformer of open_clip's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vision {
    image_size: usize,
    layers: usize,
    width: usize,
    patch_size: usize,
    head_width: Option<usize>,
    mlp_ratio: Option<f64>,
    // Of training alone.
    #[serde(rename = "patch_dropout")]
    _patch_dropout: Option<f64>,
}

/// A network of timm's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timm {
    timm_model_name: String,
    image_size: usize,
    timm_pool: Option<String>,
    timm_proj: Option<String>,
    // Of training alone.
    #[serde(rename = "timm_model_pretrained")]
    _pretrained: Option<bool>,
    #[serde(rename = "timm_drop")]
    _drop: Option<f64>,
    #[serde(rename = "timm_drop_path")]
    _drop_path: Option<f64>,
}

impl Timm {
    fn config(&self) -> Result<ImageConfig, String> {
        let Self { timm_model_name: name, image_size: side, timm_pool, timm_proj, .. } = self;
        if timm_pool.as_deref().is_some_and(|pool| pool != "avg") {
            return Err(format!("timm_pool {timm_pool:?}: \"avg\" is possible"));
        }
        if timm_proj.as_deref().is_some_and(|proj| !proj.is_empty()) {
            return Err(format!("timm_proj {timm_proj:?}: null is possible"));
        }
        let trunk = FastVit::named(name);
        let trunk = trunk.ok_or_else(|| format!("timm_model_name {name:?}: fastvit_mci0, fastvit_mci1 and fastvit_mci2 are possible"))?;
        Ok(ImageConfig { trunk: Trunk::FastVit(trunk), side: *side })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default = "tokens")]
    context_length: usize,
    #[serde(default = "vocabulary")]
    vocab_size: usize,
    width: usize,
    heads: usize,
    layers: usize,
    mlp_ratio: Option<f64>,
    #[serde(default)]
    no_causal_mask: bool,
    // The tokenizer comes as tokenizer.json.
    #[serde(rename = "hf_tokenizer_name")]
    _tokenizer: Option<String>,
}

fn tokens() -> usize {
    77
}

fn vocabulary() -> usize {
    49_408
}

#[derive(Default, Deserialize)]
struct Preprocess {
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
    mode: Option<String>,
}

/// Layers of this width inside, `ratio` times as wide.
fn inner(width: usize, ratio: Option<f64>) -> Result<usize, String> {
    let inner = width as f64 * ratio.unwrap_or(4.0);
    let fits = (1.0..=f64::from(1 << 20)).contains(&inner) && inner.fract() == 0.0;
    if fits { Ok(inner as usize) } else { Err(format!("mlp_ratio {ratio:?} of width {width}")) }
}

impl Model {
    fn config(&self) -> Result<Config, String> {
        let activation = if self.quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
        let blocks = |width: usize, heads: usize, layers: usize, ratio| {
            let blocks = Blocks { width, inner: inner(width, ratio)?, heads, layers, epsilon: 1e-5, activation };
            blocks.problem().map_or(Ok(blocks), Err)
        };
        let image = if self.vision_cfg.get("timm_model_name").is_some() {
            Timm::deserialize(&self.vision_cfg).map_err(|e| e.to_string()).and_then(|timm| timm.config())
        } else {
            let vit = |Vision { image_size: side, patch_size: patch, width, layers, head_width, mlp_ratio, .. }| {
                let heads = width / head_width.unwrap_or(HEAD).max(1);
                Ok(ImageConfig {
                    trunk: Trunk::Vit(Vit { blocks: blocks(width, heads, layers, mlp_ratio)?, patch, pooled: Pooled::Class }),
                    side,
                })
            };
            Vision::deserialize(&self.vision_cfg).map_err(|e| e.to_string()).and_then(vit)
        };
        let image = image.map_err(|e| format!("vision_cfg: {e}"))?;
        let Text { context_length: tokens, vocab_size: vocabulary, width, heads, layers, mlp_ratio, no_causal_mask, .. } = self.text_cfg;
        let text = TextConfig {
            blocks: blocks(width, heads, layers, mlp_ratio).map_err(|e| format!("text_cfg: {e}"))?,
            vocabulary,
            tokens,
            causal: !no_causal_mask,
            pad: None,
        };
        let config = Config { projection: self.embed_dim, image, text, scores: Scored::Softmax };
        config.problem().map_or(Ok(config), Err)
    }
}

impl Preprocess {
    /// The same in the words of Hugging Face.
    fn huggingface(&self) -> Result<Value, String> {
        let resample = match self.interpolation.as_deref() {
            None | Some("bicubic") => 3,
            Some("bilinear") => 2,
            Some(other) => return Err(format!("interpolation {other:?}: \"bicubic\" and \"bilinear\" are possible")),
        };
        let crop = match self.resize_mode.as_deref() {
            None | Some("shortest") => true,
            Some("squash") => false,
            Some(other) => return Err(format!("resize_mode {other:?}: \"shortest\" and \"squash\" are possible")),
        };
        if let Some(mode) = self.mode.as_deref().filter(|mode| *mode != "RGB") {
            return Err(format!("mode {mode:?}: \"RGB\" is possible"));
        }
        Ok(json!({"do_center_crop": crop, "resample": resample, "image_mean": self.mean, "image_std": self.std}))
    }
}

/// A checkpoint's configuration, its tensors by Hugging Face's names, and what becomes of images.
///
/// # Errors
/// A file is missing or malformed, or the configuration has a key that is not honoured.
pub(super) fn read(folder: &Path) -> Result<(Config, BTreeMap<String, Tensor>, Value), Error> {
    let path = folder.join(CONFIG);
    let value: Value = read_json(&path)?;
    let file = File::deserialize(&value).map_err(|e| Error::json(&path, format!("{e}: such a model is not imported")))?;
    let refused = |problem: String| Error::unsupported(&path, problem);
    let config = file.model_cfg.config().map_err(refused)?;
    let preprocessor = file.preprocess_cfg.huggingface().map_err(|e| refused(format!("preprocess_cfg: {e}")))?;
    let weights = WEIGHTS.map(|name| folder.join(name));
    let weights = weights.iter().find(|path| path.is_file()).unwrap_or(&weights[0]);
    let found = checkpoint::file(weights, &|name| !UNUSED.iter().any(|end| name.ends_with(end)))?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in found {
        // Data-parallel training and the two-part class put these in front.
        let name = name.strip_prefix("module.").unwrap_or(&name);
        let name = name.strip_prefix("text.").filter(|_| file.model_cfg.custom_text).unwrap_or(name);
        rename(weights, name, &tensor, &mut tensors)?;
    }
    Ok((config, tensors, preprocessor))
}

/// Puts a tensor where Hugging Face has it; names that are not known stay, to be refused by them.
fn rename(path: &Path, name: &str, tensor: &Tensor, out: &mut BTreeMap<String, Tensor>) -> Result<(), Error> {
    const WHOLE: [(&str, &str); 11] = [
        ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"),
        ("visual.ln_pre.weight", "vision_model.pre_layrnorm.weight"),
        ("visual.ln_pre.bias", "vision_model.pre_layrnorm.bias"),
        ("visual.ln_post.weight", "vision_model.post_layernorm.weight"),
        ("visual.ln_post.bias", "vision_model.post_layernorm.bias"),
        ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
        ("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
        ("ln_final.weight", "text_model.final_layer_norm.weight"),
        ("ln_final.bias", "text_model.final_layer_norm.bias"),
    ];
    // Multiplied from the left: the transposes of linear layers.
    const TURNED: [(&str, &str); 2] = [("visual.proj", "visual_projection.weight"), ("text_projection", "text_projection.weight")];
    const PARTS: [(&str, &str); 6] = [
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("attn.out_proj", "self_attn.out_proj"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
        ("attn.in_proj", ""),
    ];
    if let Some((_, theirs)) = WHOLE.iter().find(|(ours, _)| *ours == name) {
        out.insert((*theirs).to_owned(), tensor.clone());
        return Ok(());
    }
    if let Some((_, theirs)) = TURNED.iter().find(|(ours, _)| *ours == name) {
        out.insert((*theirs).to_owned(), transposed(path, name, tensor)?);
        return Ok(());
    }
    let (tower, rest) = match name.strip_prefix("visual.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", name),
    };
    let block = rest.strip_prefix("transformer.resblocks.").and_then(|rest| rest.split_once('.'));
    let known = block.and_then(|(layer, part)| {
        let (ours, theirs) = PARTS.iter().find(|(ours, _)| part.starts_with(ours))?;
        Some((format!("{tower}.encoder.layers.{layer}"), &part[ours.len()..], *theirs))
    });
    match known {
        Some((layer, kind @ ("_weight" | "_bias"), "")) => {
            let kind = &kind[1..];
            let rows = tensor.shape().first().copied().unwrap_or(0) / 3;
            for (i, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
                let third = tensor.rows(i * rows..(i + 1) * rows).filter(|_| 3 * rows == tensor.shape()[0]);
                let problem = || TensorProblem::Shape { expected: vec![3 * rows], found: tensor.shape().to_owned() };
                let third = third.ok_or_else(|| Error::tensor(path, name, problem()))?;
                out.insert(format!("{layer}.self_attn.{part}.{kind}"), third);
            }
        }
        Some((layer, kind @ (".weight" | ".bias"), theirs)) if !theirs.is_empty() => {
            out.insert(format!("{layer}.{theirs}{kind}"), tensor.clone());
        }
        _ => {
            out.insert(name.to_owned(), tensor.clone());
        }
    }
    Ok(())
}

fn transposed(path: &Path, name: &str, tensor: &Tensor) -> Result<Tensor, Error> {
    let &[rows, columns] = tensor.shape() else {
        let problem = TensorProblem::Shape { expected: vec![0, 0], found: tensor.shape().to_owned() };
        return Err(Error::tensor(path, name, problem));
    };
    let values = tensor.to_f32();
    let turned: Vec<f32> = (0..columns).flat_map(|c| values.iter().skip(c).step_by(columns.max(1)).copied()).collect();
    made(path, name, &turned, vec![columns, rows])
}
