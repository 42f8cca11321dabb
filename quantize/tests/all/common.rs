//! A small Whisper that the runtime takes, in every source format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use half::{bf16, f16};
use ossicle_quantize::float::WhisperConfig;
use serde_json::{Value, json};

/// Name, shape and row-major values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A folder that is removed when the test ends.
pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ossicle-quantize-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Texts 0 to 29, ten specials, 1501 timestamps, five tokens that nothing uses.
pub const VOCABULARY: usize = 1546;

/// Two encoder and one decoder layers, two heads; tokens for 30 s of timestamps, and a last packed block that is ragged.
pub fn config() -> WhisperConfig {
    WhisperConfig {
        model_type: "whisper".into(),
        d_model: 128,
        encoder_layers: 2,
        encoder_attention_heads: 2,
        encoder_ffn_dim: 32,
        decoder_layers: 1,
        decoder_attention_heads: 2,
        decoder_ffn_dim: 48,
        num_mel_bins: 80,
        max_source_positions: 6,
        max_target_positions: 5,
        vocab_size: VOCABULARY,
        activation_function: "gelu".into(),
        scale_embedding: false,
    }
}

/// Values every source format holds exactly: multiples of 1/64 in [-1, 1).
pub fn tensors() -> Tensors {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 25) as f32 - 64.0) / 64.0
    };
    config()
        .tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = (0..shape.iter().product()).map(|_| next()).collect();
            (name, (shape, values))
        })
        .collect()
}

pub fn tokenizer() -> Value {
    let specials = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|de|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nocaptions|>",
        "<|notimestamps|>",
    ];
    let added: Vec<Value> = specials.iter().enumerate().map(|(i, s)| json!({"id": 30 + i, "content": s})).collect();
    let vocabulary: serde_json::Map<_, _> = (0..30).map(|i| (format!("t{i}"), json!(i))).collect();
    json!({"added_tokens": added, "model": {"type": "BPE", "vocab": vocabulary}})
}

/// How floats are stored.
#[derive(Clone, Copy, Debug)]
pub enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    pub fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        }
    }

    fn ct2_id(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::F16 => 4,
            Self::Bf16 => 5,
        }
    }

    fn safetensors_name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }
}

/// One CTranslate2 variable: name, dims, type id, bytes.
pub type Var = (String, Vec<u32>, u8, Vec<u8>);

fn stack(all: &Tensors, prefix: &str, parts: &[&str], kind: &str) -> (Vec<usize>, Vec<f32>) {
    let d = config().d_model;
    let mut rows = Vec::new();
    for part in parts {
        match all.get(&format!("{prefix}.{part}.{kind}")) {
            Some((_, values)) => rows.extend_from_slice(values),
            None => rows.resize(rows.len() + d, 0.0),
        }
    }
    let n = parts.len() * d;
    (if kind == "weight" { vec![n, d] } else { vec![n] }, rows)
}

/// The variables of a CTranslate2 file that holds `all`.
pub fn ct2_variables(all: &Tensors, float: Float) -> Vec<Var> {
    let mut vars: Vec<Var> = Vec::new();
    let mut add = |name: String, (shape, values): (Vec<usize>, Vec<f32>)| {
        vars.push((name, shape.iter().map(|d| *d as u32).collect(), float.ct2_id(), float.bytes(&values)));
    };
    for conv in ["conv1", "conv2"] {
        for part in ["weight", "bias"] {
            add(format!("encoder/{conv}/{part}"), all[&format!("model.encoder.{conv}.{part}")].clone());
        }
    }
    add("decoder/embeddings/weight".into(), all["model.decoder.embed_tokens.weight"].clone());
    for (s, layers) in [("encoder", config().encoder_layers), ("decoder", config().decoder_layers)] {
        add(format!("{s}/position_encodings/encodings"), all[&format!("model.{s}.embed_positions.weight")].clone());
        let mut norms = vec![(format!("{s}/layer_norm"), format!("model.{s}.layer_norm"))];
        for i in 0..layers {
            let (from, to) = (format!("model.{s}.layers.{i}"), format!("{s}/layer_{i}"));
            norms.push((format!("{to}/self_attention/layer_norm"), format!("{from}.self_attn_layer_norm")));
            norms.push((format!("{to}/ffn/layer_norm"), format!("{from}.final_layer_norm")));
            for kind in ["weight", "bias"] {
                let own = format!("{from}.self_attn");
                let qkv = stack(all, &own, &["q_proj", "k_proj", "v_proj"], kind);
                add(format!("{to}/self_attention/linear_0/{kind}"), qkv);
                add(format!("{to}/self_attention/linear_1/{kind}"), stack(all, &own, &["out_proj"], kind));
                add(format!("{to}/ffn/linear_0/{kind}"), all[&format!("{from}.fc1.{kind}")].clone());
                add(format!("{to}/ffn/linear_1/{kind}"), all[&format!("{from}.fc2.{kind}")].clone());
                if s == "decoder" {
                    let cross = format!("{from}.encoder_attn");
                    add(format!("{to}/attention/linear_0/{kind}"), stack(all, &cross, &["q_proj"], kind));
                    add(format!("{to}/attention/linear_1/{kind}"), stack(all, &cross, &["k_proj", "v_proj"], kind));
                    add(format!("{to}/attention/linear_2/{kind}"), stack(all, &cross, &["out_proj"], kind));
                }
            }
            if s == "decoder" {
                norms.push((format!("{to}/attention/layer_norm"), format!("{from}.encoder_attn_layer_norm")));
            }
        }
        for (to, from) in norms {
            add(format!("{to}/gamma"), all[&format!("{from}.weight")].clone());
            add(format!("{to}/beta"), all[&format!("{from}.bias")].clone());
        }
    }
    let scalars = [("decoder/activation", 1, 3), ("decoder/alignment_layer", 2, -1i16), ("decoder/pre_norm", 1, 1)];
    let heads = [("encoder/num_heads", 2, 2), ("decoder/num_heads", 2, 2)];
    for (name, id, value) in scalars.into_iter().chain(heads) {
        let bytes = value.to_le_bytes();
        vars.push((name.into(), vec![], id, bytes[..usize::from(id)].to_vec()));
    }
    vars.sort();
    vars
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16 + 1).to_le_bytes());
    out.extend(text.bytes());
    out.push(0);
}

/// The bytes of a `model.bin`.
pub fn ct2_file(vars: &[Var]) -> Vec<u8> {
    let mut out = 6u32.to_le_bytes().to_vec();
    string(&mut out, "WhisperSpec");
    out.extend(3u32.to_le_bytes());
    out.extend((vars.len() as u32).to_le_bytes());
    for (name, dims, id, bytes) in vars {
        string(&mut out, name);
        out.push(dims.len() as u8);
        dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
        out.push(*id);
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(bytes);
    }
    out.extend(1u32.to_le_bytes());
    string(&mut out, "decoder/projection/weight");
    string(&mut out, "decoder/embeddings/weight");
    out
}

/// Writes a CTranslate2 folder.
pub fn write_ct2(folder: &Path, vars: &[Var]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("model.bin"), ct2_file(vars)).unwrap();
    let lists = json!({
        "alignment_heads": [[0, 0], [0, 1]], "suppress_ids": [1, 2, 31], "suppress_ids_begin": [3, 30],
        "lang_ids": [33, 34]
    });
    fs::write(folder.join("config.json"), lists.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
}

/// The bytes of a safetensors file.
pub fn safetensors_file(all: &Tensors, float: Float) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, values)) in all {
        let start = data.len();
        data.extend(float.bytes(values));
        let entry = json!({"dtype": float.safetensors_name(), "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.extend(data);
    out
}

/// Writes everything of a Hugging Face folder but the weights.
pub fn write_hf_texts(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), json!(config()).to_string()).unwrap();
    let lists = json!({
        "alignment_heads": [[0, 0], [0, 1]], "suppress_tokens": [1, 2, 31], "begin_suppress_tokens": [3, 30]
    });
    fs::write(folder.join("generation_config.json"), lists.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
}

/// Writes a Hugging Face folder with one weights file.
pub fn write_hf(folder: &Path, all: &Tensors, float: Float) {
    write_hf_texts(folder);
    fs::write(folder.join("model.safetensors"), safetensors_file(all, float)).unwrap();
}

/// Writes a Hugging Face folder whose weights are split over two files.
pub fn write_hf_sharded(folder: &Path, all: &Tensors, float: Float) {
    write_hf_texts(folder);
    let mut map = BTreeMap::new();
    for shard in 0..2 {
        let file = format!("model-{}-of-2.safetensors", shard + 1);
        let part: Tensors = all.iter().enumerate().filter(|(i, _)| i % 2 == shard).map(|(_, (n, t))| (n.clone(), t.clone())).collect();
        map.extend(part.keys().map(|name| (name.clone(), file.clone())));
        fs::write(folder.join(&file), safetensors_file(&part, float)).unwrap();
    }
    fs::write(folder.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
}
