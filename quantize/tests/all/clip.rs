//! A small CLIP by Transformers' names: its towers in INT8 beside the floats, on every instruction set, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ossicle::classify::{Classifier, Labels};
use ossicle::embed::{ImageEncoder, Options, TextEncoder};
use ossicle::label::Image;
use ossicle_kernels::simd::Isa;
use ossicle_models::clip::{ClipConfig, TextGraph};
use ossicle_models::folder::ModelFolder;
use ossicle_quantize::clip::{Clip, Task, Towers};
use serde_json::{Value, json};

use crate::common::{Float, TempDir, Tensors, safetensors_file};

const WIDTH: usize = 64;
const INNER: usize = 96;
const SIDE: usize = 16;
const PATCH: usize = 8;
const TOKENS: usize = 24;
const PROJECTION: usize = 32;

/// Each byte twice, three merges, and the tokens around a text.
const VOCABULARY: usize = 256 * 2 + 3 + 2;

fn config() -> Value {
    let blocks = |layers: usize| {
        json!({"hidden_size": WIDTH, "intermediate_size": INNER, "num_attention_heads": 2, "num_hidden_layers": layers,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5})
    };
    let (mut text, mut vision) = (blocks(2), blocks(2));
    text["vocab_size"] = json!(VOCABULARY);
    text["max_position_embeddings"] = json!(TOKENS);
    vision["image_size"] = json!(SIDE);
    vision["patch_size"] = json!(PATCH);
    json!({"model_type": "clip", "projection_dim": PROJECTION, "text_config": text, "vision_config": vision})
}

/// Names and shapes as `CLIPModel` saves them, values of a normal distribution's range.
fn tensors() -> Tensors {
    let positions = (SIDE / PATCH) * (SIDE / PATCH) + 1;
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("logit_scale".into(), vec![]),
        ("vision_model.embeddings.class_embedding".into(), vec![WIDTH]),
        ("vision_model.embeddings.patch_embedding.weight".into(), vec![WIDTH, 3, PATCH, PATCH]),
        ("vision_model.embeddings.position_embedding.weight".into(), vec![positions, WIDTH]),
        ("visual_projection.weight".into(), vec![PROJECTION, WIDTH]),
        ("text_model.embeddings.token_embedding.weight".into(), vec![VOCABULARY, WIDTH]),
        ("text_model.embeddings.position_embedding.weight".into(), vec![TOKENS, WIDTH]),
        ("text_projection.weight".into(), vec![PROJECTION, WIDTH]),
    ];
    let mut vectors = |names: &[&str]| {
        shapes.extend(names.iter().flat_map(|name| ["weight", "bias"].map(|end| (format!("{name}.{end}"), vec![WIDTH]))));
    };
    vectors(&["vision_model.pre_layrnorm", "vision_model.post_layernorm", "text_model.final_layer_norm"]);
    for tower in ["vision_model", "text_model"] {
        for layer in 0..2 {
            let name = |part: &str| format!("{tower}.encoder.layers.{layer}.{part}");
            for part in ["layer_norm1", "layer_norm2"] {
                shapes.extend(["weight", "bias"].map(|end| (format!("{}.{end}", name(part)), vec![WIDTH])));
            }
            let square = ["q_proj", "k_proj", "v_proj", "out_proj"].map(|part| (format!("self_attn.{part}"), WIDTH, WIDTH));
            let wide = [("mlp.fc1".to_owned(), INNER, WIDTH), ("mlp.fc2".to_owned(), WIDTH, INNER)];
            for (part, outputs, inputs) in square.into_iter().chain(wide) {
                shapes.push((format!("{}.weight", name(&part)), vec![outputs, inputs]));
                shapes.push((format!("{}.bias", name(&part)), vec![outputs]));
            }
        }
    }
    let mut next = normal();
    let value = |name: &str, x: f32| match name {
        "logit_scale" => 2.0,
        _ if name.contains("norm") && name.ends_with("weight") => 1.0 + 0.2 * x,
        _ if name.ends_with("bias") => 0.1 * x,
        _ => 0.3 * x,
    };
    let filled = shapes.into_iter().map(|(name, shape)| {
        let values = (0..shape.iter().product()).map(|_| value(&name, next())).collect();
        (name, (shape, values))
    });
    filled.collect()
}

/// Values of a normal distribution, nearly.
pub(crate) fn normal() -> impl FnMut() -> f32 {
    let mut state = 7u32;
    move || {
        // A sum of four is near enough.
        (0..4).fold(0.0, |sum, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum + (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
    }
}

/// The character that stands for a byte, found in another way than the tokenizer does.
fn character(byte: u8) -> char {
    let seen: Vec<u8> = (33..=126).chain(161..=172).chain(174..=255).collect();
    match seen.contains(&byte) {
        true => char::from(byte),
        false => char::from_u32(256 + (0..byte).filter(|byte| !seen.contains(byte)).count() as u32).unwrap(),
    }
}

fn tokenizer() -> Value {
    let bytes: Vec<String> = (0..=255).map(|byte| character(byte).to_string()).collect();
    let ends = bytes.iter().map(|byte| format!("{byte}</w>"));
    let more = ["ca", "cat</w>", "do", "<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let tokens: Vec<String> = bytes.iter().cloned().chain(ends).chain(more).collect();
    let vocabulary: BTreeMap<&str, usize> = tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let added = |content: &str| json!({"id": vocabulary[content], "content": content, "normalized": true, "special": true});
    json!({
        "added_tokens": [added("<|startoftext|>"), added("<|endoftext|>")],
        "normalizer": {"type": "Sequence", "normalizers":
            [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", VOCABULARY - 1], "cls": ["<|startoftext|>", VOCABULARY - 2]},
        "model": {"type": "BPE", "unk_token": "<|endoftext|>", "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
            "vocab": vocabulary, "merges": ["c a", ["ca", "t</w>"], "d o"]},
    })
}

/// A checkpoint in a folder of its own.
fn checkpoint(temp: &TempDir, config: &Value, tensors: &Tensors) -> std::path::PathBuf {
    let folder = temp.join("clip");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    fs::write(folder.join("model.safetensors"), safetensors_file(tensors, Float::F32)).unwrap();
    folder
}

fn import(source: &Path, folder: &Path, towers: Towers, task: &Task) -> Clip {
    let mut clip = Clip::open(source, towers).unwrap();
    clip.write(folder, task, &mut |_| {}).unwrap();
    clip
}

/// An image of waves, each another.
pub(crate) fn image(index: usize) -> Image {
    let pixel = |at: usize| ((at * (index + 3) * 37 + at * at * (index + 1)) % 256) as u8;
    Image::new(20, (0..20 * 18 * 3).map(pixel).collect()).unwrap()
}

const TEXTS: [&str; 5] = ["a photo of a cat", "Dog", "", "two  cats' doors", "twenty four characters are more than it reads"];

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn int8_is_near_the_floats_and_the_same_on_every_instruction_set() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    let clip = import(&source, &folder, Towers::Both, &Task::default());
    let Some(ossicle::label::Preprocessor::Pixels(pixels)) = clip.preprocessor() else { panic!("images") };
    let target = ossicle::label::Target { height: SIDE, width: SIDE, channels: 3 };
    let inputs: Vec<Vec<f32>> = (0..6).map(|index| pixels.apply(&image(index), target)).collect();
    let floats = clip.image_vectors(&inputs).unwrap();
    let texts = clip.text_vectors(&TEXTS).unwrap();
    // What is compared differs from one input to the next.
    assert!(cosine(&floats[0], &floats[1]) < 0.98 && cosine(&texts[0], &texts[1]) < 0.98);
    let mut first: Option<[Vec<Vec<f32>>; 2]> = None;
    for isa in Isa::available() {
        for threads in [1, 3] {
            let options = Options { isa, threads, ..Options::default() };
            let mut encoder = ImageEncoder::open(&folder, options).unwrap();
            let images: Vec<Vec<f32>> = (0..6).map(|index| encoder.encode(&image(index)).unwrap().to_vec()).collect();
            let mut encoder = TextEncoder::open(&folder, options).unwrap();
            let vectors: Vec<Vec<f32>> = TEXTS.iter().map(|text| encoder.encode(text).unwrap().vector.to_vec()).collect();
            for (ours, float) in images.iter().zip(&floats).chain(vectors.iter().zip(&texts)) {
                assert!(cosine(ours, float) > 0.995, "{isa}: {}", cosine(ours, float));
                assert!((cosine(ours, ours) - 1.0).abs() < 1e-5);
            }
            let found = [images, vectors];
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{isa}, {threads} threads");
        }
    }
    let mut encoder = TextEncoder::open(&folder, Options::default()).unwrap();
    let left_out = TEXTS.map(|text| encoder.encode(text).unwrap().left_out);
    assert_eq!(left_out[..4], [0; 4]);
    assert!(left_out[4] > 0);
}

#[test]
fn a_text_has_the_same_bits_whatever_follows_its_end() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    import(&source, &folder, Towers::Text, &Task::default());
    let folder: Arc<ModelFolder<ClipConfig>> = ModelFolder::open(&folder).unwrap();
    let mut graph = TextGraph::new(folder, ossicle_models::Options { isa: Isa::detect(), threads: 1 }, usize::MAX).unwrap();
    let (start, end) = (VOCABULARY as u32 - 2, VOCABULARY as u32 - 1);
    let short = [start, 512, 513, end];
    let vector = graph.run(&short).unwrap().to_vec();
    // Each length has a plan of its own, up to the longest.
    for length in 5..=TOKENS {
        let padded: Vec<u32> = short.iter().copied().chain((4..length as u32).map(|i| i * 11 % 500)).collect();
        assert_eq!(graph.run(&padded).unwrap(), vector, "{length} tokens");
    }
    assert_ne!(graph.run(&[start, 512, 514, end]).unwrap(), vector);
    assert!(graph.run(&[]).is_err() && graph.run(&[1; TOKENS + 1]).is_err() && graph.run(&[VOCABULARY as u32]).is_err());
}

#[test]
fn labels_are_scored_by_the_softmax_of_scaled_cosines() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    import(&source, &folder, Towers::Both, &Task::default());
    let names = ["a cat", "a dog", "nothing"].map(str::to_owned).to_vec();
    let mut classifier = Classifier::open(&folder, &Labels::new(names.clone()), Options::default()).unwrap();
    let scores = classifier.classify(&image(1)).unwrap().to_vec();
    let mut texts = TextEncoder::open(&folder, Options::default()).unwrap();
    let vectors: Vec<Vec<f32>> = names.iter().map(|name| texts.encode(name).unwrap().vector.to_vec()).collect();
    let mut images = ImageEncoder::open(&folder, Options::default()).unwrap();
    let vector = images.encode(&image(1)).unwrap();
    let powers: Vec<f64> = vectors.iter().map(|text| f64::from(2f32.exp() * cosine(vector, text)).exp()).collect();
    for (score, power) in scores.iter().zip(&powers) {
        assert!((f64::from(*score) - power / powers.iter().sum::<f64>()).abs() < 1e-5, "{scores:?} {powers:?}");
    }
    // A template's sentence is the label's.
    let labels = Labels { names: vec!["cat".into()], templates: vec!["a {}".into()], tuning: None };
    let mut one = Classifier::open(&folder, &labels, Options::default()).unwrap();
    assert_eq!(one.classify(&image(1)).unwrap(), [1.0]);
}

#[test]
fn one_tower_may_be_all_there_is() {
    let temp = TempDir::new();
    let source = checkpoint(&temp, &config(), &tensors());
    let (images, texts) = (temp.join("images"), temp.join("texts"));
    import(&source, &images, Towers::Image, &Task::default());
    import(&source, &texts, Towers::Text, &Task::default());
    assert!(ImageEncoder::open(&images, Options::default()).is_ok() && TextEncoder::open(&texts, Options::default()).is_ok());
    assert!(TextEncoder::open(&images, Options::default()).unwrap_err().to_string().contains("texts"));
    assert!(ImageEncoder::open(&texts, Options::default()).unwrap_err().to_string().contains("images"));
    assert!(!images.join("tokenizer.json").exists() && !texts.join("preprocessor_config.json").exists());
}

#[test]
fn what_does_not_belong_is_refused_by_name() {
    let all = tensors();
    let refused = |change: &dyn Fn(&mut Tensors, &mut Value)| {
        let temp = TempDir::new();
        let (mut tensors, mut config) = (all.clone(), config());
        change(&mut tensors, &mut config);
        match Clip::open(&checkpoint(&temp, &config, &tensors), Towers::Both) {
            Ok(_) => panic!("taken"),
            Err(error) => error.to_string(),
        }
    };
    let odd = refused(&|tensors, _| {
        tensors.insert("text_model.adapter.weight".into(), (vec![1], vec![0.0]));
    });
    assert!(odd.contains("text_model.adapter.weight"), "{odd}");
    let odd = refused(&|tensors, _| {
        tensors.insert("visual.proj".into(), (vec![1], vec![0.0]));
    });
    assert!(odd.contains("visual.proj"), "{odd}");
    let missing = refused(&|tensors, _| drop(tensors.remove("vision_model.encoder.layers.1.mlp.fc2.bias")));
    assert!(missing.contains("vision_model.encoder.layers.1.mlp.fc2.bias"), "{missing}");
    let shape = refused(&|_, config| config["text_config"]["intermediate_size"] = json!(128));
    assert!(shape.contains("mlp.fc1.weight"), "{shape}");
    let infinite = refused(&|tensors, _| {
        if let Some((_, values)) = tensors.get_mut("text_projection.weight") {
            values[3] = f32::INFINITY;
        }
    });
    assert!(infinite.contains("text_projection.weight"), "{infinite}");
    let act = refused(&|_, config| config["vision_config"]["hidden_act"] = json!("relu"));
    assert!(act.contains("hidden_act"), "{act}");
}
