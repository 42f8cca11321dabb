//! A codec with weights by formula: the same bits in chunks and in one piece, on every instruction set; allocations, memory and refusals.

mod counting;
mod toy;

use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::encodec::{EncodecConfig, EncodecDecoder, EncodecEncoder};
use ossicle_models::folder::{FolderError, ModelConfig, ModelFolder};
use ossicle_models::{GraphError, Options};
use serde_json::json;
use toy::Folder;
use toy::encodec::{config, folder, tensors};

fn open(folder: &Folder) -> Result<Arc<ModelFolder<EncodecConfig>>, FolderError> {
    ModelFolder::open(&folder.0)
}

fn decoder(folder: &Folder, isa: Isa, threads: usize, frames: usize) -> EncodecDecoder {
    EncodecDecoder::new(open(folder).expect("a folder"), Options { isa, threads }, frames).expect("a decoder")
}

fn encoder(folder: &Folder, isa: Isa, threads: usize, frames: usize) -> EncodecEncoder {
    EncodecEncoder::new(open(folder).expect("a folder"), Options { isa, threads }, frames).expect("an encoder")
}

fn codes(frames: usize) -> Vec<[u32; 3]> {
    (0..frames as u32).map(|t| [(7 * t + t * t) % 48, (31 * t + 5) % 48, (11 * t * t + 3) % 48]).collect()
}

fn decode(decoder: &mut EncodecDecoder, codes: &[[u32; 3]]) -> Vec<u32> {
    let mut samples = vec![];
    let mut sink = |chunk: &[f32]| samples.extend(chunk.iter().map(|x| x.to_bits()));
    for frame in codes {
        decoder.push(frame, &mut sink).expect("a frame");
    }
    decoder.finish(&mut sink).expect("the end");
    samples
}

fn sound(samples: usize) -> Vec<f32> {
    (0..samples).map(|i| ((i * i + 3 * i) % 255) as f32 / 128.0 - 1.0).collect()
}

fn encode(encoder: &mut EncodecEncoder, samples: &[f32], piece: usize) -> Vec<u32> {
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
    for (padding, causal) in [("constant", false), ("reflect", false), ("reflect", true), ("constant", true)] {
        let folder = folder(padding, causal);
        for frames in [0, 1, 2, 3, 9, 23] {
            let codes = codes(frames);
            let whole = decode(&mut decoder(&folder, scalar, 1, 64), &codes);
            assert_eq!(whole.len(), 30 * frames);
            let loudest = whole.iter().map(|&bits| f32::from_bits(bits).abs()).fold(0.0, f32::max);
            assert!(frames == 0 || (loudest.is_finite() && loudest > 0.0), "{loudest}");
            for isa in Isa::available() {
                for (threads, chunk) in [(1, 1), (2, 4), (3, 10), (1, 64)] {
                    let mut decoder = decoder(&folder, isa, threads, chunk);
                    for _ in 0..2 {
                        let samples = decode(&mut decoder, &codes);
                        assert!(
                            samples == whole,
                            "{padding}, causal {causal}, {frames} frames: {isa}, {threads} threads, chunks of {chunk}"
                        );
                    }
                }
            }
        }
        for samples in [0, 1, 29, 30, 31, 95, 600, 671] {
            let sound = sound(samples);
            let whole = encode(&mut encoder(&folder, scalar, 1, 64), &sound, 1000);
            assert_eq!(whole.len(), 3 * samples.div_ceil(30));
            for isa in Isa::available() {
                for (threads, chunk, piece) in [(1, 1, 7), (2, 4, 100), (3, 10, 31), (1, 64, 1)] {
                    let codes = encode(&mut encoder(&folder, isa, threads, chunk), &sound, piece);
                    assert_eq!(codes, whole, "{padding}, causal {causal}, {samples} samples: {isa}, {threads} threads, chunks of {chunk}");
                }
            }
        }
    }
    let folder = folder("constant", false);
    nothing_is_allocated(&folder);
    wrong_input_is_refused(&folder);
    missing_tensors_are_named(&folder);
    wrong_figures_are_named();
}

fn nothing_is_allocated(folder: &Folder) {
    for threads in [1, 2] {
        let mut decoder = decoder(folder, Isa::detect(), threads, 4);
        let (codes, sound) = (codes(12), sound(600));
        let mut sum = 0.0;
        let mut run = |decoder: &mut EncodecDecoder| {
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
        assert!(plan.buffers > 4 * 30 * 16 * 4 && plan.state > 0 && plan.weights > 1000, "{plan:?}");
        let mut encoder = encoder(folder, Isa::detect(), threads, 4);
        let mut run = |encoder: &mut EncodecEncoder| {
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
    let mut decoder = decoder(folder, Isa::detect(), 1, 4);
    let mut refused = |codes: &[u32]| matches!(decoder.push(codes, &mut |_| {}), Err(GraphError::Size { .. }));
    assert!(refused(&[1, 2]) && refused(&[1, 2, 48]) && !refused(&[1, 2, 47]));
    let mut encoder = encoder(folder, Isa::detect(), 1, 4);
    assert!(encoder.push(&[0.0, f32::NAN], &mut |_| {}).is_err());
    let options = Options { isa: Isa::detect(), threads: 1 };
    for frames in [0, 1 << 20] {
        assert!(matches!(EncodecDecoder::new(open(folder).expect("a folder"), options, frames), Err(GraphError::Size { .. })));
        assert!(matches!(EncodecEncoder::new(open(folder).expect("a folder"), options, frames), Err(GraphError::Size { .. })));
    }
    let session = ossicle_engine::Session::new(open(folder).expect("a folder").weights(), options);
    let small = EncodecDecoder::in_session(open(folder).expect("a folder"), session, 4, 1000);
    assert!(matches!(small, Err(GraphError::Memory { .. })), "{small:?}");
}

fn missing_tensors_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    let all = tensors(open(folder).expect("a folder").config());
    for name in all.keys() {
        let mut without = all.clone();
        without.remove(name);
        folder.weights(&without);
        let opened = open(folder).expect("a folder");
        let problem = match EncodecDecoder::new(Arc::clone(&opened), options, 4) {
            Err(error) => error.to_string(),
            Ok(_) => EncodecEncoder::new(opened, options, 4).expect_err("a tensor is missing").to_string(),
        };
        assert!(problem.contains(name.as_str()), "{name}: {problem}");
    }
    folder.weights(&all);
}

fn wrong_figures_are_named() {
    for (key, value) in [
        ("num_filters", json!(0)),
        ("hidden_size", json!(1 << 20)),
        ("upsampling_ratios", json!([])),
        ("upsampling_ratios", json!([2, 0])),
        ("upsampling_ratios", json!([32, 32, 32])),
        ("codebook_size", json!(1001)),
        ("trim_right_ratio", json!(1.5)),
        ("compress", json!(11)),
    ] {
        let mut config = config("constant", true);
        config[key] = value;
        let config: EncodecConfig = serde_json::from_value(config).expect("a configuration");
        assert!(config.problem().is_some(), "{config:?}");
    }
}
