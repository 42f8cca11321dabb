//! `cargo +nightly fuzz run ct2`: any bytes as a CTranslate2 model.bin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_quantize::ct2;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(container) = ct2::parse(bytes) {
        assert!(container.variables.values().all(|v| bytes.get(v.bytes.clone()).is_some()));
    }
});
