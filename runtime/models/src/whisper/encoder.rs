//! The encoder's graph.

use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::attention::{Attention, CrossKeysValues, QkvProjection};
use ossicle_engine::layers::{FeedForward, LayerNorm, LinearAdd, Norm};
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, Memory, Session};

use super::WhisperConfig;
use super::decoder::DecoderSpans;
use super::layers::{ConvStem, Store};
use super::spans::{LayerSpans, norm};

/// Where the encoder's weights are.
#[derive(Debug)]
pub(super) struct EncoderSpans {
    first: LinearSpan,
    second: LinearSpan,
    positions: Span,
    layers: Vec<LayerSpans>,
    norm: Norm,
}

impl EncoderSpans {
    pub(super) fn new(folder: &ModelFolder<WhisperConfig>) -> Result<Self, FolderError> {
        let (config, folder) = (folder.config(), folder.weights());
        let (width, inner) = (config.d_model, config.encoder_ffn_dim);
        let layers = (0..config.encoder_layers).map(|i| LayerSpans::new(folder, &format!("model.encoder.layers.{i}"), width, inner));
        Ok(Self {
            first: folder.linear_span("model.encoder.conv1", width, 3 * config.num_mel_bins, true)?,
            second: folder.linear_span("model.encoder.conv2", width, 3 * width, true)?,
            positions: folder.f32_span("model.encoder.embed_positions.weight", &[config.max_source_positions, width])?,
            layers: layers.collect::<Result<_, FolderError>>()?,
            norm: norm(folder, "model.encoder.layer_norm", width)?,
        })
    }
}

/// The encoder for one window size.
pub(super) struct Encoder {
    /// Input 0 is `[2 * positions + 2][mels]`, the first and last frame zero.
    runner: Runner,
    positions: usize,
    mels: usize,
}

impl Encoder {
    /// The encoder without memory.
    pub(super) fn plan(
        session: &Arc<Session>,
        config: &WhisperConfig,
        store: &Arc<Store>,
        spans: &EncoderSpans,
        decoder: &DecoderSpans,
        positions: usize,
    ) -> Result<Self, GraphError> {
        let (tokens, heads, width, mels) = (positions, config.encoder_attention_heads, config.d_model, config.num_mel_bins);
        let mut graph = GraphBuilder::new(session);
        let mel = graph.input::<f32>("mel", &[2 * positions + 2, mels])?;
        let stem = ConvStem {
            first: spans.first.clone(),
            second: spans.second.clone(),
            embedding: spans.positions.clone(),
            positions,
            mels,
            width,
        };
        let mut x = graph.add("encoder.conv", stem, &[mel])?[0];
        for (i, layer) in spans.layers.iter().enumerate() {
            let name = |part: &str| format!("encoder.layers.{i}.{part}");
            let qkv = QkvProjection { norm: layer.attention_norm.clone(), layer: layer.qkv.clone(), tokens, heads };
            let qkv = graph.add(name("self_attn.qkv"), qkv, &[x])?;
            let attended = graph.add(name("self_attn"), Attention { tokens, heads }, &qkv)?[0];
            let out = LinearAdd { layer: layer.out.clone(), tokens, width };
            x = graph.add(name("self_attn.out_proj"), out, &[x, attended])?[0];
            let forward = FeedForward {
                norm: layer.forward_norm.clone(),
                first: layer.first.clone(),
                second: layer.second.clone(),
                tokens,
                width,
                inner: config.encoder_ffn_dim,
            };
            x = graph.add(name("ffn"), forward, &[x])?[0];
        }
        let last = LayerNorm { norm: spans.norm.clone(), tokens, width };
        x = graph.add("encoder.layer_norm", last, &[x])?[0];
        for (index, layer) in decoder.cross_keys_values().enumerate() {
            let cross = CrossKeysValues { layer: layer.clone(), caches: Arc::clone(store), index, tokens, heads };
            x = graph.add(format!("decoder.layers.{index}.encoder_attn.kv"), cross, &[x])?[0];
        }
        Ok(Self { runner: graph.plan(&[x])?, positions, mels })
    }

    /// Takes its memory away.
    pub(super) fn detach(&mut self) -> Memory {
        self.runner.detach()
    }

    /// Gives it the memory of another window size.
    pub(super) fn attach(&mut self, memory: Memory) {
        self.runner.attach(memory);
    }

    /// Bytes of the memory that it has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.runner.memory_bytes()
    }

    /// How much it computes.
    pub(super) fn work(&self) -> Work {
        self.runner.work()
    }

    /// Each layer's name, kind and work.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.layers()
    }

    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    pub(super) fn bytes(&self) -> usize {
        self.runner.bytes()
    }

    pub(super) fn output(&self) -> Result<&[f32], GraphError> {
        self.runner.output(0)
    }

    pub(super) fn run(&mut self, mel: &[f32]) -> Result<(), GraphError> {
        let input = self.runner.input_mut::<f32>(0)?;
        let (first, rest) = input.split_at_mut(self.mels);
        let (frames, last) = rest.split_at_mut(mel.len());
        first.fill(0.0);
        frames.copy_from_slice(mel);
        last.fill(0.0);
        self.runner.run()
    }
}
