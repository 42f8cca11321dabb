//! Hugging Face checkpoints: precisions, shards, odd and wrong ones.

use std::fs;

use crate::common::{Float, TempDir, Tensors, config, safetensors_file, tensors, tokenizer, write_hf, write_hf_sharded, write_hf_texts};
use ossicle_quantize::{Error, Source, import};
use proptest::prelude::*;
use serde_json::{Value, json};

fn open(all: &Tensors, float: Float) -> Result<Source, Error> {
    let dir = TempDir::new();
    write_hf(&dir.0, all, float);
    import::open(&dir.0)
}

fn check_values(source: &Source) {
    for (name, (_, values)) in tensors() {
        assert_eq!(source.model.values(&name).unwrap(), values, "{name}");
    }
    assert_eq!(source.model.config(), &config());
}

#[test]
fn every_precision_reads_the_same() {
    for float in [Float::F32, Float::F16, Float::Bf16] {
        check_values(&open(&tensors(), float).unwrap());
    }
}

#[test]
fn shards_join() {
    let dir = TempDir::new();
    write_hf_sharded(&dir.0, &tensors(), Float::Bf16);
    check_values(&import::open(&dir.0).unwrap());

    fs::remove_file(dir.join("model-2-of-2.safetensors")).unwrap();
    let text = import::open(&dir.0).unwrap_err().to_string();
    assert!(text.contains("model-2-of-2.safetensors"), "{text}");
}

#[test]
fn shards_stay_inside_the_folder() {
    let dir = TempDir::new();
    write_hf_texts(&dir.0);
    for name in ["../model.safetensors", "a/b.safetensors", "", ".."] {
        let index = json!({"weight_map": {"x": name}});
        fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
        let text = import::open(&dir.0).unwrap_err().to_string();
        assert!(text.contains("expected a file of the same folder"), "{name:?}: {text}");
    }
}

#[test]
fn bare_names_and_a_tied_projection_are_fine() {
    let mut all: Tensors = tensors().into_iter().map(|(n, t)| (n.trim_start_matches("model.").to_owned(), t)).collect();
    check_values(&open(&all, Float::F32).unwrap());

    all = tensors();
    all.insert("proj_out.weight".into(), all["model.decoder.embed_tokens.weight"].clone());
    check_values(&open(&all, Float::F32).unwrap());
    all.get_mut("proj_out.weight").unwrap().1[7] += 1.0;
    assert!(open(&all, Float::F32).unwrap_err().to_string().contains("tied"));
}

#[test]
fn wrong_tensors_are_named() {
    let mut all = tensors();
    let name = "model.encoder.layers.1.fc2.weight";
    all.insert(name.into(), (vec![32, 128], all[name].1.clone()));
    let text = open(&all, Float::F32).unwrap_err().to_string();
    assert!(text.contains("layers.1.fc2.weight: shape [32, 128], expected [128, 32]"), "{text}");

    all.remove(name);
    assert!(open(&all, Float::F32).unwrap_err().to_string().contains("layers.1.fc2.weight: missing"));

    all = tensors();
    all.insert("model.encoder.extra".into(), (vec![1], vec![0.0]));
    assert!(open(&all, Float::F32).unwrap_err().to_string().contains("model.encoder.extra: not part"));

    all = tensors();
    all.get_mut(name).unwrap().1[5] = f32::NAN;
    let source = open(&all, Float::F16).unwrap();
    assert!(source.model.values(name).unwrap_err().to_string().contains("element 5 is not finite"));
}

fn with_text(file: &str, change: impl FnOnce(&mut Value)) -> Result<Source, Error> {
    let dir = TempDir::new();
    write_hf(&dir.0, &tensors(), Float::F16);
    let path = dir.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
    import::open(&dir.0)
}

fn refusal(file: &str, change: impl FnOnce(&mut Value)) -> String {
    let text = with_text(file, change).expect_err("must be refused").to_string();
    assert!(text.contains(file), "{text}");
    text
}

#[test]
fn wrong_configurations_are_named() {
    assert!(refusal("config.json", |v| v["model_type"] = json!("bert")).contains("expected \"whisper\""));
    assert!(refusal("config.json", |v| v["d_model"] = json!(0)).contains("d_model is 0"));
    assert!(refusal("config.json", |v| v["d_model"] = json!(u64::MAX)).contains("d_model"));
    assert!(refusal("config.json", |v| v["encoder_layers"] = json!(1_000_000)).contains("encoder_layers is 1000000"));
    assert!(refusal("config.json", |v| v["activation_function"] = json!("relu")).contains("expected \"gelu\""));
    assert!(refusal("config.json", |v| drop(v.as_object_mut().unwrap().remove("vocab_size"))).contains("vocab_size"));
    assert!(refusal("tokenizer.json", |v| v["added_tokens"][0]["content"] = json!("x")).contains("<|endoftext|>"));
    assert!(refusal("tokenizer.json", |v| v["added_tokens"][0]["id"] = json!(9999)).contains("1546 tokens"));
    assert!(refusal("generation_config.json", |v| v["suppress_tokens"] = json!([1546])).contains("1546"));
    assert!(refusal("generation_config.json", |v| v["alignment_heads"] = json!([[1, 0]])).contains("[1, 0]"));
}

/// The limits are those of the runtime, field by field.
#[test]
fn shapes_that_the_runtime_refuses_are_refused() {
    let say = |change: &dyn Fn(&mut Value)| refusal("config.json", change);
    assert!(say(&|v| v["decoder_attention_heads"] = json!(4)).contains("decoder_attention_heads is 4, but d_model 128 has heads of 64"));
    assert!(say(&|v| v["encoder_attention_heads"] = json!(1)).contains("encoder_attention_heads is 1, but d_model 128 has heads of 64"));
    assert!(say(&|v| v["d_model"] = json!(2112)).contains("d_model is 2112, not within 1..=2048"));
    assert!(say(&|v| v["decoder_layers"] = json!(65)).contains("decoder_layers is 65, not within 1..=64"));
    assert!(say(&|v| v["encoder_ffn_dim"] = json!(8208)).contains("encoder_ffn_dim is 8208"));
    assert!(say(&|v| v["decoder_ffn_dim"] = json!(40)).contains("not multiples of 16"));
    assert!(say(&|v| v["num_mel_bins"] = json!(96)).contains("num_mel_bins is 96, expected 80 or 128"));
    assert!(say(&|v| v["max_source_positions"] = json!(6001)).contains("max_source_positions is 6001"));
    assert!(say(&|v| v["max_target_positions"] = json!(4097)).contains("max_target_positions is 4097"));
}

#[test]
fn lists_may_be_absent_or_in_the_old_place() {
    let absent = with_text("generation_config.json", |v| *v = json!({"suppress_tokens": null})).unwrap();
    assert_eq!(absent.generation.alignment_heads, [[0, 0], [0, 1]]);
    assert!(absent.generation.suppress_tokens.is_empty());

    let dir = TempDir::new();
    write_hf(&dir.0, &tensors(), Float::F16);
    fs::remove_file(dir.join("generation_config.json")).unwrap();
    let mut old = json!(config());
    old["suppress_tokens"] = json!([4, 5]);
    fs::write(dir.join("config.json"), old.to_string()).unwrap();
    assert_eq!(import::open(&dir.0).unwrap().generation.suppress_tokens, [4, 5]);
}

#[test]
fn short_windows_are_kept() {
    let short = json!({"margin_seconds": 0.3, "step_seconds": 0.5});
    let taught = with_text("generation_config.json", |v| v["short_windows"] = short.clone()).unwrap();
    assert_eq!(json!(taught.generation)["short_windows"], short);
    let plain = with_text("generation_config.json", |_| ()).unwrap();
    assert!(json!(plain.generation).get("short_windows").is_none());
}

#[test]
fn newer_tokenizers_say_nospeech() {
    let source = with_text("tokenizer.json", |v| v["added_tokens"][8]["content"] = json!("<|nospeech|>")).unwrap();
    assert_eq!(source.generation.no_speech_token_id, 38);
}

#[test]
fn no_checkpoint_is_one_clear_line() {
    let dir = TempDir::new();
    assert!(import::open(&dir.0).unwrap_err().to_string().contains("no checkpoint here"));
    assert!(import::open(&dir.join("nowhere")).unwrap_err().to_string().contains("nowhere"));
    fs::write(dir.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    assert!(import::open(&dir.join("tokenizer.json")).is_err());
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let small = tensors().into_iter().filter(|(_, (_, values))| values.len() <= 128).collect();
        let mut file = safetensors_file(&small, Float::F16);
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize + 8;
        for (at, byte) in edits {
            file[at.index(header)] = byte;
        }
        let _ = ossicle_quantize::sources::safetensors::parse("x".as_ref(), file.into());
    }
}
