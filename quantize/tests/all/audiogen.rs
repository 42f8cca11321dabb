//! A MusicGen from Hugging Face with weights by formula: the folder that is written makes sound, and one line for what is not taken.

use std::fs;
use std::path::Path;

use ossicle::generate::{Beginning, Options, Request, SoundGenerator, describe};
use ossicle_kernels::simd::Isa;
use ossicle_quantize::audiogen::{Codes, LanguageModel, Task, Text};
use ossicle_quantize::encodec::Codec;
use ossicle_quantize::t5::{self, Encoder};
use serde_json::{Value, json};

use crate::common::TempDir;
use crate::encodec::{self, Tensors, hugging_face};

const WIDTH: usize = 64;
const TEXT: usize = 32;

fn config() -> Value {
    json!({
        "model_type": "musicgen",
        "audio_encoder": encodec::config(),
        "decoder": {
            "model_type": "musicgen_decoder", "vocab_size": 16, "num_hidden_layers": 2, "ffn_dim": 96, "num_attention_heads": 1,
            "hidden_size": WIDTH, "num_codebooks": 2, "max_position_embeddings": 512, "activation_function": "gelu", "audio_channels": 1,
        },
        "text_encoder": {
            "model_type": "t5", "vocab_size": 20, "d_model": TEXT, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 3,
            "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16, "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu",
        },
    })
}

fn tensors() -> Tensors {
    let mut tensors: Tensors = encodec::tensors().into_iter().map(|(name, tensor)| (format!("audio_encoder.{name}"), tensor)).collect();
    let mut seed = 1u32;
    let mut add = |name: String, shape: &[usize]| {
        let scale = if shape.len() == 2 { 1.5 / (shape[1] as f32).sqrt() } else { 0.2 };
        let one = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let value = |_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            one + scale * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        let values = (0..shape.iter().product::<usize>()).map(value).collect();
        tensors.insert(name, (shape.to_vec(), values));
    };
    for k in 0..2 {
        add(format!("decoder.model.decoder.embed_tokens.{k}.weight"), &[17, WIDTH]);
        add(format!("decoder.lm_heads.{k}.weight"), &[16, WIDTH]);
    }
    for part in ["weight", "bias"] {
        add(format!("decoder.model.decoder.layer_norm.{part}"), &[WIDTH]);
    }
    for i in 0..2 {
        let name = |part: &str| format!("decoder.model.decoder.layers.{i}.{part}");
        for attention in ["self_attn", "encoder_attn"] {
            for part in ["q", "k", "v", "out"] {
                add(name(&format!("{attention}.{part}_proj.weight")), &[WIDTH, WIDTH]);
            }
        }
        for norm in ["self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"] {
            for part in ["weight", "bias"] {
                add(name(&format!("{norm}.{part}")), &[WIDTH]);
            }
        }
        add(name("fc1.weight"), &[96, WIDTH]);
        add(name("fc2.weight"), &[WIDTH, 96]);
        let name = |part: &str| format!("text_encoder.encoder.block.{i}.layer.{part}.weight");
        for part in ["q", "k", "v"] {
            add(name(&format!("0.SelfAttention.{part}")), &[48, TEXT]);
        }
        add(name("0.SelfAttention.o"), &[TEXT, 48]);
        add(name("0.layer_norm"), &[TEXT]);
        add(name("1.DenseReluDense.wi"), &[48, TEXT]);
        add(name("1.DenseReluDense.wo"), &[TEXT, 48]);
        add(name("1.layer_norm"), &[TEXT]);
    }
    add("enc_to_dec_proj.weight".into(), &[WIDTH, TEXT]);
    add("enc_to_dec_proj.bias".into(), &[WIDTH]);
    add("text_encoder.shared.weight".into(), &[20, TEXT]);
    add("text_encoder.encoder.final_layer_norm.weight".into(), &[TEXT]);
    add("text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight".into(), &[8, 3]);
    tensors
}

fn source(folder: &Path, config: &Value, tensors: &Tensors) {
    hugging_face(folder, config, tensors);
    let tokenizer = json!({
        "added_tokens": [], "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u{2581}dog", -1.0], ["s", -2.0]]},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

fn decibels(exact: &[f32], other: &[f32]) -> f64 {
    let sum = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
    10.0 * (sum(&mut exact.iter().copied()) / sum(&mut exact.iter().zip(other).map(|(a, b)| a - b))).log10()
}

#[test]
fn what_is_written_makes_sound() {
    let folder = TempDir::new();
    let (from, to) = (folder.join("musicgen"), folder.join("model"));
    source(&from, &config(), &tensors());
    let (model, codec, encoder) = (LanguageModel::open(&from).unwrap(), Codec::open(&from).unwrap(), Encoder::open(&from).unwrap());
    assert_eq!((model.config().text_size, model.config().text_projection, encoder.config().d_model), (TEXT, true, TEXT));
    model.write(&Codes::Encodec(&codec), &Text::T5(&encoder), &to, &Task::default()).unwrap();
    ossicle_models::folder::verify(&to).unwrap();
    fs::write(to.join("codec/config.json"), "{}").unwrap();
    assert!(ossicle_models::folder::verify(&to).is_err(), "a part is damaged");
    model.write(&Codes::Encodec(&codec), &Text::T5(&encoder), &to, &Task { force: true, ..Task::default() }).unwrap();
    // An encoder that was made before gives the same folder.
    encoder.write(&folder.join("t5"), &t5::Task::default()).unwrap();
    model.write(&Codes::Encodec(&codec), &Text::Folder(&folder.join("t5")), &folder.join("other"), &Task::default()).unwrap();
    for file in ["SHA256SUMS", "codec/SHA256SUMS", "text/model.safetensors"] {
        let skip_card = |text: Vec<u8>| String::from_utf8_lossy(&text).lines().filter(|line| !line.contains("README")).collect::<String>();
        assert!(skip_card(fs::read(to.join(file)).unwrap()) == skip_card(fs::read(folder.join("other").join(file)).unwrap()), "{file}");
    }

    // So does a codec that was made before.
    codec.write(&folder.join("codec"), &ossicle_quantize::encodec::Task::default()).unwrap();
    model.write(&Codes::Folder(&folder.join("codec")), &Text::T5(&encoder), &folder.join("third"), &Task::default()).unwrap();
    let weights = |name: &str| fs::read(folder.join(name).join("codec/model.safetensors")).unwrap();
    assert!(weights("third") == weights("model"));

    let options = Options { isa: Isa::detect(), threads: 1 };
    let descriptions = describe(&to, options, &["dogs", "s"]).unwrap();
    let request = Request { seed: 3, ..Request::new(&to, 0.1).unwrap() };
    assert_eq!((request.guidance, request.sampling.top_k), (3.0, 250));
    let mut generator = SoundGenerator::open(&to, options, request, 2).unwrap();
    let mut sounds = vec![];
    for description in &descriptions {
        let mut sound = vec![];
        let mut last = 0;
        let mut progress = |progress: ossicle::generate::Progress| {
            last = progress.done;
            assert!(progress.done <= progress.steps);
            true
        };
        generator.generate(description, request, &mut |samples| sound.extend_from_slice(samples), &mut progress).unwrap();
        assert!(sound.len() == 1600 && last >= 801 && sound.iter().all(|x| x.is_finite()));
        sounds.push(sound);
    }
    assert_ne!(sounds[0], sounds[1]);
    // Stopped early, there is what was made so far.
    let mut stopped = vec![];
    let mut progress = |progress: ossicle::generate::Progress| progress.done < 101;
    generator.generate(&descriptions[0], request, &mut |samples| stopped.extend_from_slice(samples), &mut progress).unwrap();
    assert!(stopped.len() == 200 && stopped[..150] == sounds[0][..150]);

    // What goes on from a sound begins with it, as the codec gives it back, whatever of it the model still sees.
    let beginning = Beginning::new(&to, options, &sounds[0], 16_000).unwrap();
    let request = Request { given: beginning.frames(), ..request };
    let mut generator = SoundGenerator::open(&to, options, request, 2).unwrap();
    let mut longer = vec![];
    generator.go_on(&beginning, &descriptions[0], request, &mut |samples| longer.extend_from_slice(samples), &mut |_| true).unwrap();
    assert_eq!((beginning.frames(), longer.len()), (800, 3200));
    assert!(longer.iter().all(|x| x.is_finite()));
    assert!(generator.generate(&descriptions[0], request, &mut |_| {}, &mut |_| true).is_err(), "no beginning");
    assert!(Beginning::new(&to, options, &[], 16_000).is_err() && Beginning::new(&to, options, &sounds[0], 8000).is_err());

    // A model whose encoder lies next to it gives the same sound, and no other encoder is taken for it.
    model.write(&Codes::Encodec(&codec), &Text::Beside(&folder.join("t5")), &folder.join("sharing"), &Task::default()).unwrap();
    let sharing = folder.join("sharing");
    assert!(!sharing.join("text").exists());
    assert_eq!(describe(&sharing, options, &["dogs", "s"]).unwrap(), descriptions);
    let mut weights = fs::read(folder.join("t5/model.safetensors")).unwrap();
    *weights.last_mut().unwrap() ^= 1;
    fs::write(folder.join("t5/model.safetensors"), weights).unwrap();
    assert!(describe(&sharing, options, &["dogs"]).unwrap_err().to_string().contains("not the weights"));
    fs::rename(folder.join("t5"), folder.join("t6")).unwrap();
    assert!(describe(&sharing, options, &["dogs"]).unwrap_err().to_string().contains("need the model t5"));
}

#[test]
fn int8_is_near_to_float() {
    let folder = TempDir::new();
    source(&folder.0, &config(), &tensors());
    let (model, encoder) = (LanguageModel::open(&folder.0).unwrap(), Encoder::open(&folder.0).unwrap());
    let text = [3, 4, 4, 1];
    let rows = encoder.rows(&text, &mut |_| {});
    fs::create_dir(folder.join("text")).unwrap();
    encoder.put(&folder.join("text")).unwrap();
    let near = decibels(&rows, &encoder.run(&folder.join("text"), &text).unwrap());
    assert!(near > 25.0, "T5: {near} dB");
    let tokens: Vec<u32> = (0..40).map(|i| if i < 2 { 16 } else { (7 * i * i + i) % 16 }).collect();
    fs::create_dir(folder.join("model")).unwrap();
    model.put(&folder.join("model")).unwrap();
    let ints = model.run(&folder.join("model"), &tokens, &rows).unwrap();
    for (row, text) in [(0, &rows[..]), (1, &[])] {
        let own: Vec<f32> = ints.chunks_exact(64).flat_map(|step| &step[row * 32..][..32]).copied().collect();
        let near = decibels(&model.logits(&tokens, text, &mut |_| {}), &own);
        assert!(near > 25.0, "row {row}: {near} dB");
    }
}

#[test]
fn what_is_not_taken_is_named() {
    let refused = |change: &dyn Fn(&mut Value, &mut Tensors)| {
        let folder = TempDir::new();
        let (mut config, mut tensors) = (config(), tensors());
        change(&mut config, &mut tensors);
        source(&folder.0, &config, &tensors);
        let model = LanguageModel::open(&folder.0).err().map(|e| e.to_string());
        let line = model.or_else(|| Encoder::open(&folder.0).err().map(|e| e.to_string())).expect("a refusal");
        assert!(!line.contains('\n'), "{line}");
        line
    };
    type Change = fn(&mut Value, &mut Tensors);
    let changes: [(Change, &str); 9] = [
        (|c, _| c["decoder"]["audio_channels"] = json!(2), "audio_channels is 2, 1 is possible"),
        (|c, _| c["decoder"]["activation_function"] = json!("relu"), "activation_function is \"relu\""),
        (|c, _| c["decoder"]["num_attention_heads"] = json!(2), "heads of 64 values are possible"),
        (|c, _| c["decoder"]["num_hidden_layers"] = json!(1), "does not belong to MusicGen's decoder"),
        (|c, _| c["decoder"]["num_hidden_layers"] = json!(3), "layers.2.self_attn_layer_norm.weight: missing"),
        (|c, _| c["text_encoder"]["feed_forward_proj"] = json!("gated-gelu"), "feed_forward_proj is \"gated-gelu\", \"relu\" is possible"),
        (|c, _| c["text_encoder"]["relative_attention_num_buckets"] = json!(7), "relative_attention_num_buckets is 7"),
        (|c, _| c["text_encoder"]["vocab_size"] = json!(4), "shared.weight: shape [20, 32], expected [4, 32]"),
        (|_, t| t.get_mut("enc_to_dec_proj.bias").unwrap().1[0] = f32::INFINITY, "enc_to_dec_proj.bias: element 0 is not finite"),
    ];
    for (change, words) in changes {
        let line = refused(&change);
        assert!(line.contains(words), "{line}");
    }
    // audiocraft's codec is no language model.
    let codec = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickles/compression_state_dict.bin");
    let line = LanguageModel::open(&codec).unwrap_err().to_string();
    assert!(line.contains("xp.cfg: lm_model is null, \"transformer_lm\" is possible"), "{line}");
}
