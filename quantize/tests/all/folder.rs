//! The written model folder, read back by other means.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{Float, TempDir, Tensors, VOCABULARY, config, ct2_variables, tensors, tokenizer, write_ct2, write_hf};
use ossicle_quantize::folder::{self, Options};
use ossicle_quantize::layout::{self, Entry};
use ossicle_quantize::{Error, float_folder, import, pack, store};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn make(dir: &TempDir) -> std::path::PathBuf {
    write_hf(&dir.join("source"), &tensors(), Float::F32);
    let out = dir.join("tiny");
    folder::write(&import::open(&dir.join("source")).unwrap(), &out, &Options::default()).unwrap();
    out
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn weights_are_aligned_and_right() {
    let dir = TempDir::new();
    let file = fs::read(make(&dir).join("model.safetensors")).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&file).unwrap();
    for (name, info) in metadata.tensors() {
        assert_eq!((8 + header + info.data_offsets.0) % store::ALIGN, 0, "{name}");
    }
    let map = metadata.metadata().as_ref().unwrap();
    assert_eq!((map["format"].as_str(), map["layout"].as_str(), map["numerics_version"].as_str()), ("ossicle-int8", "n16k4", "1"));

    let written = SafeTensors::deserialize(&file).unwrap();
    let source = tensors();
    let values = |name: &str| source[name].1.clone();
    let mut expected = 0;
    for entry in layout::entries(&config()) {
        match entry {
            Entry::Float(name) => {
                let tensor = written.tensor(&name).unwrap();
                assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &source[&name].0[..]), "{name}");
                assert_eq!(floats(tensor.data()), values(&name), "{name}");
                expected += 1;
            }
            Entry::Linear(linear) => {
                let (n, k) = (linear.outputs, linear.inputs);
                let np = n.next_multiple_of(16);
                let mut rows: Vec<f32> = linear.sources.iter().flat_map(|s| values(&format!("{s}.weight"))).collect();
                if linear.conv {
                    let plain = rows.clone();
                    let channels = k / 3;
                    for (i, slot) in rows.iter_mut().enumerate() {
                        let (row, tap, channel) = (i / k, i % k / channels, i % channels);
                        *slot = plain[(row * channels + channel) * 3 + tap];
                    }
                }
                let weight = written.tensor(&format!("{}.weight", linear.name)).unwrap();
                assert_eq!((weight.dtype(), weight.shape()), (Dtype::I8, &[np / 16, k / 4, 16, 4][..]), "{}", linear.name);
                let packed: Vec<i8> = weight.data().iter().map(|b| b.cast_signed()).collect();
                let scales = floats(written.tensor(&format!("{}.weight_scale", linear.name)).unwrap().data());
                assert_eq!(scales.len(), np);
                for r in 0..np {
                    let row = if r < n { &rows[r * k..(r + 1) * k] } else { &vec![0.0; k] };
                    let max = row.iter().fold(0f32, |m, x| m.max(x.abs()));
                    assert_eq!(scales[r], max / 127.0);
                    for (c, x) in row.iter().enumerate() {
                        let q = if r < n { (x * (127.0 / max)).round_ties_even() as i8 } else { 0 };
                        let at = ((r / 16 * (k / 4) + c / 4) * 16 + r % 16) * 4 + c % 4;
                        assert_eq!(packed[at], q, "{} [{r}][{c}]", linear.name);
                    }
                }
                expected += 2;
                if linear.bias {
                    let bias = floats(written.tensor(&format!("{}.bias", linear.name)).unwrap().data());
                    let mut float = Vec::new();
                    for s in &linear.sources {
                        float.extend(source.get(&format!("{s}.bias")).map_or(vec![0.0; config().d_model], |b| b.1.clone()));
                    }
                    float.resize(np, 0.0);
                    assert_eq!(bias, float, "{}", linear.name);
                    expected += 1;
                }
            }
        }
    }
    assert_eq!(written.len(), expected);
    let covered: usize = layout::linears(&config()).map(|l| l.sources.len()).sum();
    assert_eq!(
        covered,
        config().tensors().iter().filter(|(n, _)| n.ends_with("proj.weight") || n.contains("fc") && n.ends_with("weight")).count() + 3
    );
}

#[test]
fn the_folder_is_complete() {
    let dir = TempDir::new();
    let out = make(&dir);
    let files = [
        "README.md",
        "SHA256SUMS",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
    ];
    assert_eq!(names(&out), files);
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let expected: String = files
        .iter()
        .filter(|f| **f != "SHA256SUMS")
        .map(|f| {
            let hash = Sha256::digest(fs::read(out.join(f)).unwrap());
            let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
            format!("{hex}  {f}\n")
        })
        .collect();
    assert_eq!(sums, expected);
    let config: Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["kind"], &config["numerics_version"], &config["vocab_size"]), (&"whisper".into(), &1.into(), &VOCABULARY.into()));
    assert_eq!(fs::read(out.join("tokenizer.json")).unwrap(), fs::read(dir.join("source/tokenizer.json")).unwrap());
    assert_eq!(names(&dir.0), ["source", "tiny"], "no partial folder stays");
}

#[test]
fn both_formats_give_the_same_bytes() {
    let dir = TempDir::new();
    let out = make(&dir);
    write_ct2(&dir.join("ct2"), &ct2_variables(&tensors(), Float::F16));
    let again = dir.join("again");
    folder::write(&import::open(&dir.join("ct2")).unwrap(), &again, &Options::default()).unwrap();
    for file in ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"] {
        assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(again.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn existing_folders_are_kept_unless_forced() {
    let dir = TempDir::new();
    let out = make(&dir);
    let source = import::open(&dir.join("source")).unwrap();
    let write = |to: &Path, force| folder::write(&source, to, &Options { force, ..Options::default() });
    assert!(matches!(write(&out, false), Err(Error::Exists { foreign: false, .. })));
    fs::write(out.join("stale"), "x").unwrap();
    write(&out, true).unwrap();
    assert!(!out.join("stale").exists());
    // A folder that holds something else is never ours to delete.
    let err = write(&dir.join("source"), true);
    assert!(matches!(err, Err(Error::Exists { foreign: true, .. })));
    assert!(dir.join("source/model.safetensors").exists());
    assert_eq!(names(&dir.0), ["source", "tiny"]);
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let dir = TempDir::new();
    let mut all = tensors();
    all.get_mut("model.decoder.layer_norm.bias").unwrap().1[3] = f32::INFINITY;
    write_hf(&dir.join("source"), &all, Float::F32);
    let err = folder::write(&import::open(&dir.join("source")).unwrap(), &dir.join("out"), &Options::default()).unwrap_err();
    assert!(err.to_string().contains("model.decoder.layer_norm.bias: element 3 is not finite"), "{err}");
    assert_eq!(names(&dir.0), ["source"]);
}

/// Writes the model with one thing changed; gives why it is refused, and checks that nothing of it stays.
fn refused(change: impl FnOnce(&mut Tensors, &mut Value)) -> String {
    let dir = TempDir::new();
    let (mut all, mut text) = (tensors(), tokenizer());
    change(&mut all, &mut text);
    write_hf(&dir.join("source"), &all, Float::F32);
    fs::write(dir.join("source/tokenizer.json"), text.to_string()).unwrap();
    let error = folder::write(&import::open(&dir.join("source")).unwrap(), &dir.join("out"), &Options::default()).unwrap_err();
    assert_eq!(names(&dir.0), ["source"]);
    let line = error.to_string();
    assert!(line.contains("the runtime does not take this model: ") && line.contains("source") && line.lines().count() == 1, "{line}");
    line
}

#[test]
fn what_the_runtime_cannot_open_or_run_is_not_published() {
    let line = refused(|_, tokenizer| drop(tokenizer["model"].as_object_mut().unwrap().remove("vocab")));
    assert!(line.contains("tokenizer.json: missing field `model.vocab`"), "{line}");
    let line = refused(|_, tokenizer| drop(tokenizer["model"]["vocab"].as_object_mut().unwrap().remove("t7")));
    assert!(line.contains("tokenizer.json: token 7 has no text"), "{line}");
    let line = refused(|all, _| all.get_mut("model.encoder.layer_norm.weight").unwrap().1.fill(f32::MAX));
    assert!(line.contains("the encoder's values for a window of zeros are not finite numbers"), "{line}");
    let line = refused(|all, _| all.get_mut("model.decoder.layers.0.fc2.bias").unwrap().1.fill(f32::MAX));
    assert!(line.contains("the decoder's scores"), "{line}");
}

#[test]
fn misaligned_tensors_are_refused_by_the_writer() {
    let slot = store::Slot { name: "x".into(), element: store::Element::F32, shape: vec![15] };
    let refused = store::header(&[slot], &BTreeMap::new()).unwrap_err();
    assert_eq!(refused, store::Misaligned { name: "x".into(), bytes: 60 });
    assert_eq!(pack::padded_rows(46), 48);
}

#[test]
fn the_float_folder_reads_back_the_same() {
    let dir = TempDir::new();
    write_ct2(&dir.join("ct2"), &ct2_variables(&tensors(), Float::F16));
    let source = import::open(&dir.join("ct2")).unwrap();
    float_folder::write(&source, &dir.join("f32"), false).unwrap();
    let again = import::open(&dir.join("f32")).unwrap();
    assert_eq!(again.model.config(), source.model.config());
    assert_eq!(again.generation, source.generation);
    for (name, _) in source.model.tensors() {
        assert_eq!(again.model.values(name).unwrap(), source.model.values(name).unwrap(), "{name}");
    }
}
