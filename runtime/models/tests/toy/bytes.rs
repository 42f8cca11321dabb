//! A network with one layer of each kind that has bytes on either side.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) fn config() -> Value {
    let three = json!({"kernel": [3, 3], "stride": [2, 1], "padding": [1, 1, 0, 1]});
    let five = json!({"kernel": [5, 3], "stride": [1, 2], "dilation": [1, 2], "padding": [2, 2, 2, 2]});
    let pair = json!({"kernel": [2, 2], "stride": [1, 1], "padding": [0, 0, 1, 1]});
    let grid = |scale: f32, zero: u8| json!({"scale": scale, "zero": zero});
    json!({
        "kind": "network",
        "numerics_version": 2,
        "input": {"height": 9, "width": 7, "channels": 3},
        "layers": [
            {"name": "stem", "inputs": ["input"], "op": "pixel_conv", "window": three, "channels": 20, "activation": "relu6", "bytes": grid(0.03, 0)},
            {"name": "depth", "inputs": ["stem"], "op": "depthwise", "window": five, "activation": "relu", "bytes": grid(0.05, 3)},
            {"name": "point", "inputs": ["depth"], "op": "linear", "channels": 20, "bytes": grid(0.04, 12)},
            {"name": "max", "inputs": ["point"], "op": "pool", "window": pair, "pool": "max", "bytes": grid(0.04, 12)},
            {"name": "sum", "inputs": ["point", "max"], "op": "add", "activation": "relu", "bytes": grid(0.06, 5)},
            {"name": "full", "inputs": ["sum"], "op": "conv", "window": three, "channels": 24, "activation": "hard_swish", "bytes": grid(0.05, 10)},
            {"name": "grouped", "inputs": ["full"], "op": "conv", "window": pair, "channels": 16, "groups": 4, "activation": "silu",
                "bytes": grid(0.02, 14)},
            {"name": "real", "inputs": ["grouped"], "op": "linear", "channels": 20, "activation": "relu6"},
            {"name": "again", "inputs": ["real"], "op": "linear", "channels": 20, "bytes": grid(0.03, 40)},
            {"name": "above", "inputs": ["real"], "op": "linear", "channels": 20, "activation": "relu", "offset": 0.0, "bytes": grid(0.03, 0)},
            {"name": "product", "inputs": ["again", "above"], "op": "multiply"},
            {"name": "mean", "inputs": ["again"], "op": "mean"},
            {"name": "other", "inputs": ["product"], "op": "mean"},
            {"name": "both", "inputs": ["mean", "other"], "op": "add"},
            {"name": "total", "inputs": ["both"], "op": "linear", "channels": 5},
        ],
        "scores": "plain",
        "num_labels": 5,
    })
}

/// Shapes of the tensors, by name.
pub(crate) fn tensors() -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    let padded = |n: usize| n.next_multiple_of(16);
    // Outputs and inputs of products; filters have three columns of eight rows.
    for (name, outputs, depth) in [
        ("stem", 20, 32),
        ("depth", 20, 24),
        ("point", 20, 32),
        ("full", 24, 192),
        ("grouped", 16, 192),
        ("real", 20, 16),
        ("again", 20, 32),
        ("above", 20, 32),
        ("total", 5, 32),
    ] {
        tensors.insert(format!("{name}.weight"), (true, vec![padded(outputs) / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![padded(outputs)]));
        tensors.insert(format!("{name}.bias"), (false, vec![padded(outputs)]));
    }
    for name in ["stem.steps", "stem.zeros"] {
        tensors.insert(name.into(), (false, vec![16]));
    }
    tensors
}
