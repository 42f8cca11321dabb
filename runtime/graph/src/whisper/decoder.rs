//! The decoder's graphs: one for each number of tokens taken at once.

use std::sync::Arc;

use ossicle_engine::GraphError;
use ossicle_engine::plan::{Plan, SlotOp, Slots};
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span};
use tract_core::internal::*;

use super::spans::{LayerSpans, norm};
use super::{LogitsFor, MAX_LANES, PIECE, WhisperConfig, padded_vocabulary};
use crate::ops::{
    CausalAttention, Context, CrossAttention, Embed, FeedForward, LayerNorm, LinearAdd, LogitRows, Logits, Norm, Rows, Store,
    TokenAttention,
};

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
        let config = folder.config();
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// The tokens continue one text; the given logits.
    Logits(LogitsFor),
    /// Each token continues a lane; the normalised rows that the logits are computed from.
    Lanes,
}

/// The decoder for a number of tokens at once.
pub(super) struct Decoder {
    plan: Plan,
    /// i32 `[tokens]`
    input: Arc<Tensor>,
    output: Option<TValue>,
    /// Rows of logits, packed, where the vocabulary is not whole blocks.
    logits: Vec<f32>,
    rows: usize,
    vocabulary: usize,
}

impl Decoder {
    pub(super) fn build(
        context: &Arc<Context>,
        store: &Arc<Store>,
        spans: &DecoderSpans,
        tokens: usize,
        ends: Ends,
    ) -> Result<Self, GraphError> {
        let config = context.folder.config();
        let (heads, width) = (config.decoder_attention_heads, config.d_model);
        let slots = Arc::new(Slots::new(&context.recorder));
        let (context, store) = (|| Arc::clone(context), || Arc::clone(store));
        let token_rows = if ends == Ends::Lanes { Rows::Lanes } else { Rows::Text };
        let mut model = TypedModel::default();
        let source = model.add_source("tokens", i32::fact([tokens]))?;
        let embed = Embed {
            context: context(),
            store: store(),
            embedding: spans.embedding.clone(),
            positions: spans.positions.clone(),
            tokens,
            width,
            rows: token_rows,
        };
        let mut x = model.wire_node("decoder.embed", SlotOp::new(embed, &slots), &[source])?[0];
        for (index, layer) in spans.layers.iter().enumerate() {
            let name = |part: &str| format!("decoder.layers.{index}.{part}");
            let attention = |norm: &Norm, layer: &LinearSpan| TokenAttention {
                context: context(),
                store: store(),
                norm: norm.clone(),
                layer: layer.clone(),
                index,
                tokens,
                heads,
                rows: token_rows,
            };
            let causal = CausalAttention(attention(&layer.common.attention_norm, &layer.common.qkv));
            let attended = model.wire_node(name("self_attn"), SlotOp::new(causal, &slots), &[x])?[0];
            let out = LinearAdd { context: context(), layer: layer.common.out.clone(), tokens, width };
            x = model.wire_node(name("self_attn.out_proj"), SlotOp::new(out, &slots), &[x, attended])?[0];
            let cross = CrossAttention(attention(&layer.cross_norm, &layer.cross_query));
            let attended = model.wire_node(name("encoder_attn"), SlotOp::new(cross, &slots), &[x])?[0];
            let out = LinearAdd { context: context(), layer: layer.cross_out.clone(), tokens, width };
            x = model.wire_node(name("encoder_attn.out_proj"), SlotOp::new(out, &slots), &[x, attended])?[0];
            let forward = FeedForward {
                context: context(),
                norm: layer.common.forward_norm.clone(),
                first: layer.common.first.clone(),
                second: layer.common.second.clone(),
                tokens,
                width,
                inner: config.decoder_ffn_dim,
            };
            x = model.wire_node(name("ffn"), SlotOp::new(forward, &slots), &[x])?[0];
        }
        let rows = match ends {
            Ends::Lanes => {
                let norm = LayerNorm { context: context(), norm: spans.norm.clone(), tokens, width };
                x = model.wire_node("decoder.layer_norm", SlotOp::new(norm, &slots), &[x])?[0];
                None
            }
            Ends::Logits(LogitsFor::None) => None,
            Ends::Logits(LogitsFor::Last) => Some(LogitRows::Last),
            Ends::Logits(LogitsFor::FirstAndLast) => Some(LogitRows::FirstAndLast),
        };
        if let Some(rows) = rows {
            let logits = Logits {
                context: context(),
                store: store(),
                norm: spans.norm.clone(),
                layer: spans.embedding.clone(),
                tokens,
                rows,
                width,
                vocabulary: padded_vocabulary(config),
            };
            x = model.wire_node("decoder.logits", SlotOp::new(logits, &slots), &[x])?[0];
        }
        model.select_output_outlets(&[x])?;
        let input = Arc::new(Tensor::zero::<i32>(&[tokens])?);
        let (rows, vocabulary) = (rows.map_or(0, LogitRows::count), config.vocab_size);
        let logits = if rows > 1 { vec![0.0; rows * vocabulary] } else { vec![] };
        Ok(Self { plan: Plan::build(model, &slots)?, input, output: None, logits, rows, vocabulary })
    }

    pub(super) fn bytes(&self) -> usize {
        self.plan.bytes() + self.input.as_bytes().len() + 4 * self.logits.len()
    }

    /// What the last run ended with, as it lies in the graph's output.
    pub(super) fn output(&self) -> &[f32] {
        self.output.as_ref().and_then(|output| output.try_as_plain_ram().ok()?.as_slice().ok()).unwrap_or(&[])
    }

    pub(super) fn logits(&self) -> &[f32] {
        match self.rows {
            0 => &[],
            1 => &self.output()[..self.vocabulary],
            _ => &self.logits,
        }
    }

    pub(super) fn run(&mut self, tokens: &[u32]) -> Result<(), GraphError> {
        self.output = None;
        let input = Arc::get_mut(&mut self.input).ok_or_else(|| GraphError::Plan("the token input is still in use".into()))?;
        bytemuck::cast_slice_mut(input.as_bytes_mut()).copy_from_slice(tokens);
        let mut outputs = self.plan.run(tvec!(TValue::from_const(Arc::clone(&self.input))))?;
        self.output = outputs.pop();
        if self.rows > 1 {
            let mut logits = std::mem::take(&mut self.logits);
            let stride = self.output().len() / self.rows;
            for (to, from) in logits.chunks_exact_mut(self.vocabulary).zip(self.output().chunks_exact(stride)) {
                to.copy_from_slice(&from[..self.vocabulary]);
            }
            self.logits = logits;
        }
        Ok(())
    }
}

/// Bytes of the slots of the graphs that a transcription uses: one token, a prompt of four with two rows of logits (which are packed once
/// more), the rest of one behind a detected language, and the pieces of a text without logits.
pub(super) fn slot_bytes(config: &WhisperConfig) -> usize {
    let graph = |tokens: usize, rows: usize| 4 * (tokens + 2 * tokens * config.d_model + rows * padded_vocabulary(config));
    graph(1, 1) + graph(4, 4) + graph(3, 1) + graph(2 * PIECE - 1, 0)
}

/// Bytes of the slots of the graphs for any number of lanes.
pub(super) fn lane_slot_bytes(config: &WhisperConfig) -> usize {
    (1..=MAX_LANES).map(|lanes| 4 * (lanes + 3 * lanes * config.d_model)).sum()
}
