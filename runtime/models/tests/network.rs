//! A network with one layer of each kind and weights by formula: bits, allocations, the memory plan and refusals.

mod counting;
mod toy;

use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelFolder, check_weights};
use ossicle_models::network::{NetworkConfig, NetworkGraph};
use ossicle_models::{GraphError, Options};
use ossicle_trace::{Header, Trace, Writer, WriterOptions};
use serde_json::{Value, json};
use toy::{Folder, config, tensors};

fn open(folder: &Folder) -> Result<Arc<ModelFolder<NetworkConfig>>, FolderError> {
    ModelFolder::open(&folder.0)
}

fn graph(path: &Folder, isa: Isa, threads: usize) -> NetworkGraph {
    NetworkGraph::new(open(path).expect("a folder"), Options { isa, threads }).expect("graph")
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

// No test harness: the allocation count is the whole process's.
fn main() {
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
        assert!(plan.buffers > 4 * 9 * 7 * 3 && plan.weights > 384 * 32, "{plan:?}");
    }

    let mut network = graph(&folder, Isa::detect(), 1);
    let refused = network.run(&input()[1..]);
    assert!(matches!(refused, Err(GraphError::Size { .. })), "{refused:?}");
    missing_tensors_are_named(&folder);
    tensors_that_are_no_numbers_are_named(&folder);
    weights_of_minus_128_are_named(&folder);
    a_plan_that_does_not_fit_is_refused();
    wrong_layers_are_named();
    rows_whose_sums_could_overflow_are_refused();
}

fn rows_whose_sums_could_overflow_are_refused() {
    let opened = |channels: usize, offset: Option<f32>| {
        let config = json!({
            "kind": "network", "numerics_version": 1, "scores": "plain", "num_labels": 2,
            "input": {"height": 1, "width": 1, "channels": channels},
            "layers": [{"name": "deep", "op": "linear", "channels": 2, "inputs": ["input"], "offset": offset}],
        });
        open(&Folder::new(&format!("deep{channels}{}", offset.is_some()), &config)).map(drop)
    };
    for (channels, offset, most) in
        [(65_792, Some(0.0), None), (65_793, Some(0.0), Some("65792")), (131_072, None, None), (131_073, None, Some("131072"))]
    {
        let line = opened(channels, offset).err().map(|error| error.to_string());
        let fits = match (&line, most) {
            (Some(line), Some(most)) => line.contains(&format!("products over {channels} values, at most {most}")),
            (line, most) => line.is_none() && most.is_none(),
        };
        assert!(fits, "{channels}, {offset:?}: {line:?}");
    }
}

fn missing_tensors_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    for name in tensors().keys() {
        let mut without = tensors();
        without.remove(name);
        folder.weights(&without);
        let error = NetworkGraph::new(open(folder).expect("a folder"), options).expect_err("a tensor is missing").to_string();
        assert!(error.contains(name.as_str()), "{name}: {error}");
        let mut misshapen = tensors();
        misshapen.get_mut(name).expect("a tensor").1.push(1);
        folder.weights(&misshapen);
        let error = NetworkGraph::new(open(folder).expect("a folder"), options).expect_err("a tensor is misshapen").to_string();
        assert!(error.contains(name.as_str()), "{name}: {error}");
    }
}

/// The toy's weights, with the last bytes of one tensor after another replaced; `check` hears its name and whether it is one of bytes.
fn each_damaged(folder: &Folder, ends: (i8, f32), check: impl Fn(&str, bool)) {
    folder.weights(&tensors());
    let file = folder.0.join("model.safetensors");
    let bytes = std::fs::read(&file).expect("weights");
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..start]).expect("a header");
    for (name, (integers, _)) in tensors() {
        let end = start + header[&name]["data_offsets"][1].as_u64().expect("an offset") as usize;
        let mut wrong = bytes.clone();
        if integers {
            wrong[end - 1] = ends.0.cast_unsigned();
        } else {
            wrong[end - 4..end].copy_from_slice(&ends.1.to_le_bytes());
        }
        std::fs::write(&file, wrong).expect("weights");
        check(&name, integers);
    }
    folder.weights(&tensors());
}

fn tensors_that_are_no_numbers_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    for value in [f32::NAN, f32::NEG_INFINITY] {
        each_damaged(folder, (-127, value), |name, integers| {
            let opened = NetworkGraph::new(open(folder).expect("a folder"), options).map_err(|error| error.to_string());
            let checked = check_weights(&folder.0).map_err(|error| error.to_string());
            if integers {
                assert!(opened.is_ok() && checked == Ok(()), "{name}: {opened:?}, {checked:?}");
                return;
            }
            for error in [opened.expect_err("no number"), checked.expect_err("no number")] {
                assert!(error.contains(name) && error.contains(&format!("holds {value} as value")), "{name}: {error}");
            }
        });
    }
}

/// Rows of u8 have sums of weights, which are taken on opening; whatever the rows, the check of all weights finds it.
fn weights_of_minus_128_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    each_damaged(folder, (-128, 0.0), |name, integers| {
        let checked = check_weights(&folder.0).map_err(|error| error.to_string());
        let opened = NetworkGraph::new(open(folder).expect("a folder"), options).map_err(|error| error.to_string());
        let says = |error: &str| error.contains(&format!("tensor {name}: holds a weight of -128"));
        assert!(if integers { says(&checked.expect_err("-128")) } else { checked == Ok(()) }, "{name}");
        let unsigned = ["point", "wide", "all", "grouped", "grouped_too"].map(|layer| format!("{layer}.weight"));
        assert!(if unsigned.contains(&name.into()) { says(&opened.expect_err("-128")) } else { opened.is_ok() }, "{name}");
    });
}

fn a_plan_that_does_not_fit_is_refused() {
    // A sum of sixty maps that are all alive, a few kilobytes of configuration: 12 GB.
    let mut layers: Vec<Value> =
        (0..60).map(|i| json!({"name": format!("map{i}"), "op": "activate", "activation": "relu", "inputs": ["input"]})).collect();
    for i in 1..60 {
        let before = if i == 1 { "map0".to_owned() } else { format!("sum{}", i - 1) };
        layers.push(json!({"name": format!("sum{i}"), "op": "add", "inputs": [before, format!("map{i}")]}));
    }
    layers.push(json!({"name": "mean", "op": "mean", "inputs": ["sum59"]}));
    let config = |side: usize| {
        json!({
            "kind": "network", "numerics_version": 1, "scores": "plain", "num_labels": 3,
            "input": {"height": side, "width": side, "channels": 3}, "layers": layers,
        })
    };
    let options = Options { isa: Isa::detect(), threads: 1 };
    let refused = NetworkGraph::new(open(&Folder::new("large", &config(1800))).expect("a folder"), options);
    assert!(matches!(refused, Err(GraphError::Memory { needed, .. }) if needed > 12_000_000_000), "{refused:?}");
    // The plan's own figure is the limit that just fits.
    let small = Folder::new("small", &config(18));
    let plan = NetworkGraph::new(open(&small).expect("a folder"), options).expect("it fits").memory_plan();
    let within = |most| NetworkGraph::new_within(open(&small).expect("a folder"), options, most);
    assert!(within(plan.buffers).is_ok());
    let refused = within(plan.buffers - 1);
    assert!(matches!(refused, Err(GraphError::Memory { needed, .. }) if needed == plan.buffers), "{refused:?}");
}

fn wrong_layers_are_named() {
    let refused = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut wrong = config();
        change(&mut wrong);
        open(&Folder::new(name, &wrong)).expect_err(name).to_string()
    };
    let layer = |at: usize, key: &'static str, value: Value| move |config: &mut Value| config["layers"][at][key] = value.clone();
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: [(&str, Change); 22] = [
        ("unknown", Box::new(layer(0, "op", json!("wormhole")))),
        ("is not a layer before it", Box::new(layer(5, "inputs", json!(["nowhere"])))),
        ("is not a layer before it", Box::new(layer(5, "inputs", json!(["heads"])))),
        ("1 inputs, not 2", Box::new(layer(10, "inputs", json!(["point"])))),
        ("two of that name", Box::new(layer(5, "name", json!("stem")))),
        ("cannot be scaled", Box::new(layer(9, "inputs", json!(["gate", "point"])))),
        ("differ", Box::new(layer(10, "inputs", json!(["scaled", "stem"])))),
        ("not num_labels", Box::new(|config: &mut Value| config["num_labels"] = json!(6))),
        ("3 heads of 64 values in 384 channels", Box::new(layer(19, "heads", json!(3)))),
        ("positions from", Box::new(layer(21, "count", json!(400)))),
        ("does not fit", Box::new(layer(0, "window", json!({"kernel": [99, 3], "stride": [1, 1], "padding": [0, 0, 0, 0]})))),
        ("out of bounds", Box::new(layer(0, "window", json!({"kernel": [3, 3], "stride": [1, 1], "padding": [1u64 << 40, 0, 0, 0]})))),
        ("empty or too large", Box::new(|config: &mut Value| config["input"]["width"] = json!(1u64 << 40))),
        ("empty or too large", Box::new(layer(14, "channels", json!(0)))),
        ("5 inputs, not 4", Box::new(layer(23, "inputs", json!(["max", "max", "max", "max", "max"])))),
        ("differ in positions", Box::new(layer(23, "inputs", json!(["max", "stem"])))),
        ("channel 40 of 40", Box::new(layer(24, "channels", json!([39, 40])))),
        ("3 groups of 32 channels to 64", Box::new(layer(25, "groups", json!(3)))),
        ("0 groups of 32 channels to 64", Box::new(layer(25, "groups", json!(0)))),
        ("4 groups of 32 channels to 6", Box::new(layer(25, "channels", json!(6)))),
        ("empty or too large", Box::new(layer(25, "channels", json!(1u64 << 63)))),
        ("empty or too large", Box::new(layer(25, "channels", json!(1u64 << 40)))),
    ];
    for (i, (wanted, change)) in cases.iter().enumerate() {
        let line = refused(&format!("wrong{i}"), change);
        assert!(line.contains(wanted) && line.contains("config.json") && !line.contains('\n'), "{wanted}: {line}");
    }
}
