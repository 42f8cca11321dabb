//! `cargo +nightly fuzz run model_folder`: any bytes as a model folder's weights, below a true configuration: a graph or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{Options, WhisperGraph};
use ossicle_kernels::simd::Isa;

const CONFIG: &str = include_str!("../../models-int8/whisper-tiny.en/config.json");

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.json"), CONFIG).expect("written");
    std::fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
    if let Ok(model) = ModelFolder::open(folder.path()) {
        let _ = WhisperGraph::new(model, Options { isa: Isa::detect(), threads: 1 });
    }
});
