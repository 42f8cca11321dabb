//! `cargo +nightly fuzz run network_folder`: any bytes as the configuration of a network without weights: finite scores within the memory
//! allowed, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_models::folder::ModelFolder;
use ossicle_models::network::NetworkGraph;
use ossicle_models::whisper::Options;
use ossicle_kernels::simd::Isa;

const MEGABYTE: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let mut header = br#"{"__metadata__":{"layout":"n16k4"}}"#.to_vec();
    header.resize(56, b' ');
    let weights = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    std::fs::write(folder.path().join("config.json"), bytes).expect("written");
    std::fs::write(folder.path().join("model.safetensors"), weights).expect("written");
    let Ok(model) = ModelFolder::open(folder.path()) else { return };
    let Ok(mut network) = NetworkGraph::new_within(model, Options { isa: Isa::detect(), threads: 1 }, 64 * MEGABYTE) else { return };
    let zeros = vec![0.0; network.input_len()];
    network.run(&zeros).expect("a network that was built runs");
});
