//! What a checkpoint says of itself.

use std::path::Path;

use ossicle_models::encodec::{EncodecConfig, PadMode};
use ossicle_models::folder::ModelConfig;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::error::only;
use crate::source::read_json;
use crate::sources::yaml::Settings;

/// Hugging Face's `config.json`; what is left out is as in the 24 kHz model.
#[derive(Deserialize)]
#[serde(default)]
struct HuggingFace {
    model_type: String,
    sampling_rate: usize,
    audio_channels: usize,
    normalize: bool,
    hidden_size: usize,
    num_filters: usize,
    num_residual_layers: usize,
    upsampling_ratios: Vec<usize>,
    norm_type: String,
    kernel_size: usize,
    last_kernel_size: usize,
    residual_kernel_size: usize,
    use_causal_conv: bool,
    pad_mode: String,
    compress: usize,
    num_lstm_layers: usize,
    trim_right_ratio: f64,
    codebook_size: usize,
    codebook_dim: Option<usize>,
    use_conv_shortcut: bool,
}

impl Default for HuggingFace {
    fn default() -> Self {
        Self {
            model_type: "encodec".into(),
            sampling_rate: 24_000,
            audio_channels: 1,
            normalize: false,
            hidden_size: 128,
            num_filters: 32,
            num_residual_layers: 1,
            upsampling_ratios: vec![8, 5, 4, 2],
            norm_type: "weight_norm".into(),
            kernel_size: 7,
            last_kernel_size: 7,
            residual_kernel_size: 3,
            use_causal_conv: true,
            pad_mode: "reflect".into(),
            compress: 2,
            num_lstm_layers: 2,
            trim_right_ratio: 1.0,
            codebook_size: 1024,
            codebook_dim: None,
            use_conv_shortcut: true,
        }
    }
}

fn pad_mode(path: &Path, name: &str) -> Result<PadMode, Error> {
    match name {
        "constant" | "zero" | "zeros" => Ok(PadMode::Constant),
        "reflect" => Ok(PadMode::Reflect),
        other => Err(Error::unsupported(path, format!("pad_mode is {other:?}, \"constant\" or \"reflect\" is possible"))),
    }
}

fn checked(path: &Path, config: EncodecConfig) -> Result<EncodecConfig, Error> {
    match config.problem() {
        None => Ok(config),
        Some(problem) => Err(Error::unsupported(path, problem)),
    }
}

/// From Hugging Face's `config.json`, of an EnCodec or of a MusicGen with one in it.
pub(super) fn from_hugging_face(folder: &Path, codebooks: usize) -> Result<EncodecConfig, Error> {
    let path = folder.join("config.json");
    let mut value: Value = read_json(&path)?;
    if let Some(own) = value.get_mut("audio_encoder") {
        value = own.take();
    }
    let config: HuggingFace = serde_json::from_value(value).map_err(|e| Error::json(&path, e))?;
    for (name, have, want) in [
        ("model_type", config.model_type.into(), "encodec".into()),
        ("audio_channels", config.audio_channels.into(), 1.into()),
        ("normalize", config.normalize.into(), false.into()),
        ("norm_type", config.norm_type.into(), "weight_norm".into()),
        ("num_residual_layers", config.num_residual_layers.into(), 1.into()),
        ("codebook_dim", config.codebook_dim.unwrap_or(config.hidden_size).into(), config.hidden_size.into()),
    ] {
        only(&path, name, &have, &want)?;
    }
    let config = EncodecConfig {
        sampling_rate: config.sampling_rate,
        hidden_size: config.hidden_size,
        num_filters: config.num_filters,
        upsampling_ratios: config.upsampling_ratios,
        kernel_size: config.kernel_size,
        last_kernel_size: config.last_kernel_size,
        residual_kernel_size: config.residual_kernel_size,
        compress: config.compress,
        num_lstm_layers: config.num_lstm_layers,
        use_causal_conv: config.use_causal_conv,
        use_conv_shortcut: config.use_conv_shortcut,
        pad_mode: pad_mode(&path, &config.pad_mode)?,
        trim_right_ratio: config.trim_right_ratio,
        codebook_size: config.codebook_size,
        num_quantizers: codebooks,
    };
    checked(&path, config)
}

/// From the settings that audiocraft saves beside the weights.
pub(super) fn from_audiocraft(path: &Path, settings: &str, codebooks: usize) -> Result<EncodecConfig, Error> {
    let wrong = |reason: String| Error::unsupported(path, reason);
    let settings = Settings::read(settings).map_err(wrong)?;
    for (name, want) in [
        ("compression_model", "encodec".into()),
        ("encodec.autoencoder", "seanet".into()),
        ("encodec.quantizer", "rvq".into()),
        ("channels", 1.into()),
        ("encodec.renormalize", false.into()),
        ("seanet.activation", "ELU".into()),
        ("seanet.norm", "weight_norm".into()),
        ("seanet.n_residual_layers", 1.into()),
        ("seanet.disable_norm_outer_blocks", 0.into()),
        ("seanet.decoder.final_activation", Value::Null),
    ] {
        only(path, &format!("xp.cfg: {name}"), &settings.get(name), &want)?;
    }
    let number = |name: &str| settings.read_as::<usize>(&format!("seanet.{name}")).map_err(wrong);
    let config = EncodecConfig {
        sampling_rate: settings.read_as("sample_rate").map_err(wrong)?,
        hidden_size: number("dimension")?,
        num_filters: number("n_filters")?,
        upsampling_ratios: settings.read_as("seanet.ratios").map_err(wrong)?,
        kernel_size: number("kernel_size")?,
        last_kernel_size: number("last_kernel_size")?,
        residual_kernel_size: number("residual_kernel_size")?,
        compress: number("compress")?,
        num_lstm_layers: number("lstm")?,
        use_causal_conv: settings.read_as("encodec.causal").map_err(wrong)?,
        use_conv_shortcut: !settings.read_as::<bool>("seanet.true_skip").map_err(wrong)?,
        pad_mode: pad_mode(path, &settings.read_as::<String>("seanet.pad_mode").map_err(wrong)?)?,
        trim_right_ratio: settings.get("seanet.decoder.trim_right_ratio").as_f64().unwrap_or(1.0),
        codebook_size: settings.read_as("rvq.bins").map_err(wrong)?,
        num_quantizers: codebooks,
    };
    checked(path, config)
}
