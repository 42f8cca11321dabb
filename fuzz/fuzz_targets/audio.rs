//! `cargo +nightly fuzz run audio -- -rss_limit_mb=512 -malloc_limit_mb=64`: any bytes as a recording: samples or an error, in little memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle::audio::AudioReader;
use ossicle_kernels::simd::Isa;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut reader) = AudioReader::bytes(bytes.to_vec(), Isa::detect()) {
        let mut block = [0.0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut block) {
            assert!(block[..read].iter().all(|x| x.is_finite()));
        }
        for damage in reader.damage() {
            assert!(!damage.to_string().is_empty());
        }
    }
});
