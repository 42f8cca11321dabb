//! A network with one layer of each kind and weights by formula: bits, allocations, the memory plan and refusals.

mod counting;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use counting::allocations;
use ossicle_graph::folder::{FolderError, ModelFolder};
use ossicle_graph::network::{NetworkConfig, NetworkGraph};
use ossicle_graph::{GraphError, Options};
use ossicle_kernels::simd::Isa;
use ossicle_trace::{Header, Trace, Writer, WriterOptions};
use serde_json::{Value, json};

/// Odd sizes, channels that fill no vector, windows of all kinds, a head of attention.
fn config() -> Value {
    let layer = |name: &str, inputs: &[&str], op: Value| {
        let mut layer = op;
        layer["name"] = json!(name);
        layer["inputs"] = json!(inputs);
        layer
    };
    let three = json!({"kernel": [3, 3], "stride": [2, 1], "padding": [1, 1, 0, 1]});
    let five = json!({"kernel": [5, 3], "stride": [1, 2], "dilation": [1, 2], "padding": [2, 2, 2, 2]});
    let pair = json!({"kernel": [2, 2], "stride": [1, 1], "padding": [0, 0, 1, 1]});
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
        ],
        "scores": "softmax",
        "num_labels": 5,
    })
}

/// Shapes of the tensors, by name.
fn tensors() -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    let padded = |n: usize| n.next_multiple_of(16);
    // Outputs and inputs of products.
    for (name, outputs, depth) in
        [("second", 20, 27), ("point", 20, 20), ("gate", 20, 20), ("wide", 32, 20), ("qkv", 384, 32), ("out", 32, 128), ("all", 5, 64)]
    {
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
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str, config: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("ossicle-network-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        fs::write(folder.0.join("config.json"), config.to_string()).expect("config.json");
        folder.weights(&tensors());
        folder
    }

    fn weights(&self, tensors: &BTreeMap<String, (bool, Vec<usize>)>) {
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

    fn open(&self) -> Result<Arc<ModelFolder<NetworkConfig>>, FolderError> {
        ModelFolder::open(&self.0)
    }
}

fn graph(path: &Folder, isa: Isa, threads: usize) -> NetworkGraph {
    NetworkGraph::new(path.open().expect("a folder"), Options { isa, threads }).expect("graph")
}

fn input() -> Vec<f32> {
    (0..9 * 7 * 3).map(|i| ((i * i + 3 * i) % 255) as f32 / 128.0 - 1.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn trace(path: &Folder, isa: Isa, threads: usize) -> Trace {
    let mut network = graph(path, isa, threads);
    let writer = Arc::new(Writer::new(Vec::new(), &Header::default(), WriterOptions::default()).expect("memory"));
    network.set_tap(Some(writer.clone()));
    network.run(&input()).expect("run");
    network.set_tap(None);
    let writer = Arc::into_inner(writer).expect("the only handle");
    Trace::read(&writer.finish().expect("memory")[..], None).expect("a trace")
}

// One test: the allocation count is the process's.
#[test]
fn bits_allocations_and_refusals() {
    let folder = Folder::new("all", &config());
    let scalar = Isa::from_name("scalar").expect("scalar");
    let reference = bits(graph(&folder, scalar, 1).run(&input()).expect("run"));
    let sum: f32 = reference.iter().map(|&score| f32::from_bits(score)).sum();
    assert!(reference.len() == 5 && (sum - 1.0).abs() < 1e-5, "scores that sum to {sum}");
    assert!(reference.iter().any(|score| score != &reference[0]), "all scores are the same");
    let wanted = trace(&folder, scalar, 1);
    for layer in config()["layers"].as_array().expect("layers") {
        let op = format!("network.{}", layer["name"].as_str().expect("a name"));
        assert!(wanted.descriptors.iter().any(|d| d.op == op), "{op} is not traced");
    }
    for isa in Isa::available() {
        for threads in 1..=3 {
            let mut network = graph(&folder, isa, threads);
            for _ in 0..2 {
                assert_eq!(bits(network.run(&input()).expect("run")), reference, "{isa} with {threads} threads differs");
            }
            let other = trace(&folder, isa, threads);
            let differing = other.records.iter().zip(&wanted.records).find(|(a, b)| a != b);
            assert!(differing.is_none(), "{:?} with {isa}, {threads} threads", differing.map(|(r, _)| other.descriptor(r).to_string()));
        }
    }

    for threads in [1, 2] {
        let mut network = graph(&folder, Isa::detect(), threads);
        let input = input();
        network.run(&input).expect("run");
        let before = allocations();
        network.run(&input).expect("run");
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let plan = network.memory_plan();
        assert!(plan.slots > 4 * 9 * 7 * 3 && plan.scratch > 0 && plan.weights > 384 * 32, "{plan:?}");
    }

    let mut network = graph(&folder, Isa::detect(), 1);
    let refused = network.run(&input()[1..]);
    assert!(matches!(refused, Err(GraphError::Size { .. })), "{refused:?}");
    missing_tensors_are_named(&folder);
    wrong_layers_are_named();
}

fn missing_tensors_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    for name in tensors().keys() {
        let mut without = tensors();
        without.remove(name);
        folder.weights(&without);
        let error = NetworkGraph::new(folder.open().expect("a folder"), options).expect_err("a tensor is missing").to_string();
        assert!(error.contains(name.as_str()), "{name}: {error}");
        let mut misshapen = tensors();
        misshapen.get_mut(name).expect("a tensor").1.push(1);
        folder.weights(&misshapen);
        let error = NetworkGraph::new(folder.open().expect("a folder"), options).expect_err("a tensor is misshapen").to_string();
        assert!(error.contains(name.as_str()), "{name}: {error}");
    }
}

fn wrong_layers_are_named() {
    let refused = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut wrong = config();
        change(&mut wrong);
        Folder::new(name, &wrong).open().expect_err(name).to_string()
    };
    let layer = |at: usize, key: &'static str, value: Value| move |config: &mut Value| config["layers"][at][key] = value.clone();
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: [(&str, Change); 14] = [
        ("unknown", Box::new(layer(0, "op", json!("wormhole")))),
        ("is no layer before it", Box::new(layer(5, "inputs", json!(["nowhere"])))),
        ("is no layer before it", Box::new(layer(5, "inputs", json!(["heads"])))),
        ("1 inputs, not 2", Box::new(layer(10, "inputs", json!(["point"])))),
        ("two of that name", Box::new(layer(5, "name", json!("stem")))),
        ("cannot be scaled", Box::new(layer(9, "inputs", json!(["gate", "point"])))),
        ("differ", Box::new(layer(10, "inputs", json!(["scaled", "stem"])))),
        ("not num_labels", Box::new(|config: &mut Value| config["num_labels"] = json!(6))),
        ("heads in", Box::new(layer(19, "heads", json!(3)))),
        ("positions from", Box::new(layer(21, "count", json!(400)))),
        ("does not fit", Box::new(layer(0, "window", json!({"kernel": [99, 3], "stride": [1, 1], "padding": [0, 0, 0, 0]})))),
        ("out of bounds", Box::new(layer(0, "window", json!({"kernel": [3, 3], "stride": [1, 1], "padding": [1u64 << 40, 0, 0, 0]})))),
        ("empty or too large", Box::new(|config: &mut Value| config["input"]["width"] = json!(1u64 << 40))),
        ("empty or too large", Box::new(layer(14, "channels", json!(0)))),
    ];
    for (i, (wanted, change)) in cases.iter().enumerate() {
        let line = refused(&format!("wrong{i}"), change);
        assert!(line.contains(wanted) && line.contains("config.json") && !line.contains('\n'), "{wanted}: {line}");
    }
}
