//! A codec of spectra with weights by formula.

use std::collections::BTreeMap;

use ossicle_models::spectral::{CURVE, FRAME_VALUES, ROWS, SPECTRA, SpectralConfig};
use serde_json::{Value, json};

use super::Folder;

pub(crate) fn config() -> Value {
    json!({
        "kind": "spectral", "numerics_version": 1, "sampling_rate": 16_000, "hidden_size": 32, "intermediate_size": 48, "kernel_size": 5,
        "latent_size": 16, "encoder_blocks": [3, 1], "decoder_blocks": [1, 2], "codebook_size": 48, "num_quantizers": 3,
    })
}

pub(crate) fn tensors(config: &SpectralConfig) -> BTreeMap<String, (bool, Vec<usize>)> {
    let (width, inner, latent) = (config.hidden_size, config.intermediate_size, config.latent_size);
    let mut tensors = BTreeMap::new();
    let mut linears = vec![
        ("encoder.input".to_owned(), width, SPECTRA * CURVE),
        ("encoder.merge".to_owned(), width, ROWS * width),
        ("encoder.latent".to_owned(), latent, width),
        ("decoder.open".to_owned(), width, latent),
        ("decoder.split".to_owned(), ROWS * width, width),
        ("decoder.head".to_owned(), SPECTRA * FRAME_VALUES, width),
    ];
    let [fast, slow] = config.encoder_blocks;
    let [decoder_slow, decoder_fast] = config.decoder_blocks;
    for (stack, count) in [("encoder.fast", fast), ("encoder.slow", slow), ("decoder.slow", decoder_slow), ("decoder.fast", decoder_fast)] {
        for name in (0..count).map(|i| format!("{stack}.{i}")) {
            tensors.insert(format!("{name}.depthwise.weight"), (false, vec![config.kernel_size, width]));
            for part in ["depthwise.bias", "norm.weight", "norm.bias"] {
                tensors.insert(format!("{name}.{part}"), (false, vec![width]));
            }
            linears.extend([(format!("{name}.up"), inner, width), (format!("{name}.down"), width, inner)]);
        }
    }
    for (name, outputs, depth) in linears {
        tensors.insert(format!("{name}.weight"), (true, vec![outputs / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![outputs]));
        tensors.insert(format!("{name}.bias"), (false, vec![outputs]));
    }
    for part in ["weight", "bias"] {
        tensors.insert(format!("decoder.norm.{part}"), (false, vec![width]));
    }
    for q in 0..config.num_quantizers {
        tensors.insert(format!("quantizer.{q}.codebook"), (false, vec![latent, config.codebook_size]));
        tensors.insert(format!("quantizer.{q}.offset"), (false, vec![config.codebook_size]));
    }
    tensors
}

pub(crate) fn folder() -> Folder {
    let config = config();
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    Folder::of("spectral", &config, &tensors)
}
