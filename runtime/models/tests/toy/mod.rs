//! A network with one layer of each kind, and weights by formula.

// Each test takes what it needs.
#![allow(dead_code)]

pub(crate) mod audiogen;
pub(crate) mod bytes;
pub(crate) mod encodec;
pub(crate) mod kokoro;
pub(crate) mod sounds;
pub(crate) mod spectral;
pub(crate) mod t5;
pub(crate) mod vits;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// Odd sizes, channels that fill no vector, windows of all kinds, a head of attention.
pub(crate) fn config() -> Value {
    let layer = |name: &str, inputs: &[&str], op: Value| {
        let mut layer = op;
        layer["name"] = json!(name);
        layer["inputs"] = json!(inputs);
        layer
    };
    let three = json!({"kernel": [3, 3], "stride": [2, 1], "padding": [1, 1, 0, 1]});
    let five = json!({"kernel": [5, 3], "stride": [1, 2], "dilation": [1, 2], "padding": [2, 2, 2, 2]});
    let pair = json!({"kernel": [2, 2], "stride": [1, 1], "padding": [0, 0, 1, 1]});
    let shuffle: Vec<usize> = (0..16).flat_map(|channel| [20 + channel, channel]).collect();
    json!({
        "kind": "network",
        "numerics_version": 1,
        "input": {"height": 9, "width": 7, "channels": 3},
        "layers": [
            layer("first", &["input"], json!({"op": "conv_f32", "window": three, "channels": 20, "activation": "relu"})),
            layer("second", &["input"], json!({"op": "conv", "window": three, "channels": 20, "activation": "hard_swish"})),
            layer("stem", &["first", "second"], json!({"op": "add"})),
            layer("depth", &["stem"], json!({"op": "depthwise", "window": five, "activation": "relu6"})),
            layer("max", &["depth"], json!({"op": "pool", "window": pair, "pool": "max"})),
            layer("mean", &["max"], json!({"op": "pool", "window": pair, "pool": "padded_mean"})),
            layer("point", &["mean"], json!({"op": "linear", "channels": 20, "offset": 0.0})),
            layer("squeeze", &["point"], json!({"op": "mean"})),
            layer("gate", &["squeeze"], json!({"op": "linear", "channels": 20, "activation": "hard_sigmoid"})),
            layer("scaled", &["point", "gate"], json!({"op": "scale"})),
            layer("sum", &["scaled", "point"], json!({"op": "add", "activation": "silu"})),
            layer("product", &["sum", "scaled"], json!({"op": "multiply"})),
            layer("affine", &["product"], json!({"op": "affine", "activation": "tanh"})),
            layer("sigmoid", &["affine"], json!({"op": "activate", "activation": "sigmoid"})),
            layer("wide", &["sigmoid"], json!({"op": "linear", "channels": 32, "activation": "gelu", "offset": 0.0})),
            layer("tokens", &["wide"], json!({"op": "prepend", "tokens": 2})),
            layer("placed", &["tokens"], json!({"op": "add_constant"})),
            layer("norm", &["placed"], json!({"op": "norm", "epsilon": 1e-6})),
            layer("qkv", &["norm"], json!({"op": "linear", "channels": 384})),
            layer("heads", &["qkv"], json!({"op": "attention", "heads": 2})),
            layer("out", &["heads"], json!({"op": "linear", "channels": 32})),
            layer("some", &["out"], json!({"op": "take", "first": 1, "count": 2})),
            layer("all", &["some"], json!({
                "op": "conv", "window": {"kernel": [1, 2], "stride": [1, 1], "padding": [0, 0, 0, 0]}, "channels": 5, "offset": 4.0
            })),
            layer("joined", &["depth", "mean", "max"], json!({"op": "concat"})),
            layer("shuffled", &["depth", "mean"], json!({"op": "concat", "channels": shuffle})),
            // Blocks of two groups, 16 channels to 32; blocks of four, 32 to 16, the last of them of three.
            layer("groups", &["shuffled"], json!({"op": "conv", "window": three, "channels": 64, "groups": 4, "activation": "relu"})),
            layer("more", &["joined"], json!({"op": "linear", "channels": 56})),
            layer("grouped", &["more"], json!({"op": "conv", "window": three, "channels": 28, "groups": 7, "activation": "relu", "offset": 9.5})),
            layer("grouped_too", &["groups"], json!({"op": "conv", "window": pair, "channels": 4, "groups": 4, "activation": "tanh", "offset": 0.0})),
            layer("pair", &["grouped", "grouped_too"], json!({"op": "concat", "channels": [0, 31, 27, 28, 5]})),
            layer("pooled", &["pair"], json!({"op": "mean"})),
            layer("total", &["all", "pooled"], json!({"op": "add"})),
        ],
        "scores": "softmax",
        "num_labels": 5,
    })
}

/// Shapes of the tensors, by name.
pub(crate) fn tensors() -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    let padded = |n: usize| n.next_multiple_of(16);
    // Outputs and inputs of products.
    for (name, outputs, depth) in [
        ("second", 20, 27),
        ("point", 20, 20),
        ("gate", 20, 20),
        ("wide", 32, 20),
        ("qkv", 384, 32),
        ("out", 32, 128),
        ("all", 5, 64),
        ("groups", 64, 144),
        ("more", 56, 60),
        ("grouped", 28, 288),
        ("grouped_too", 4, 1024),
    ] {
        tensors.insert(format!("{name}.weight"), (true, vec![padded(outputs) / 16, padded(depth) / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![padded(outputs)]));
        tensors.insert(format!("{name}.bias"), (false, vec![padded(outputs)]));
    }
    tensors.insert("depth.weight".into(), (false, vec![15, 32]));
    tensors.insert("first.weight".into(), (false, vec![27, 32]));
    for name in ["first.bias", "depth.bias", "affine.weight", "affine.bias", "norm.weight", "norm.bias"] {
        tensors.insert(name.into(), (false, vec![32]));
    }
    tensors.insert("tokens.tokens".into(), (false, vec![2, 32]));
    // Four rows of four positions, and two tokens.
    tensors.insert("placed.constant".into(), (false, vec![18, 32]));
    tensors
}

/// A folder of this test's own, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    pub(crate) fn new(name: &str, config: &Value) -> Self {
        Self::of(&format!("network-{name}"), config, &tensors())
    }

    pub(crate) fn of(name: &str, config: &Value, tensors: &BTreeMap<String, (bool, Vec<usize>)>) -> Self {
        // Tests run side by side, several of them with folders of the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ossicle-{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        fs::write(folder.0.join("config.json"), config.to_string()).expect("config.json");
        folder.weights(tensors);
        folder
    }

    pub(crate) fn weights(&self, tensors: &BTreeMap<String, (bool, Vec<usize>)>) {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), json!({"layout": "n16k4"}));
        let mut data: Vec<u8> = vec![];
        for (seed, (name, (bytes, shape))) in tensors.iter().enumerate() {
            let (start, count) = (data.len(), shape.iter().product::<usize>());
            let noise = |i: usize| ((i * 7919 + seed * 104_729) * (i + 31) % 8191) as f32 / 4096.0 - 1.0;
            for i in 0..count {
                match bytes {
                    true => data.push(((noise(i) * 127.0) as i8).cast_unsigned()),
                    false => data.extend((if name.ends_with("scale") { noise(i).abs() / 400.0 } else { noise(i) }).to_le_bytes()),
                }
            }
            let dtype = if *bytes { "I8" } else { "F32" };
            header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}));
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize((text.len() + 8).next_multiple_of(64) - 8, b' ');
        let file = [&(text.len() as u64).to_le_bytes()[..], &text, &data].concat();
        fs::write(self.0.join("model.safetensors"), file).expect("model.safetensors");
    }
}
