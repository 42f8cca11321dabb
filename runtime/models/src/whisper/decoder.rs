//! The decoder's graphs: one for each number of tokens taken at once.

use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::attention::{CachedAttention, TokenQueries};
use ossicle_engine::layers::{FeedForward, LayerNorm, LinearAdd, Norm};
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, Memory, Session};

use super::layers::{CrossAttention, Embed, LogitRows, Logits, Rows, StepRows, Store};
use super::spans::{LayerSpans, norm};
use super::{LogitsFor, WhisperConfig, padded_vocabulary};

/// Where the decoder's weights are.
#[derive(Debug)]
pub(super) struct DecoderSpans {
    pub(super) embedding: LinearSpan,
    positions: Span,
    layers: Vec<DecoderLayerSpans>,
    pub(super) norm: Norm,
}

#[derive(Debug)]
struct DecoderLayerSpans {
    common: LayerSpans,
    cross_norm: Norm,
    cross_query: LinearSpan,
    cross_keys_values: LinearSpan,
    cross_out: LinearSpan,
}

impl DecoderSpans {
    pub(super) fn new(folder: &ModelFolder<WhisperConfig>) -> Result<Self, FolderError> {
        let (config, folder) = (folder.config(), folder.weights());
        let (width, inner) = (config.d_model, config.decoder_ffn_dim);
        let layers = (0..config.decoder_layers).map(|i| {
            let prefix = format!("model.decoder.layers.{i}");
            let name = |part: &str| format!("{prefix}.{part}");
            Ok(DecoderLayerSpans {
                common: LayerSpans::new(folder, &prefix, width, inner)?,
                cross_norm: norm(folder, &name("encoder_attn_layer_norm"), width)?,
                cross_query: folder.linear_span(&name("encoder_attn.q_proj"), width, width, true)?,
                cross_keys_values: folder.linear_span(&name("encoder_attn.kv"), 2 * width, width, true)?,
                cross_out: folder.linear_span(&name("encoder_attn.out_proj"), width, width, true)?,
            })
        });
        Ok(Self {
            embedding: folder.linear_span("model.decoder.embed_tokens", config.vocab_size, width, false)?,
            positions: folder.f32_span("model.decoder.embed_positions.weight", &[config.max_target_positions, width])?,
            layers: layers.collect::<Result<_, FolderError>>()?,
            norm: norm(folder, "model.decoder.layer_norm", width)?,
        })
    }

    pub(super) fn cross_keys_values(&self) -> impl Iterator<Item = &LinearSpan> {
        self.layers.iter().map(|layer| &layer.cross_keys_values)
    }
}

/// What a graph of the decoder ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ends {
    /// The tokens continue one text; the given logits.
    Logits(LogitsFor),
    /// Each token continues a lane; the normalised rows that the logits are computed from.
    Lanes,
}

/// The decoder for a number of tokens at once.
pub(super) struct Decoder {
    /// Input 0 is i32 `[tokens]`.
    runner: Runner,
    rows: usize,
    vocabulary: usize,
}

impl Decoder {
    /// The decoder without memory.
    pub(super) fn plan(
        session: &Arc<Session>,
        config: &WhisperConfig,
        store: &Arc<Store>,
        spans: &DecoderSpans,
        tokens: usize,
        ends: Ends,
    ) -> Result<Self, GraphError> {
        let (heads, width) = (config.decoder_attention_heads, config.d_model);
        let mut graph = GraphBuilder::new(session);
        let store = || Arc::clone(store);
        let token_rows = if ends == Ends::Lanes { Rows::Lanes } else { Rows::Text };
        let source = graph.input::<i32>("tokens", &[tokens])?;
        let embed = Embed {
            store: store(),
            embedding: spans.embedding.clone(),
            positions: spans.positions.clone(),
            tokens,
            width,
            rows: token_rows,
        };
        let mut x = graph.add("decoder.embed", embed, &[source])?[0];
        for (index, layer) in spans.layers.iter().enumerate() {
            let name = |part: &str| format!("decoder.layers.{index}.{part}");
            let step = || StepRows { store: store(), rows: token_rows };
            let queries = |norm: &Norm, layer: &LinearSpan, outputs| {
                let (norm, layer) = (norm.clone(), layer.clone());
                TokenQueries { norm, layer, rows: tokens, heads, outputs }
            };
            let causal = CachedAttention {
                queries: queries(&layer.common.attention_norm, &layer.common.qkv, 3 * width),
                caches: step(),
                index,
                most: config.max_target_positions,
            };
            let attended = graph.add(name("self_attn"), causal, &[x])?[0];
            let out = LinearAdd { layer: layer.common.out.clone(), tokens, width };
            x = graph.add(name("self_attn.out_proj"), out, &[x, attended])?[0];
            let queries = queries(&layer.cross_norm, &layer.cross_query, width);
            let cross = CrossAttention { queries, step: step(), index, most: config.max_source_positions };
            let attended = graph.add(name("encoder_attn"), cross, &[x])?[0];
            let out = LinearAdd { layer: layer.cross_out.clone(), tokens, width };
            x = graph.add(name("encoder_attn.out_proj"), out, &[x, attended])?[0];
            let forward = FeedForward {
                norm: layer.common.forward_norm.clone(),
                first: layer.common.first.clone(),
                second: layer.common.second.clone(),
                tokens,
                width,
                inner: config.decoder_ffn_dim,
            };
            x = graph.add(name("ffn"), forward, &[x])?[0];
        }
        let rows = match ends {
            Ends::Lanes => {
                let norm = LayerNorm { norm: spans.norm.clone(), tokens, width };
                x = graph.add("decoder.layer_norm", norm, &[x])?[0];
                None
            }
            Ends::Logits(LogitsFor::None) => None,
            Ends::Logits(LogitsFor::Last) => Some(LogitRows::Last),
            Ends::Logits(LogitsFor::FirstAndLast) => Some(LogitRows::FirstAndLast),
        };
        if let Some(rows) = rows {
            let logits = Logits {
                store: store(),
                norm: spans.norm.clone(),
                layer: spans.embedding.clone(),
                tokens,
                rows,
                width,
                vocabulary: padded_vocabulary(config),
                own: config.vocab_size,
            };
            x = graph.add("decoder.logits", logits, &[x])?[0];
        }
        let (rows, vocabulary) = (rows.map_or(0, LogitRows::count), config.vocab_size);
        Ok(Self { runner: graph.plan(&[x])?, rows, vocabulary })
    }

    /// How much it computes.
    pub(super) fn work(&self) -> Work {
        self.runner.work()
    }

    /// Each layer's name, kind and work.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.layers()
    }

    /// Bytes of its memory.
    pub(super) fn bytes(&self) -> usize {
        self.runner.bytes()
    }

    /// Bytes of the memory that it has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.runner.memory_bytes()
    }

    /// Takes its memory away.
    pub(super) fn detach(&mut self) -> Memory {
        self.runner.detach()
    }

    /// Gives it the memory of another decoder.
    pub(super) fn attach(&mut self, memory: Memory) {
        self.runner.attach(memory);
    }

    /// What the last run ended with, as it lies in the graph's output.
    pub(super) fn output(&self) -> Result<&[f32], GraphError> {
        self.runner.output(0)
    }

    /// The rows of logits of the last run; two of them where [`pack`](Self::pack) put them.
    pub(super) fn logits<'a>(&'a self, packed: &'a [f32]) -> Result<&'a [f32], GraphError> {
        match self.rows {
            0 => Ok(&[]),
            1 => Ok(&self.output()?[..self.vocabulary]),
            _ => Ok(packed),
        }
    }

    /// Puts the rows of logits one after another, without what rounds the vocabulary up.
    pub(super) fn pack(&self, packed: &mut Vec<f32>) -> Result<(), GraphError> {
        let output = self.output()?;
        packed.resize(self.rows * self.vocabulary, 0.0);
        for (to, from) in packed.chunks_exact_mut(self.vocabulary).zip(output.chunks_exact(output.len() / self.rows.max(1))) {
            to.copy_from_slice(&from[..self.vocabulary]);
        }
        Ok(())
    }

    pub(super) fn run(&mut self, tokens: &[u32]) -> Result<(), GraphError> {
        self.runner.input_mut::<i32>(0)?.copy_from_slice(bytemuck::cast_slice(tokens));
        self.runner.run()
    }
}
