//! `ossicle-quantize hibari`: a hibari voice from ONNX as a model folder.
//!
//! The file's graph is not lowered node by node: the runtime's family has its wiring. What is read are its tensors, by the names that they have in
//! the original network, and the figures that only nodes tell: how often the transformer layers are applied, dilations, heads. Products are in
//! signed bytes already, and stay as they are: a product is known by the bias that is added to it.

mod read;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ossicle_models::hibari::{BlocksConfig, CURVES, HibariConfig, TextConfig};

use crate::Error;
use crate::norm::Norm;
use crate::onnx::read::OnnxGraph;
use crate::pack::QuantizedRows;
use crate::source::{read_json, read_text};

use read::Products;

pub use crate::folder::Task;

/// Samples a second; not in the file.
const RATE: usize = 24_000;
/// Bins of a curve in the file.
const BINS: usize = 601;
/// Most phonemes of a clause: what the original takes (400), and the two around them.
const TOKENS: usize = 402;

/// A layer in signed bytes, one scale an output, and its bias.
#[derive(Clone, Debug)]
struct Linear {
    rows: QuantizedRows,
    bias: Vec<f32>,
}

/// A layer in f32, `[depth][outputs]`.
#[derive(Clone, Debug)]
struct FloatLinear {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A ConvNeXt block, its factors within `down`.
#[derive(Clone, Debug)]
struct Block {
    /// `[taps][width]`
    filters: Vec<f32>,
    bias: Vec<f32>,
    norm: Norm,
    up: Linear,
    down: Linear,
}

/// A text encoder.
#[derive(Clone, Debug)]
struct Encoder {
    embedding: Vec<f32>,
    convs: Vec<Block>,
    norm: Norm,
    /// Queries divided by the root of a head's size.
    qkv: Linear,
    output: Linear,
    feed_forward_norm: Norm,
    up: Linear,
    down: Linear,
    last_norm: Norm,
}

/// A voice as read.
#[derive(Debug)]
pub struct Voice {
    path: PathBuf,
    config: HibariConfig,
    /// Phonemes' numbers, by symbol.
    vocabulary: String,
    notice: String,
    text: Encoder,
    input: FloatLinear,
    decoder: Vec<Block>,
    decoder_norm: Norm,
    head: Linear,
    prosody_text: Encoder,
    duration_hidden: FloatLinear,
    duration_output: FloatLinear,
    prosody_input: FloatLinear,
    prosody: Vec<Block>,
    prosody_output: FloatLinear,
}

impl Voice {
    /// Reads a voice and the `vocab.json` beside it; `notice` is a file that has to travel with it.
    ///
    /// # Errors
    /// A file is missing or malformed, or holds another network.
    pub fn open(path: &Path, notice: Option<&Path>) -> Result<Self, Error> {
        let graph = crate::onnx::read::read(path)?;
        let products = Products::of(&graph)?;
        let vocab = path.with_file_name("vocab.json");
        let symbols: BTreeMap<String, u32> = read_json(&vocab)?;
        let config = config(&graph, &products)?;
        check_symbols(&vocab, &symbols, config.vocab_size)?;
        let network = read::Network { graph: &graph, products: &products };
        let (text, prosody_text) = (network.encoder("m.text", &config.text, config.vocab_size)?, &config.prosody_text);
        let (decoder, prosody) = (&config.decoder, &config.prosody);
        let features = config.text.hidden_size + 2;
        Ok(Self {
            text,
            input: network.convolution("m.dec_in", decoder.hidden_size, features, 7)?,
            decoder: network.blocks("m.dec", decoder)?,
            decoder_norm: network.norm("m.dec_norm", decoder.hidden_size)?,
            head: network.linear("m.head", CURVES * BINS, decoder.hidden_size)?,
            prosody_text: network.encoder("pn.text", prosody_text, config.vocab_size)?,
            duration_hidden: network.convolution("pn.dur.0", prosody.hidden_size, prosody.hidden_size, 3)?,
            duration_output: network.convolution("pn.dur.2", 1, prosody.hidden_size, 1)?,
            prosody_input: network.convolution("pn.pro_in", prosody.hidden_size, prosody.hidden_size, 1)?,
            prosody: network.blocks("pn.pro", prosody)?,
            prosody_output: network.convolution("pn.pro_out", 4, prosody.hidden_size, 1)?,
            notice: notice.map_or(Ok(String::new()), read_text)?,
            vocabulary: read_text(&vocab)?,
            config,
            path: path.to_owned(),
        })
    }

    /// Weights and biases of the products in bytes.
    pub fn parameters(&self) -> usize {
        let linear = |linear: &Linear| linear.rows.values.len() + linear.bias.len();
        let block = |block: &Block| linear(&block.up) + linear(&block.down);
        let encoder = |encoder: &Encoder| {
            let layers: usize = [&encoder.qkv, &encoder.output, &encoder.up, &encoder.down].map(linear).iter().sum();
            layers + encoder.convs.iter().map(block).sum::<usize>()
        };
        let blocks: usize = self.decoder.iter().chain(&self.prosody).map(block).sum();
        blocks + encoder(&self.text) + encoder(&self.prosody_text) + linear(&self.head)
    }
}

/// Each symbol is one character, and its number within the vocabulary.
fn check_symbols(path: &Path, symbols: &BTreeMap<String, u32>, vocabulary: usize) -> Result<(), Error> {
    match symbols.iter().find(|(symbol, number)| symbol.chars().count() != 1 || **number as usize >= vocabulary) {
        Some((symbol, number)) => {
            Err(Error::unsupported(path, format!("{symbol:?} is {number}: one character and a number below {vocabulary} are possible")))
        }
        None => Ok(()),
    }
}

/// The figures, from the shapes of tensors and from nodes.
fn config(graph: &OnnxGraph, products: &Products) -> Result<HibariConfig, Error> {
    let shape = |name: &str, axis: usize| {
        let found = graph.shape(name).and_then(|shape| shape.get(axis)).copied();
        found.ok_or_else(|| Error::Onnx { path: graph.path.clone(), reason: format!("no tensor {name}: not a hibari voice") })
    };
    let text = |name: &str| -> Result<TextConfig, Error> {
        Ok(TextConfig {
            hidden_size: shape(&format!("{name}.emb.weight"), 1)?,
            intermediate_size: shape(&format!("{name}.attn.linear1.bias"), 0)?,
            conv_blocks: read::count(graph, &format!("{name}.convs")),
            kernel_size: shape(&format!("{name}.convs.0.dw.weight"), 2)?,
            num_attention_heads: read::heads(graph)?,
            num_hidden_layers: products.uses(&format!("{name}.attn.self_attn.in_proj")),
        })
    };
    let blocks = |name: &str, width: usize| -> Result<BlocksConfig, Error> {
        Ok(BlocksConfig {
            hidden_size: width,
            intermediate_size: shape(&format!("{name}.0.pw1.bias"), 0)?,
            kernel_size: shape(&format!("{name}.0.dw.weight"), 2)?,
            dilations: read::dilations(graph, name)?,
        })
    };
    let config = HibariConfig {
        sampling_rate: RATE,
        vocab_size: shape("m.text.emb.weight", 0)?,
        max_tokens: TOKENS,
        text: text("m.text")?,
        decoder: blocks("m.dec", shape("m.dec_in.bias", 0)?)?,
        prosody_text: text("pn.text")?,
        prosody: blocks("pn.pro", shape("pn.pro_in.bias", 0)?)?,
    };
    match ossicle_models::folder::ModelConfig::problem(&config) {
        Some(problem) => Err(Error::Onnx { path: graph.path.clone(), reason: problem }),
        None => Ok(config),
    }
}
