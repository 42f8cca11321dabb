//! `cargo +nightly fuzz run onnx`: any bytes as an ONNX classifier: a network or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_quantize::network::Network;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).expect("written");
    let _ = Network::read(&path);
});
