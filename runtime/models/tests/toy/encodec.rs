//! A codec with weights by formula.

use std::collections::BTreeMap;

use ossicle_models::encodec::{EncodecConfig, Kind, padded};
use serde_json::{Value, json};

use super::Folder;

pub(crate) fn config(padding: &str, causal: bool) -> Value {
    json!({
        "kind": "encodec", "numerics_version": 1,
        "sampling_rate": 16_000, "hidden_size": 20, "num_filters": 10, "upsampling_ratios": [5, 2, 3],
        "kernel_size": 7, "last_kernel_size": 5, "residual_kernel_size": 3, "compress": 2, "num_lstm_layers": 2,
        "use_causal_conv": causal, "use_conv_shortcut": causal, "pad_mode": padding, "trim_right_ratio": 1.0,
        "codebook_size": 48, "num_quantizers": 3,
    })
}

/// Shapes of the tensors, by name.
pub(crate) fn tensors(config: &EncodecConfig) -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    let mut floats = |name: String, shape: Vec<usize>| tensors.insert(name, (false, shape));
    for q in 0..config.num_quantizers {
        floats(format!("quantizer.{q}.codebook"), vec![padded(config.hidden_size), config.codebook_size]);
        floats(format!("quantizer.{q}.offset"), vec![config.codebook_size]);
    }
    let mut linears = vec![];
    for part in config.encoder().into_iter().chain(config.decoder()) {
        let name = part.name;
        match part.kind {
            Kind::Conv { inputs: 1, outputs, kernel, .. } => {
                floats(format!("{name}.weight"), vec![kernel, padded(outputs)]);
                floats(format!("{name}.bias"), vec![padded(outputs)]);
            }
            Kind::Conv { inputs, outputs, kernel, .. } => linears.push((name, padded(outputs), kernel * padded(inputs), true)),
            Kind::Transposed { inputs, outputs, stride } => linears.push((name, stride * padded(outputs), 2 * padded(inputs), true)),
            Kind::Residual { channels, inner } => {
                let (channels, inner) = (padded(channels), padded(inner));
                linears.push((format!("{name}.1"), inner, config.residual_kernel_size * channels, true));
                linears.push((format!("{name}.3"), channels, inner, true));
                if config.use_conv_shortcut {
                    linears.push((format!("{name}.shortcut"), channels, channels, true));
                }
            }
            Kind::Lstm { channels } => {
                let channels = padded(channels);
                for layer in 0..config.num_lstm_layers {
                    linears.push((format!("{name}.{layer}.input"), 4 * channels, channels, true));
                    linears.push((format!("{name}.{layer}.recurrent"), 4 * channels, channels, false));
                }
            }
        }
    }
    for (name, outputs, depth, biased) in linears {
        tensors.insert(format!("{name}.weight"), (true, vec![outputs / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![outputs]));
        if biased {
            tensors.insert(format!("{name}.bias"), (false, vec![outputs]));
        }
    }
    tensors
}

pub(crate) fn folder(padding: &str, causal: bool) -> Folder {
    let config = config(padding, causal);
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    Folder::of(&format!("encodec-{padding}-{causal}"), &config, &tensors)
}
