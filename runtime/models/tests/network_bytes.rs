//! A network whose maps are bytes: the same bits on every instruction set, with any number of threads, and what is refused.

mod toy;

use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::network::NetworkGraph;
use ossicle_trace::{Header, Trace, Writer, WriterOptions};
use serde_json::{Value, json};
use toy::{Folder, bytes};

fn input() -> Vec<f32> {
    (0..9 * 7 * 3).map(|i| ((i * i + 3 * i) % 255) as f32).collect()
}

fn graph(folder: &Folder, isa: Isa, threads: usize) -> NetworkGraph {
    NetworkGraph::new(ModelFolder::open(&folder.0).expect("a folder"), Options { isa, threads }).expect("graph")
}

fn trace(folder: &Folder, isa: Isa, threads: usize) -> (Vec<u32>, Trace) {
    let mut network = graph(folder, isa, threads);
    let writer = Arc::new(Writer::new(Vec::new(), &Header::default(), WriterOptions::default()).expect("memory"));
    network.set_tap(Some(writer.clone()));
    let scores = network.run(&input()).expect("run").iter().map(|x| x.to_bits()).collect();
    network.set_tap(None);
    let writer = Arc::into_inner(writer).expect("the only handle");
    (scores, Trace::read(&writer.finish().expect("memory")[..], None).expect("a trace"))
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let folder = Folder::of("bytes", &bytes::config(), &bytes::tensors());
    let (scores, wanted) = trace(&folder, Isa::from_name("scalar").expect("scalar"), 1);
    assert!(scores.iter().any(|score| *score != scores[0]), "all scores are the same");
    for layer in bytes::config()["layers"].as_array().expect("layers") {
        let op = format!("network.{}", layer["name"].as_str().expect("a name"));
        assert!(wanted.descriptors.iter().any(|d| d.op == op), "{op} is not traced");
    }
    for isa in Isa::available() {
        for threads in 1..=3 {
            let (own, other) = trace(&folder, isa, threads);
            let differing = other.records.iter().zip(&wanted.records).find(|(a, b)| a != b);
            assert!(differing.is_none(), "{:?} with {isa}, {threads} threads", differing.map(|(r, _)| other.descriptor(r).to_string()));
            assert_eq!(own, scores, "{isa}, {threads} threads");
        }
    }
}

#[test]
fn bytes_where_no_kernel_has_them_are_refused() {
    let refused = |change: fn(&mut Value), says: &str| {
        let mut config = bytes::config();
        change(&mut config);
        let folder = Folder::of("bytes-refused", &config, &bytes::tensors());
        let error = ModelFolder::<ossicle_models::network::NetworkConfig>::open(&folder.0).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(|config| config["numerics_version"] = json!(1), "2 is for maps of bytes");
    refused(|config| config["numerics_version"] = json!(3), "numerics_version is 3");
    refused(|config| config["layers"][11]["bytes"] = json!({"scale": 1.0, "zero": 0}), "\"mean\": its map cannot be bytes");
    refused(|config| config["layers"][3]["bytes"] = json!({"scale": 0.5, "zero": 12}), "\"max\": its map cannot be bytes");
    refused(|config| config["layers"][0]["bytes"] = json!({"scale": 0.0, "zero": 12}), "a scale of 0");
    refused(|config| config["layers"][5]["activation"] = json!("gelu"), "Gelu gives no bytes");
    refused(|config| config["layers"][2]["offset"] = json!(0.0), "bytes have no offset");
}
