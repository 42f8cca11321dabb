//! Both forms of a checkpoint.

use std::path::Path;

use ossicle::generate::Recommended;
use ossicle_models::audiogen::AudiogenConfig;
use ossicle_models::folder::ModelConfig;
use serde::Deserialize;
use serde_json::Value;

use super::{LanguageModel, Layer, Norm, of_window};
use crate::Error;
use crate::error::only;
use crate::source::read_json;
use crate::sources::taken::Tensors;
use crate::sources::yaml::Settings;

/// Most steps of a text that positions are written for: 30 s at 50 frames a second and the delays.
const STEPS: usize = 1536;

/// The decoder of Hugging Face's `config.json`.
#[derive(Deserialize)]
struct Decoder {
    vocab_size: usize,
    num_hidden_layers: usize,
    ffn_dim: usize,
    num_attention_heads: usize,
    hidden_size: usize,
    num_codebooks: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    #[serde(default = "one")]
    audio_channels: usize,
}

fn gelu() -> String {
    "gelu".into()
}

fn one() -> usize {
    1
}

/// A MusicGen, or its decoder alone.
pub(super) fn hugging_face(folder: &Path, mut tensors: Tensors) -> Result<LanguageModel, Error> {
    let path = folder.join("config.json");
    let raw: Value = read_json(&path)?;
    let own = raw.get("decoder").unwrap_or(&raw);
    let decoder: Decoder = Deserialize::deserialize(own).map_err(|e| Error::json(&path, e))?;
    for (name, have, want) in [
        ("activation_function", decoder.activation_function.into(), "gelu".into()),
        ("scale_embedding", decoder.scale_embedding.into(), false.into()),
        ("audio_channels", decoder.audio_channels.into(), 1.into()),
    ] {
        only(&path, name, &have, &want)?;
    }
    let prefix = if tensors.has("decoder.lm_heads.0.weight") { "decoder." } else { "" };
    let projection = "enc_to_dec_proj.weight";
    let config = AudiogenConfig {
        hidden_size: decoder.hidden_size,
        num_hidden_layers: decoder.num_hidden_layers,
        num_attention_heads: decoder.num_attention_heads,
        ffn_dim: decoder.ffn_dim,
        vocab_size: decoder.vocab_size,
        num_codebooks: decoder.num_codebooks,
        delays: (0..decoder.num_codebooks).collect(),
        max_position_embeddings: decoder.max_position_embeddings.min(STEPS),
        text_size: tensors.shape(projection).and_then(|shape| shape.get(1).copied()).unwrap_or(decoder.hidden_size),
        text_projection: tensors.has(projection),
    };
    check(&path, &config)?;
    let (width, inner) = (config.hidden_size, config.ffn_dim);
    let base = format!("{prefix}model.decoder.");
    let layer = |i: usize, tensors: &mut Tensors| -> Result<Layer, Error> {
        let name = |part: &str| format!("{base}layers.{i}.{part}");
        let projections = |attention: &str, parts: &str| -> Vec<String> {
            parts.chars().map(|part| name(&format!("{attention}.{part}_proj.weight"))).collect()
        };
        let square = [width, width];
        Ok(Layer {
            self_norm: norm(tensors, &name("self_attn_layer_norm"), width)?,
            qkv: tensors.joined(&projections("self_attn", "qkv"), &square)?,
            out: tensors.take(&name("self_attn.out_proj.weight"), &square)?,
            cross_norm: norm(tensors, &name("encoder_attn_layer_norm"), width)?,
            cross_query: tensors.take(&name("encoder_attn.q_proj.weight"), &square)?,
            cross_kv: tensors.joined(&projections("encoder_attn", "kv"), &square)?,
            cross_out: tensors.take(&name("encoder_attn.out_proj.weight"), &square)?,
            forward_norm: norm(tensors, &name("final_layer_norm"), width)?,
            up: tensors.take(&name("fc1.weight"), &[inner, width])?,
            down: tensors.take(&name("fc2.weight"), &[width, inner])?,
        })
    };
    let each = |part: &str| -> Vec<String> { (0..config.num_codebooks).map(|k| part.replace('#', &k.to_string())).collect() };
    let layers = (0..config.num_hidden_layers).map(|i| layer(i, &mut tensors)).collect::<Result<_, Error>>()?;
    let mut embeddings = vec![];
    for name in each(&format!("{base}embed_tokens.#.weight")) {
        embeddings.push(tensors.take(&name, &[config.vocab_size + 1, width])?);
    }
    let text_projection = match config.text_projection {
        true => Some((tensors.take(projection, &[width, config.text_size])?, tensors.take("enc_to_dec_proj.bias", &[width])?)),
        false => None,
    };
    let model = LanguageModel {
        path: folder.to_owned(),
        embeddings,
        layers,
        norm: norm(&mut tensors, &format!("{base}layer_norm"), width)?,
        heads: tensors.joined(&each(&format!("{prefix}lm_heads.#.weight")), &[config.vocab_size, width])?,
        text_projection,
        config,
        generation: generation(folder, &raw)?,
    };
    // The positions follow from the width.
    tensors.tensors.remove(&format!("{base}embed_positions.weights"));
    tensors.nothing_left("MusicGen's decoder")?;
    Ok(model)
}

/// Hugging Face's `generation_config.json`; what is left out is as in MusicGen, which was trained on 30 s.
#[derive(Deserialize)]
#[serde(default)]
struct HuggingFaceGeneration {
    max_length: usize,
    guidance_scale: f32,
    temperature: f32,
    top_k: usize,
    top_p: f32,
}

impl Default for HuggingFaceGeneration {
    fn default() -> Self {
        let Recommended { guidance_scale, temperature, top_k, .. } = Recommended::default();
        // Hugging Face's 1 is our 0: all codes.
        Self { max_length: 1500, guidance_scale, temperature, top_k, top_p: 1.0 }
    }
}

fn generation(folder: &Path, config: &Value) -> Result<Recommended, Error> {
    let path = folder.join("generation_config.json");
    let own: HuggingFaceGeneration = if path.is_file() { read_json(&path)? } else { HuggingFaceGeneration::default() };
    let HuggingFaceGeneration { max_length, guidance_scale, temperature, top_k, top_p } = own;
    let codec = &config["audio_encoder"];
    let hop = codec["upsampling_ratios"].as_array().map(|ratios| ratios.iter().filter_map(Value::as_f64).product::<f64>());
    let rate = codec["sampling_rate"].as_f64().zip(hop).map_or(50.0, |(rate, hop)| rate / hop);
    let top_p = if top_p < 1.0 { top_p } else { 0.0 };
    Ok(Recommended { guidance_scale, temperature, top_k, top_p, ..of_window(max_length as f64 / rate) })
}

/// audiocraft's package, by its own settings.
pub(super) fn audiocraft(path: &Path, settings: &str, mut tensors: Tensors) -> Result<LanguageModel, Error> {
    let wrong = |reason: String| Error::unsupported(path, reason);
    let settings = Settings::read(settings).map_err(wrong)?;
    for (name, want) in [
        ("lm_model", "transformer_lm".into()),
        ("transformer_lm.causal", true.into()),
        ("transformer_lm.norm_first", true.into()),
        ("transformer_lm.norm", "layer_norm".into()),
        ("transformer_lm.activation", "gelu".into()),
        ("transformer_lm.bias_attn", false.into()),
        ("transformer_lm.bias_ff", false.into()),
        ("transformer_lm.bias_proj", false.into()),
        ("transformer_lm.positional_embedding", "sin".into()),
        ("transformer_lm.cross_attention", true.into()),
    ] {
        only(path, &format!("xp.cfg: {name}"), &settings.get(name), &want)?;
    }
    for (name, off) in [
        ("transformer_lm.qk_layer_norm", Value::Bool(false)),
        ("transformer_lm.layer_scale", Value::Null),
        ("transformer_lm.past_context", Value::Null),
        ("fuser.cross_attention_pos_emb", Value::Bool(false)),
        ("codebooks_pattern.delay.flatten_first", 0.into()),
        ("codebooks_pattern.delay.empty_initial", 0.into()),
    ] {
        let have = settings.get(name);
        if have != off && !have.is_null() {
            only(path, &format!("xp.cfg: {name}"), &have, &off)?;
        }
    }
    let number = |name: &str| settings.read_as::<usize>(&format!("transformer_lm.{name}")).map_err(wrong);
    let (hidden_size, codebooks) = (number("dim")?, number("n_q")?);
    let projection = "condition_provider.conditioners.description.output_proj";
    let delays = match settings.get("codebooks_pattern.delay.delays") {
        Value::Null => (0..codebooks).collect(),
        delays => {
            serde_json::from_value(delays.clone()).map_err(|_| wrong(format!("xp.cfg: codebooks_pattern.delay.delays is {delays}")))?
        }
    };
    only(path, "xp.cfg: codebooks_pattern.modeling", &settings.get("codebooks_pattern.modeling"), &"delay".into())?;
    let scale: f64 = settings.get("transformer_lm.hidden_scale").as_f64().unwrap_or(4.0);
    let config = AudiogenConfig {
        hidden_size,
        num_hidden_layers: number("num_layers")?,
        num_attention_heads: number("num_heads")?,
        ffn_dim: (scale * hidden_size as f64) as usize,
        vocab_size: number("card")?,
        num_codebooks: codebooks,
        delays,
        max_position_embeddings: STEPS,
        text_size: tensors.shape(&format!("{projection}.weight")).and_then(|shape| shape.get(1).copied()).unwrap_or(hidden_size),
        text_projection: tensors.has(&format!("{projection}.weight")),
    };
    check(path, &config)?;
    let (width, inner) = (config.hidden_size, config.ffn_dim);
    let layer = |i: usize, tensors: &mut Tensors| -> Result<Layer, Error> {
        let name = |part: &str| format!("transformer.layers.{i}.{part}");
        let mut query = tensors.take(&name("cross_attention.in_proj_weight"), &[3 * width, width])?;
        let cross_kv = query.split_off(width * width);
        Ok(Layer {
            self_norm: norm(tensors, &name("norm1"), width)?,
            qkv: tensors.take(&name("self_attn.in_proj_weight"), &[3 * width, width])?,
            out: tensors.take(&name("self_attn.out_proj.weight"), &[width, width])?,
            cross_norm: norm(tensors, &name("norm_cross"), width)?,
            cross_query: query,
            cross_kv,
            cross_out: tensors.take(&name("cross_attention.out_proj.weight"), &[width, width])?,
            forward_norm: norm(tensors, &name("norm2"), width)?,
            up: tensors.take(&name("linear1.weight"), &[inner, width])?,
            down: tensors.take(&name("linear2.weight"), &[width, inner])?,
        })
    };
    let layers = (0..config.num_hidden_layers).map(|i| layer(i, &mut tensors)).collect::<Result<_, Error>>()?;
    let mut embeddings = vec![];
    for k in 0..codebooks {
        embeddings.push(tensors.take(&format!("emb.{k}.weight"), &[config.vocab_size + 1, width])?);
    }
    let heads: Vec<String> = (0..codebooks).map(|k| format!("linears.{k}.weight")).collect();
    let text_projection = match config.text_projection {
        true => Some((
            tensors.take(&format!("{projection}.weight"), &[width, config.text_size])?,
            tensors.take(&format!("{projection}.bias"), &[width])?,
        )),
        false => None,
    };
    let model = LanguageModel {
        path: path.to_owned(),
        embeddings,
        layers,
        norm: norm(&mut tensors, "out_norm", width)?,
        heads: tensors.joined(&heads, &[config.vocab_size, width])?,
        text_projection,
        config,
        generation: of_window(settings.get("dataset.segment_duration").as_f64().unwrap_or(10.0)),
    };
    tensors.nothing_left("audiocraft's transformer_lm with a description alone")?;
    Ok(model)
}

fn norm(tensors: &mut Tensors, name: &str, width: usize) -> Result<Norm, Error> {
    Ok(Norm { weight: tensors.take(&format!("{name}.weight"), &[width])?, bias: tensors.take(&format!("{name}.bias"), &[width])? })
}

fn check(path: &Path, config: &AudiogenConfig) -> Result<(), Error> {
    config.problem().map_or(Ok(()), |problem| Err(Error::unsupported(path, problem)))
}
