//! A codec from audiocraft and from Hugging Face: the same model folder, and one line for what is not taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_quantize::encodec::{Codec, Task};
use ossicle_quantize::sources::pickle;
use serde_json::{Value, json};

use crate::common::TempDir;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickles/compression_state_dict.bin")
}

pub(crate) fn config() -> Value {
    json!({
        "model_type": "encodec", "sampling_rate": 16_000, "audio_channels": 1, "normalize": false, "hidden_size": 6, "num_filters": 4,
        "num_residual_layers": 1, "upsampling_ratios": [2], "norm_type": "weight_norm", "kernel_size": 3, "last_kernel_size": 3,
        "residual_kernel_size": 3, "use_causal_conv": false, "pad_mode": "constant", "compress": 2, "num_lstm_layers": 1,
        "trim_right_ratio": 1.0, "codebook_size": 16, "use_conv_shortcut": false,
    })
}

pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The package's tensors by Hugging Face's names.
pub(crate) fn tensors() -> Tensors {
    let path = package();
    let all = pickle::parse(&path, Arc::new(fs::read(&path).unwrap())).unwrap();
    let names = [
        (".model.", ".layers."),
        (".conv.conv.", ".conv."),
        (".convtr.convtr.", ".conv."),
        (".vq.", "."),
        ("._codebook.", ".codebook."),
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    ];
    let name = |name: &str| names.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
    all.iter().map(|(own, tensor)| (name(own), (tensor.shape().to_vec(), tensor.to_f32()))).collect()
}

pub(crate) fn hugging_face(folder: &Path, config: &Value, tensors: &Tensors) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = vec![];
    for (name, (shape, values)) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let text = Value::Object(header).to_string().into_bytes();
    fs::write(folder.join("model.safetensors"), [&(text.len() as u64).to_le_bytes()[..], &text, &data].concat()).unwrap();
}

fn refused(config: &Value, tensors: &Tensors) -> String {
    let folder = TempDir::new();
    hugging_face(&folder.0, config, tensors);
    let line = Codec::open(&folder.0).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn both_sources_give_the_same_folder() {
    let folder = TempDir::new();
    hugging_face(&folder.join("hf"), &config(), &tensors());
    let mut weights = vec![];
    for (source, name) in [(package(), "one"), (folder.join("hf"), "other")] {
        let codec = Codec::open(&source).unwrap();
        assert_eq!((codec.config().hop(), codec.config().num_quantizers), (2, 2));
        let report = codec.write(&folder.join(name), &Task::default()).unwrap();
        assert!(report.decoder > 25.0 && report.codes[0] > 0.8 && report.seconds == 1.0, "{report:?}");
        weights.push((
            fs::read(folder.join(name).join("model.safetensors")).unwrap(),
            fs::read(folder.join(name).join("config.json")).unwrap(),
        ));
        assert!(Codec::open(&source).unwrap().write(&folder.join(name), &Task::default()).is_err(), "it exists");
    }
    assert!(weights[0] == weights[1]);
    // As one folder that holds audiocraft's file.
    fs::copy(package(), folder.join("compression_state_dict.bin")).unwrap();
    assert_eq!(Codec::open(&folder.0).unwrap().config(), Codec::open(&package()).unwrap().config());
}

#[test]
fn a_music_generators_codec_is_found() {
    let folder = TempDir::new();
    let mut nested: Tensors = tensors().into_iter().map(|(name, tensor)| (format!("audio_encoder.{name}"), tensor)).collect();
    nested.insert("decoder.model.decoder.layer_norm.weight".into(), (vec![1], vec![1.0]));
    hugging_face(&folder.0, &json!({"model_type": "musicgen", "audio_encoder": config()}), &nested);
    assert_eq!(Codec::open(&folder.0).unwrap().config(), Codec::open(&package()).unwrap().config());
}

#[test]
fn what_is_not_taken_is_named() {
    for (key, value, line) in [
        ("audio_channels", json!(2), "audio_channels is 2, 1 is possible"),
        ("norm_type", json!("time_group_norm"), "norm_type is \"time_group_norm\""),
        ("num_residual_layers", json!(3), "num_residual_layers is 3"),
        ("pad_mode", json!("replicate"), "pad_mode is \"replicate\""),
        ("num_filters", json!(100_000), "num_filters is 100000"),
        ("hidden_size", json!("wide"), "invalid type"),
        ("use_conv_shortcut", json!(true), "tensor encoder.layers.1.shortcut.conv.weight: missing"),
        ("kernel_size", json!(5), "tensor encoder.layers.0.conv.parametrizations.weight.original1: shape [4, 1, 3], expected [4, 1, 5]"),
    ] {
        let mut config = config();
        config[key] = value;
        let refused = refused(&config, &tensors());
        assert!(refused.contains(line), "{key}: {refused}");
    }
    let mut more = tensors();
    more.insert("decoder.layers.9.conv.weight".into(), (vec![1], vec![0.0]));
    assert!(refused(&config(), &more).contains("tensor decoder.layers.9.conv.weight does not belong"));
    let mut odd = tensors();
    odd.get_mut("decoder.layers.1.lstm.bias_hh_l0").unwrap().1[3] = f32::NAN;
    assert!(refused(&config(), &odd).contains("decoder.layers.1.lstm.bias_hh_l0: element 3 is not finite"));
    // A package of another kind.
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickles/zip.pt");
    let line = Codec::open(&other).unwrap_err().to_string();
    assert!(line.contains("a.num_batches_tracked") || line.contains("xp.cfg"), "{line}");
}
