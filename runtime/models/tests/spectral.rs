//! A codec of spectra with weights by formula: the same bits on every instruction set and however samples come; allocations, memory, refusals.

mod counting;
mod toy;

use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelConfig, ModelFolder};
use ossicle_models::spectral::{SpectralConfig, SpectralDecoder, SpectralEncoder};
use ossicle_models::{GraphError, Options};
use serde_json::json;
use toy::Folder;
use toy::spectral::{config, folder, tensors};

/// Samples of a frame.
const HOP: usize = 320;

fn open(folder: &Folder) -> Result<Arc<ModelFolder<SpectralConfig>>, FolderError> {
    ModelFolder::open(&folder.0)
}

fn decoder(folder: &Folder, isa: Isa, threads: usize) -> SpectralDecoder {
    SpectralDecoder::new(open(folder).expect("a folder"), Options { isa, threads }).expect("a decoder")
}

fn encoder(folder: &Folder, isa: Isa, threads: usize) -> SpectralEncoder {
    SpectralEncoder::new(open(folder).expect("a folder"), Options { isa, threads }).expect("an encoder")
}

fn codes(frames: usize) -> Vec<[u32; 3]> {
    (0..frames as u32).map(|t| [(7 * t + t * t) % 48, (31 * t + 5) % 48, (11 * t * t + 3) % 48]).collect()
}

fn decode(decoder: &mut SpectralDecoder, seed: u64, codes: &[[u32; 3]]) -> Vec<f32> {
    let mut samples = vec![];
    let mut sink = |chunk: &[f32]| samples.extend_from_slice(chunk);
    decoder.reset(seed);
    for frame in codes {
        decoder.push(frame, &mut sink).expect("a frame");
    }
    decoder.finish(&mut sink).expect("the end");
    samples
}

fn sound(samples: usize) -> Vec<f32> {
    (0..samples).map(|i| ((i * i + 3 * i) % 255) as f32 / 128.0 - 1.0).collect()
}

fn encode(encoder: &mut SpectralEncoder, samples: &[f32], piece: usize) -> Vec<u32> {
    let mut codes = vec![];
    for piece in samples.chunks(piece) {
        encoder.push(piece, &mut |chunk| codes.extend_from_slice(chunk)).expect("samples");
    }
    encoder.finish(&mut |chunk| codes.extend_from_slice(chunk)).expect("the end");
    codes
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let scalar = Isa::from_name("scalar").expect("scalar");
    let folder = folder();
    for frames in [0, 1, 2, 15, 16, 17, 40] {
        let codes = codes(frames);
        let whole = decode(&mut decoder(&folder, scalar, 1), 3, &codes);
        assert_eq!(whole.len(), HOP * frames);
        let loudest = whole.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(frames == 0 || (loudest.is_finite() && loudest > 0.0), "{loudest}");
        for isa in Isa::available() {
            for threads in [1, 3] {
                let mut decoder = decoder(&folder, isa, threads);
                for _ in 0..2 {
                    assert!(decode(&mut decoder, 3, &codes) == whole, "{frames} frames: {isa}, {threads} threads");
                }
                assert!(frames == 0 || decode(&mut decoder, 4, &codes) != whole, "another seed has other noise");
            }
        }
    }
    the_beginning_does_not_depend_on_what_follows(&folder);
    for samples in [0, 1, 79, 80, 319, 320, 321, 5000, 11_000] {
        let sound = sound(samples);
        let whole = encode(&mut encoder(&folder, scalar, 1), &sound, 20_000);
        assert_eq!(whole.len(), 3 * samples.div_ceil(HOP), "{samples} samples");
        for isa in Isa::available() {
            for (threads, piece) in [(1, 7), (2, 100), (3, 320), (1, 1601)] {
                let codes = encode(&mut encoder(&folder, isa, threads), &sound, piece);
                assert_eq!(codes, whole, "{samples} samples: {isa}, {threads} threads, pieces of {piece}");
            }
        }
    }
    nothing_is_allocated(&folder);
    wrong_input_is_refused(&folder);
    missing_tensors_are_named(&folder);
    wrong_figures_are_named();
}

fn the_beginning_does_not_depend_on_what_follows(folder: &Folder) {
    let mut decoder = decoder(folder, Isa::detect(), 1);
    let (long, short) = (decode(&mut decoder, 3, &codes(60)), decode(&mut decoder, 3, &codes(40)));
    // Blocks look ahead 2 frames and twice 2 pairs, synthesis a few steps.
    let same = (40 - 6) * HOP;
    assert!(long[..same] == short[..same] && long[..40 * HOP] != short[..]);
}

fn nothing_is_allocated(folder: &Folder) {
    for threads in [1, 2] {
        let mut decoder = decoder(folder, Isa::detect(), threads);
        let (codes, sound) = (codes(40), sound(9000));
        let mut sum = 0.0;
        let mut run = |decoder: &mut SpectralDecoder| {
            for frame in &codes {
                decoder.push(frame, &mut |chunk| sum += chunk[0]).expect("a frame");
            }
            decoder.finish(&mut |chunk| sum += chunk[0]).expect("the end");
        };
        run(&mut decoder);
        let before = allocations();
        run(&mut decoder);
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let plan = decoder.memory_plan();
        assert!(plan.buffers > 16 * 32 * 4 && plan.state > 10_000 && plan.weights > 1000, "{plan:?}");
        let mut encoder = encoder(folder, Isa::detect(), threads);
        let mut run = |encoder: &mut SpectralEncoder| {
            encoder.push(&sound, &mut |codes| sum += codes[0] as f32).expect("samples");
            encoder.finish(&mut |codes| sum += codes[0] as f32).expect("the end");
        };
        run(&mut encoder);
        let before = allocations();
        run(&mut encoder);
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        assert!(sum.is_finite());
    }
}

fn wrong_input_is_refused(folder: &Folder) {
    let mut decoder = decoder(folder, Isa::detect(), 1);
    let mut refused = |codes: &[u32]| matches!(decoder.push(codes, &mut |_| {}), Err(GraphError::Size { .. }));
    assert!(refused(&[1, 2]) && refused(&[1, 2, 48]) && !refused(&[1, 2, 47]));
    let mut encoder = encoder(folder, Isa::detect(), 1);
    assert!(encoder.push(&[0.0, f32::NAN], &mut |_| {}).is_err());
    let open = || open(folder).expect("a folder");
    let session = ossicle_engine::Session::new(open().weights(), Options { isa: Isa::detect(), threads: 1 });
    assert!(matches!(SpectralDecoder::in_session(open(), session, 1000), Err(GraphError::Memory { most: 1000, .. })));
}

fn missing_tensors_are_named(folder: &Folder) {
    let all = tensors(&serde_json::from_value(config()).expect("a configuration"));
    for name in ["decoder.fast.1.up.weight", "quantizer.2.codebook", "decoder.norm.bias"] {
        let mut some = all.clone();
        some.remove(name);
        folder.weights(&some);
        let error = SpectralDecoder::new(open(folder).expect("a folder"), Options { isa: Isa::detect(), threads: 1 })
            .expect_err("a missing tensor");
        assert!(error.to_string().contains(name), "{error}");
    }
}

fn wrong_figures_are_named() {
    for (name, value) in [
        ("sampling_rate", json!(8000)),
        ("hidden_size", json!(0)),
        ("intermediate_size", json!(40)),
        ("kernel_size", json!(4)),
        ("latent_size", json!(1 << 20)),
        ("decoder_blocks", json!([1, 33])),
        ("codebook_size", json!(50)),
        ("num_quantizers", json!(0)),
    ] {
        let mut config = config();
        config[name] = value;
        let config: SpectralConfig = serde_json::from_value(config).expect("a configuration");
        assert!(config.problem().is_some_and(|problem| !problem.is_empty()), "{name}");
    }
}
