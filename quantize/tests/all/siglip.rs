//! A small SigLIP by Transformers' names: its towers in INT8 beside the floats, on every instruction set, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use ossicle::classify::{Classifier, Labels};
use ossicle::embed::{ImageEncoder, Options, TextEncoder};
use ossicle::label::{Preprocessor, Target};
use ossicle_kernels::simd::Isa;
use ossicle_quantize::clip::{Clip, Task, Towers};
use serde_json::{Value, json};

use crate::clip::{cosine, image, normal};
use crate::common::{Float, TempDir, Tensors, safetensors_file};

const WIDTH: usize = 64;
const INNER: usize = 96;
const SIDE: usize = 16;
const PATCH: usize = 8;
const TOKENS: usize = 12;

/// Pieces of the tokenizer, the likeliest first.
const PIECES: [&str; 12] = ["<pad>", "</s>", "<unk>", "\u{2581}a", "\u{2581}cat", "\u{2581}dog", "s", "\u{2581}", "c", "a", "t", "d"];

const SCALE: f32 = 2.5;
const BIAS: f32 = -3.0;

fn config() -> Value {
    let blocks = || json!({"hidden_size": WIDTH, "intermediate_size": INNER, "num_attention_heads": 2, "num_hidden_layers": 2});
    let (mut text, mut vision) = (blocks(), blocks());
    text["vocab_size"] = json!(PIECES.len());
    text["max_position_embeddings"] = json!(TOKENS);
    vision["image_size"] = json!(SIDE);
    vision["patch_size"] = json!(PATCH);
    json!({"model_type": "siglip", "text_config": text, "vision_config": vision})
}

/// Names and shapes as `SiglipModel` saves them.
fn tensors() -> Tensors {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("logit_scale".into(), vec![1]),
        ("logit_bias".into(), vec![1]),
        ("vision_model.embeddings.patch_embedding.weight".into(), vec![WIDTH, 3, PATCH, PATCH]),
        ("vision_model.embeddings.patch_embedding.bias".into(), vec![WIDTH]),
        ("vision_model.embeddings.position_embedding.weight".into(), vec![(SIDE / PATCH) * (SIDE / PATCH), WIDTH]),
        ("vision_model.head.probe".into(), vec![1, 1, WIDTH]),
        ("vision_model.head.attention.in_proj_weight".into(), vec![3 * WIDTH, WIDTH]),
        ("vision_model.head.attention.in_proj_bias".into(), vec![3 * WIDTH]),
        ("text_model.embeddings.token_embedding.weight".into(), vec![PIECES.len(), WIDTH]),
        ("text_model.embeddings.position_embedding.weight".into(), vec![TOKENS, WIDTH]),
    ];
    let mut layer = |name: String, sizes: &[usize]| {
        shapes.push((format!("{name}.weight"), sizes.to_vec()));
        shapes.push((format!("{name}.bias"), sizes[..1].to_vec()));
    };
    for norm in ["vision_model.post_layernorm", "vision_model.head.layernorm", "text_model.final_layer_norm"] {
        layer(norm.into(), &[WIDTH]);
    }
    layer("vision_model.head.attention.out_proj".into(), &[WIDTH, WIDTH]);
    layer("text_model.head".into(), &[WIDTH, WIDTH]);
    let of_layers = (0..2).map(|at| format!("encoder.layers.{at}"));
    let blocks: Vec<String> =
        ["vision_model", "text_model"].iter().flat_map(|tower| of_layers.clone().map(move |at| format!("{tower}.{at}"))).collect();
    for block in &blocks {
        for norm in ["layer_norm1", "layer_norm2"] {
            layer(format!("{block}.{norm}"), &[WIDTH]);
        }
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            layer(format!("{block}.self_attn.{part}"), &[WIDTH, WIDTH]);
        }
    }
    for block in blocks.iter().map(String::as_str).chain(["vision_model.head"]) {
        layer(format!("{block}.mlp.fc1"), &[INNER, WIDTH]);
        layer(format!("{block}.mlp.fc2"), &[WIDTH, INNER]);
    }
    let mut next = normal();
    let value = |name: &str, x: f32| match name {
        "logit_scale" => SCALE,
        "logit_bias" => BIAS,
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

fn tokenizer() -> Value {
    let vocabulary: Vec<Value> =
        PIECES.iter().enumerate().map(|(at, piece)| json!([piece, if at < 3 { 0.0 } else { -(at as f64) }])).collect();
    let end = json!({"id": 1, "content": "</s>", "lstrip": true, "rstrip": true, "normalized": false, "special": true});
    let punctuation = r##"[!"\#\$%\&'\(\)\*\+,\-\./:;<=>\?@\[\\\]\^_`\{\|\}\~]"##;
    json!({
        "added_tokens": [end],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": punctuation}, "content": ""},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
            {"type": "Strip", "strip_left": true, "strip_right": true}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            "special_tokens": {"</s>": {"ids": [1]}}},
        "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false, "vocab": vocabulary},
    })
}

fn checkpoint(temp: &TempDir, config: &Value, tensors: &Tensors) -> PathBuf {
    let folder = temp.join("siglip");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    fs::write(folder.join("model.safetensors"), safetensors_file(tensors, Float::F32)).unwrap();
    folder
}

fn import(source: &Path, folder: &Path, towers: Towers) -> Clip {
    let mut clip = Clip::open(source, towers).unwrap();
    clip.write(folder, &Task::default(), &mut |_| {}).unwrap();
    clip
}

const TEXTS: [&str; 5] = ["a cat", "A dog!", "", "cats & dogs", "a cat a cat a cat a cat a cat a cat a cat"];

#[test]
fn int8_is_near_the_floats_and_the_same_on_every_instruction_set() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    let clip = import(&source, &folder, Towers::Both);
    assert_eq!(clip.tokens(" A cat's\u{a0}dog."), [3, 4, 6, 5, 1]);
    let Some(Preprocessor::Pixels(pixels)) = clip.preprocessor() else { panic!("images") };
    let target = Target { height: SIDE, width: SIDE, channels: 3 };
    let inputs: Vec<Vec<f32>> = (0..6).map(|index| pixels.apply(&image(index), target)).collect();
    assert!(inputs.iter().flatten().all(|x| (-1.0..=1.0).contains(x)), "from -1 to 1");
    let floats = clip.image_vectors(&inputs).unwrap();
    let texts = clip.text_vectors(&TEXTS).unwrap();
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
            }
            let found = [images, vectors];
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{isa}, {threads} threads");
        }
    }
    let mut encoder = TextEncoder::open(&folder, Options::default()).unwrap();
    let left_out = TEXTS.map(|text| encoder.encode(text).unwrap().left_out);
    assert_eq!(left_out[..4], [0; 4]);
    assert_eq!(left_out[4], 14 - (TOKENS - 1));
}

#[test]
fn each_label_has_a_score_of_its_own() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    import(&source, &folder, Towers::Both);
    let names = ["a cat", "a dog", "cats"].map(str::to_owned).to_vec();
    let mut classifier = Classifier::open(&folder, &Labels::new(names.clone()), Options::default()).unwrap();
    assert!(classifier.scores_each());
    let scores = classifier.classify(&image(1)).unwrap().to_vec();
    let mut texts = TextEncoder::open(&folder, Options::default()).unwrap();
    let mut images = ImageEncoder::open(&folder, Options::default()).unwrap();
    let vector = images.encode(&image(1)).unwrap();
    for (name, score) in names.iter().zip(scores) {
        let logit = f64::from(SCALE.exp() * cosine(vector, texts.encode(name).unwrap().vector) + BIAS);
        assert!((f64::from(score) - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-5, "{name}: {score}");
    }
}

#[test]
fn an_image_tower_needs_no_tokenizer() {
    let temp = TempDir::new();
    let (source, folder) = (checkpoint(&temp, &config(), &tensors()), temp.join("int8"));
    fs::remove_file(source.join("tokenizer.json")).unwrap();
    import(&source, &folder, Towers::Image);
    assert!(ImageEncoder::open(&folder, Options::default()).is_ok() && TextEncoder::open(&folder, Options::default()).is_err());
    assert!(Clip::open(&source, Towers::Both).err().unwrap().to_string().contains("tokenizer.json"));
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
    for name in ["logit_bias", "vision_model.head.probe", "vision_model.head.attention.in_proj_bias", "text_model.head.bias"] {
        let line = refused(&|tensors, _| drop(tensors.remove(name)));
        assert!(line.contains(name), "{line}");
    }
    let odd = refused(&|tensors, _| {
        tensors.insert("vision_model.head.mlp.fc3.weight".into(), (vec![1], vec![0.0]));
    });
    assert!(odd.contains("vision_model.head.mlp.fc3.weight"), "{odd}");
    let shape = refused(&|tensors, _| {
        tensors.insert("logit_scale".into(), (vec![2], vec![0.0, 0.0]));
    });
    assert!(shape.contains("logit_scale"), "{shape}");
    let head = refused(&|_, config| config["vision_config"]["vision_use_head"] = json!(false));
    assert!(head.contains("vision_use_head"), "{head}");
    let pad = refused(&|_, config| config["text_config"]["pad_token_id"] = json!(99));
    assert!(pad.contains("99"), "{pad}");
}

/// A SigLIP 2 has Gemma's tokenizer; here with images of which an edge is left over.
#[test]
fn siglip_2_reads_gemma_s_tokens() {
    const PIECES: usize = 701;
    let temp = TempDir::new();
    let (mut config, mut all) = (config(), tensors());
    config["text_config"]["vocab_size"] = json!(PIECES);
    config["vision_config"]["image_size"] = json!(SIDE + 3);
    let mut next = normal();
    let rows = (0..PIECES * WIDTH).map(|_| 0.3 * next()).collect();
    all.insert("text_model.embeddings.token_embedding.weight".into(), (vec![PIECES, WIDTH], rows));
    let source = checkpoint(&temp, &config, &all);
    let small = include_str!("../../../runtime/text/tests/pieces/small.json");
    fs::write(source.join("tokenizer.json"), small).unwrap();
    let folder = temp.join("int8");
    let clip = import(&source, &folder, Towers::Both);
    let [end, pad] = [1, 0];
    let tokens = clip.tokens("A Cat");
    assert_eq!(tokens, clip.tokens("a cat"));
    assert_eq!(tokens.last(), Some(&end));
    let written: Value = serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!((&written["text"]["pad_token_id"], &written["text"]["eos_token_id"]), (&json!(pad), &json!(end)));
    let floats = clip.text_vectors(&["A Cat", "a dog"]).unwrap();
    let mut texts = TextEncoder::open(&folder, Options::default()).unwrap();
    for (text, float) in ["A Cat", "a dog"].iter().zip(&floats) {
        let near = cosine(texts.encode(text).unwrap().vector, float);
        assert!(near > 0.995, "{text}: {near}");
    }
    // Large letters stay where the folder asks for that; texts that are filled up in front are refused.
    fs::write(source.join("tokenizer_config.json"), r#"{"do_lower_case": false, "padding_side": "right"}"#).unwrap();
    let large = Clip::open(&source, Towers::Text).unwrap();
    assert_ne!(large.tokens("A Cat"), large.tokens("a cat"));
    fs::write(source.join("tokenizer_config.json"), r#"{"padding_side": "left"}"#).unwrap();
    assert!(Clip::open(&source, Towers::Text).err().unwrap().to_string().contains("padding_side"));
}

#[test]
fn heads_wider_than_64_are_computed_in_float() {
    let temp = TempDir::new();
    let mut config = config();
    // Two heads of 72 values, as the so400m models have.
    const WIDE: usize = 144;
    for tower in ["text_config", "vision_config"] {
        config[tower]["hidden_size"] = json!(WIDE);
    }
    let wide = |n: usize| match n {
        WIDTH => WIDE,
        n if n == 3 * WIDTH => 3 * WIDE,
        n => n,
    };
    let mut next = normal();
    let all: Tensors = tensors()
        .into_iter()
        .map(|(name, (shape, values))| {
            let shape: Vec<usize> = shape.into_iter().map(wide).collect();
            let norm = name.contains("norm") && name.ends_with("weight");
            let value = |x: f32| {
                if norm {
                    1.0 + 0.2 * x
                } else if name.ends_with("bias") {
                    0.1 * x
                } else {
                    0.2 * x
                }
            };
            let count: usize = shape.iter().product();
            let values = if name.starts_with("logit") { values } else { (0..count).map(|_| value(next())).collect() };
            (name, (shape, values))
        })
        .collect();
    let (source, folder) = (checkpoint(&temp, &config, &all), temp.join("int8"));
    let clip = import(&source, &folder, Towers::Both);
    let written = fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(written.contains("wide_attention"), "{written}");
    let Some(Preprocessor::Pixels(pixels)) = clip.preprocessor() else { panic!("images") };
    let target = Target { height: SIDE, width: SIDE, channels: 3 };
    let inputs: Vec<Vec<f32>> = (0..4).map(|index| pixels.apply(&image(index), target)).collect();
    let (floats, texts) = (clip.image_vectors(&inputs).unwrap(), clip.text_vectors(&TEXTS).unwrap());
    let mut first: Option<Vec<Vec<f32>>> = None;
    for isa in Isa::available() {
        let options = Options { isa, threads: 2, ..Options::default() };
        let mut images = ImageEncoder::open(&folder, options).unwrap();
        let mut found: Vec<Vec<f32>> = (0..4).map(|index| images.encode(&image(index)).unwrap().to_vec()).collect();
        let mut encoder = TextEncoder::open(&folder, options).unwrap();
        found.extend(TEXTS.iter().map(|text| encoder.encode(text).unwrap().vector.to_vec()));
        for (ours, float) in found.iter().zip(floats.iter().chain(&texts)) {
            assert!(cosine(ours, float) > 0.995, "{isa}: {}", cosine(ours, float));
        }
        assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{isa}");
    }
}
