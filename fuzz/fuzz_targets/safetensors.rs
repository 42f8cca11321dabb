//! `cargo +nightly fuzz run safetensors`: any bytes as a safetensors checkpoint.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ossicle_quantize::sources::safetensors;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = safetensors::parse(Path::new("input"), Arc::new(bytes.to_vec())) {
        tensors.values().for_each(|tensor| drop(tensor.to_f32()));
    }
});
