//! A codec of spectra from its training: what is written gives back what went in, and one line for what is not taken.

use std::fs;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::spectral::SpectralDecoder;
use ossicle_quantize::spectral::{Codec, Task};
use serde_json::{Value, json};

use crate::common::TempDir;
use crate::encodec::{Tensors, hugging_face};

const WIDTH: usize = 32;

fn config() -> Value {
    json!({
        "model_type": "spectral_codec", "sampling_rate": 16_000, "hidden_size": WIDTH, "intermediate_size": 48, "kernel_size": 3,
        "latent_size": 16, "encoder_blocks": [1, 1], "decoder_blocks": [1, 2], "codebook_size": 16, "num_quantizers": 2,
    })
}

/// Values by formula, small ones.
fn tensors() -> Tensors {
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize]| {
        let (seed, count) = (tensors.len(), shape.iter().product());
        let value = |i: usize| ((i * 7919 + seed * 104_729) * (i + 31) % 8191) as f32 / 40_960.0 - 0.1;
        tensors.insert(name, (shape.to_vec(), (0..count).map(value).collect()));
    };
    for (name, outputs, inputs) in [
        ("encoder.input", WIDTH, 258),
        ("encoder.merge", WIDTH, 2 * WIDTH),
        ("encoder.latent", 16, WIDTH),
        ("decoder.open", WIDTH, 16),
        ("decoder.split", 2 * WIDTH, WIDTH),
        ("decoder.head", 516, WIDTH),
    ] {
        add(format!("{name}.weight"), &[outputs, inputs]);
        add(format!("{name}.bias"), &[outputs]);
    }
    for name in ["encoder.fast.0", "encoder.slow.0", "decoder.slow.0", "decoder.fast.0", "decoder.fast.1"] {
        add(format!("{name}.depthwise.weight"), &[WIDTH, 1, 3]);
        add(format!("{name}.up.weight"), &[48, WIDTH]);
        add(format!("{name}.up.bias"), &[48]);
        add(format!("{name}.down.weight"), &[WIDTH, 48]);
        for part in ["depthwise.bias", "norm.weight", "norm.bias", "down.bias"] {
            add(format!("{name}.{part}"), &[WIDTH]);
        }
    }
    add("decoder.norm.weight".into(), &[WIDTH]);
    add("decoder.norm.bias".into(), &[WIDTH]);
    (0..2).for_each(|q| add(format!("quantizer.{q}.codebook"), &[16, 16]));
    tensors
}

#[test]
fn levels_are_the_biases_where_weights_are_nothing() {
    let folder = TempDir::new();
    let mut all = tensors();
    // In both spectra of a pair one bin sounds, as a tone does with half of it in the bins around; there is no noise.
    let tone = |bin: usize| (0.25f32 * if bin == 40 { 1.0 } else { 0.5 }).ln();
    all.get_mut("decoder.head.weight").unwrap().1.fill(0.0);
    let bias = &mut all.get_mut("decoder.head.bias").unwrap().1;
    bias.fill(-12.0);
    for (spectrum, bin) in [0, 258].into_iter().flat_map(|first| (39..42).map(move |bin| (first, bin))) {
        bias[spectrum + bin] = tone(bin);
    }
    hugging_face(&folder.join("from"), &config(), &all);
    let codec = Codec::open(&folder.join("from")).unwrap();
    assert_eq!(codec.parameters(), all.values().map(|(_, values)| values.len()).sum::<usize>());
    codec.write(&folder.join("to"), &Task::default()).unwrap();
    ossicle_models::folder::verify(&folder.join("to")).unwrap();
    assert!(codec.write(&folder.join("to"), &Task::default()).is_err(), "it exists");
    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut decoder = SpectralDecoder::new(ModelFolder::open(&folder.join("to")).unwrap(), options).unwrap();
    let mut samples = vec![];
    for frame in 0..50 {
        decoder.push(&[frame % 16, 3], &mut |chunk| samples.extend_from_slice(chunk)).unwrap();
    }
    decoder.finish(&mut |chunk| samples.extend_from_slice(chunk)).unwrap();
    assert_eq!(samples.len(), 50 * 320);
    // All of it is at the bin's frequency, 2.5 kHz.
    let power = |hertz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, x) in samples.iter().enumerate() {
            let phase = std::f64::consts::TAU * hertz * n as f64 / 16_000.0;
            re += f64::from(*x) * phase.cos();
            im += f64::from(*x) * phase.sin();
        }
        (re * re + im * im).sqrt() / samples.len() as f64
    };
    let loudest = [500.0, 1000.0, 1500.0, 2500.0, 3500.0, 5000.0].into_iter().max_by(|a, b| power(*a).total_cmp(&power(*b)));
    assert!(loudest == Some(2500.0) && power(2500.0) > 0.1, "{loudest:?}, {}", power(2500.0));
}

#[test]
fn what_is_not_taken_is_named() {
    let refused = |config: &Value, tensors: &Tensors| {
        let folder = TempDir::new();
        hugging_face(&folder.0, config, tensors);
        let line = Codec::open(&folder.0).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    };
    for (key, value, line) in [
        ("model_type", json!("encodec"), "model_type is \"encodec\""),
        ("sampling_rate", json!(24_000), "sampling_rate is 24000"),
        ("hidden_size", json!(30), "hidden_size is 30, not a multiple of 16"),
        ("decoder_blocks", json!([1, 3]), "tensor decoder.fast.2.depthwise.weight: missing"),
        ("decoder_blocks", json!([1, 1]), "tensor decoder.fast.1."),
        ("latent_size", json!(32), "expected [32, 32]"),
    ] {
        let mut config = config();
        config[key] = value;
        let told = refused(&config, &tensors());
        assert!(told.contains(line), "{key}: {told}");
    }
    let mut damaged = tensors();
    damaged.get_mut("quantizer.1.codebook").unwrap().1[5] = f32::NAN;
    assert!(refused(&config(), &damaged).contains("quantizer.1.codebook"));
    let folder = TempDir::new();
    hugging_face(&folder.0, &config(), &tensors());
    fs::write(folder.join("model.safetensors"), [0u8; 20]).unwrap();
    assert!(Codec::open(&folder.0).is_err());
}
