//! `ossicle-quantize kokoro`: Kokoro and its voices from ONNX as a model folder.
//!
//! The file's graph is not lowered node by node: the runtime's family has its wiring. What is read is the int8 export of Kokoro-82M; its tensors are
//! found by their names where they have kept them, and by the nodes that read them otherwise. Weights of products, convolutions and recurrent layers are
//! in 8 bits already, the convolutions' around a zero point: less that they fit signed bytes, so all of them stay as they are. The two
//! convolutions of upsampling are in f32 and become bytes here.

mod read;
mod tensors;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ossicle_models::folder::ModelConfig;
use ossicle_models::kokoro::{KokoroConfig, MAX_TOKENS, STYLES};
use serde_json::Value;

use crate::Error;
use crate::onnx::read::OnnxGraph;
use crate::source::{read_json, read_text};
use crate::tensors::Tensor;

use read::Network;
use tensors::{ALBERT, ALBERT_PATH, Builder, GENERATOR};

pub use crate::folder::Task;

/// Samples a second; not in the file.
const RATE: usize = 24_000;
/// Frames of the longest piece, 25 ms each, for which the runtime plans memory.
const FRAMES: usize = 240;

/// Files next to the network.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Folder of voices, `NAME.bin`: f32 `[510][1][256]`.
    pub voices: PathBuf,
    /// First letters of the voices that are taken; all are if there are none.
    pub languages: Vec<char>,
    /// Numbers of phonemes [default: `vocab.json` next to the network].
    pub vocabulary: Option<PathBuf>,
    /// What `ossicle-quantize phonemes` or `hibari` wrote, for texts.
    pub phonemes: Option<PathBuf>,
    /// A file that has to travel with the weights.
    pub notice: Option<PathBuf>,
}

/// Voices as read.
#[derive(Debug)]
pub struct Voices {
    path: PathBuf,
    config: KokoroConfig,
    symbols: BTreeMap<char, u32>,
    tensors: Vec<Tensor>,
    phonemes: Option<PathBuf>,
    notice: String,
}

impl Voices {
    /// Reads the network and what belongs to it.
    ///
    /// # Errors
    /// A file is missing or malformed, or holds another network.
    pub fn open(path: &Path, sources: &Sources) -> Result<Self, Error> {
        let graph = crate::onnx::read::read(path)?;
        let network = Network::new(&graph);
        let mut config = config(&graph, &network)?;
        let mut tensors = vec![];
        for (name, styles) in voices(sources, config.style_size)? {
            tensors.push(Tensor::floats(format!("voices.{name}"), vec![STYLES, 2 * config.style_size], styles));
            config.voices.push(name);
        }
        if let Some(problem) = config.problem() {
            return Err(network.wrong(problem));
        }
        let mut builder = Builder { network: &network, config: &config, out: vec![] };
        builder.all()?;
        // Voices last: one is read of many.
        let tensors = builder.out.into_iter().chain(tensors).collect();
        let vocabulary = sources.vocabulary.clone().unwrap_or_else(|| path.with_file_name("vocab.json"));
        let symbols = symbols(&vocabulary, config.vocab_size)?;
        let notice = sources.notice.as_deref().map_or(Ok(String::new()), read_text)?;
        Ok(Self { path: path.to_owned(), symbols, tensors, phonemes: sources.phonemes.clone(), notice, config })
    }

    /// Names of the voices.
    pub fn names(&self) -> &[String] {
        &self.config.voices
    }
}

/// Numbers of phonemes, each of one character: the file's own object, or the one called `vocab` in it.
fn symbols(path: &Path, size: usize) -> Result<BTreeMap<char, u32>, Error> {
    let file: Value = read_json(path)?;
    let symbols = file.get("vocab").unwrap_or(&file).clone();
    let symbols: BTreeMap<char, u32> = serde_json::from_value(symbols).map_err(|error| Error::json(path, error))?;
    match symbols.iter().find(|(_, number)| **number as usize >= size) {
        Some((symbol, number)) => Err(Error::unsupported(path, format!("{symbol:?} is {number}, beyond the vocabulary of {size}"))),
        None => Ok(symbols),
    }
}

/// Names and styles of the voices that are wanted, in the order of names.
fn voices(sources: &Sources, size: usize) -> Result<Vec<(String, Vec<f32>)>, Error> {
    let folder = &sources.voices;
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let mut files = vec![];
    for entry in entries {
        files.push(entry.map_err(|error| Error::io(folder, error))?.path());
    }
    files.sort();
    let wanted = |name: &str| sources.languages.is_empty() || name.starts_with(&sources.languages[..]);
    let mut voices = vec![];
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "bin")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !wanted(&name) {
            continue;
        }
        let bytes = crate::source::read(&path)?;
        let expected = size.saturating_mul(STYLES * 2 * 4);
        if bytes.len() != expected {
            return Err(Error::unsupported(&path, format!("{} bytes, not the {expected} of a voice", bytes.len())));
        }
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::unsupported(&path, "it holds what is not a finite number"));
        }
        voices.push((name, values));
    }
    // The one that the voice was trained for most comes first: it speaks where none is asked for.
    voices.sort_by_key(|(name, _)| name != DEFAULT);
    if voices.is_empty() { Err(Error::unsupported(folder, "no voice in it: files NAME.bin are expected")) } else { Ok(voices) }
}

/// The voice that speaks where none is asked for, if it is there.
const DEFAULT: &str = "af_heart";

/// The figures, from the shapes of tensors and from nodes; no voices yet.
fn config(graph: &OnnxGraph, network: &Network<'_>) -> Result<KokoroConfig, Error> {
    let size = |name: &str, axis: usize| network.size(name, axis);
    let heads = format!("{ALBERT_PATH}/attention/Constant_4_output_0");
    let heads = graph
        .integer(&heads)
        .and_then(|heads| usize::try_from(heads).ok())
        .ok_or_else(|| network.wrong(format!("{heads}: no number of heads")))?;
    let up = network.node(&format!("{ALBERT_PATH}/ffn/MatMul_output_0_output_quantized"), "MatMulInteger")?;
    let uses = graph.nodes.iter().filter(|node| node.op == up.op && node.inputs.get(1) == up.inputs.get(1)).count();
    let norm = network.node("/encoder/bert/embeddings/LayerNorm/LayerNormalization_output_0", "LayerNormalization")?;
    let epsilon = norm.float("epsilon").ok_or_else(|| network.wrong(format!("{}: no epsilon", norm.name)))?;
    let conv = |path: &str, axis: usize| -> Result<usize, Error> {
        let node = network.node(&format!("{path}/Conv_output_0_output_quantized"), "ConvInteger")?;
        size(network.input(node, 1)?, axis)
    };
    let generator = "/decoder/decoder/generator";
    let count = |name: &dyn Fn(usize) -> String| (0..64).take_while(|&i| graph.shape(&name(i)).is_some()).count();
    let stages = count(&|i| format!("{GENERATOR}.ups.{i}.bias"));
    let blocks = count(&|i| format!("{GENERATOR}.resblocks.{i}.convs1.0.bias")) / stages.max(1);
    let rate = |i: usize| -> Result<usize, Error> {
        let node = network.with_bias(&format!("{GENERATOR}.ups.{i}.bias"), "ConvTranspose")?;
        Ok(node.ints("strides").first().and_then(|&stride| usize::try_from(stride).ok()).unwrap_or(0))
    };
    let dilation = |i: usize| -> Result<usize, Error> {
        let node = network.node(&format!("{generator}/resblocks.0/convs1.{i}/Conv_output_0_output_quantized"), "ConvInteger")?;
        Ok(node.ints("dilations").first().and_then(|&dilation| usize::try_from(dilation).ok()).unwrap_or(0))
    };
    let dilations = count(&|i| format!("{GENERATOR}.resblocks.0.convs1.{i}.bias"));
    Ok(KokoroConfig {
        sampling_rate: RATE,
        vocab_size: size("encoder.bert.embeddings.word_embeddings.weight_quantized", 0)?,
        max_tokens: size("encoder.bert.embeddings.position_embeddings.weight_quantized", 0)?.min(MAX_TOKENS),
        max_frames: FRAMES,
        style_size: size("encoder.predictor.F0.0.norm1.fc.weight_quantized", 0)?,
        embedding_size: size("encoder.bert.embeddings.word_embeddings.weight_quantized", 1)?,
        hidden_size: size("encoder.bert.encoder.embedding_hidden_mapping_in.bias", 0)?,
        intermediate_size: size(&format!("{ALBERT}.ffn.bias"), 0)?,
        num_hidden_layers: uses,
        num_attention_heads: heads,
        layer_norm_eps: epsilon,
        width: size("encoder.bert_encoder.bias", 0)?,
        num_layers: count(&|i| format!("encoder.text_encoder.cnn.{i}.0.bias")),
        kernel_size: conv("/encoder/text_encoder/cnn.0/cnn.0.0", 2)?,
        max_duration: size("encoder.predictor.duration_proj.linear_layer.bias", 0)?,
        decoder_width: size("decoder.decoder.encode.conv1.bias", 0)?,
        residual_width: size("decoder.decoder.asr_res.0.bias", 0)?,
        upsample_rates: (0..stages).map(rate).collect::<Result<_, _>>()?,
        resblock_kernel_sizes: (0..blocks).map(|i| conv(&format!("{generator}/resblocks.{i}/convs1.0"), 2)).collect::<Result<_, _>>()?,
        resblock_dilations: (0..dilations).map(dilation).collect::<Result<_, _>>()?,
        source_kernel_sizes: (0..stages).map(|i| conv(&format!("{generator}/noise_res.{i}/convs1.0"), 2)).collect::<Result<_, _>>()?,
        voices: vec![],
    })
}
