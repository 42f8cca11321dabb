//! A T5 encoder with weights by formula.

use std::collections::BTreeMap;

use ossicle_models::t5::T5Config;
use serde_json::{Value, json};

use super::Folder;

pub(crate) fn config() -> Value {
    json!({
        "kind": "t5", "numerics_version": 1, "vocab_size": 90, "d_model": 80, "d_kv": 32, "d_ff": 112, "num_layers": 2, "num_heads": 3,
        "max_distance": 20, "layer_norm_epsilon": 1e-6, "max_tokens": 70,
    })
}

pub(crate) fn tensors(config: &T5Config) -> BTreeMap<String, (bool, Vec<usize>)> {
    let (width, inner, wide) = (config.d_model, config.inner(), config.d_ff);
    let mut tensors = BTreeMap::new();
    tensors.insert("position_bias".to_owned(), (false, vec![config.num_heads, config.distances()]));
    tensors.insert("norm.weight".to_owned(), (false, vec![width]));
    let mut linears = vec![("embed".to_owned(), config.vocab_size, width)];
    for i in 0..config.num_layers {
        let name = |part: &str| format!("layers.{i}.{part}");
        tensors.insert(name("norm.weight"), (false, vec![width]));
        tensors.insert(name("forward_norm.weight"), (false, vec![width]));
        linears.extend([
            (name("qkv"), 3 * inner, width),
            (name("out"), width, inner),
            (name("up"), wide, width),
            (name("down"), width, wide),
        ]);
    }
    for (name, outputs, depth) in linears {
        let padded = usize::next_multiple_of(outputs, 16);
        tensors.insert(format!("{name}.weight"), (true, vec![padded / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![padded]));
    }
    tensors
}

pub(crate) fn folder() -> Folder {
    let config = config();
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    Folder::of("t5", &config, &tensors)
}
