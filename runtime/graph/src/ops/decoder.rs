//! Operators of the decoder only.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_kernels::attention::{HEAD, Queries, attend, attend_causal, quantize_heads};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;
use tract_core::internal::*;

use super::context::AttentionBuffers;
use super::{Context, MAX_WIDTH, Norm, Rows, Store, Workspace};

/// Tokens i32 `[tokens]` to `[tokens][width]`: embedding plus position.
#[derive(Debug)]
pub(crate) struct Embed {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<Store>,
    pub(crate) embedding: LinearSpan,
    pub(crate) positions: Span,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    pub(crate) rows: Rows,
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.width]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let tokens = io.input::<i32>(0)?;
        let embedding = self.context.folder.linear(&self.embedding);
        let positions = self.context.folder.f32s(&self.positions);
        let out = io.output::<f32>(0)?;
        for (row, (&token, out)) in tokens.iter().zip(out.chunks_exact_mut(self.width)).enumerate() {
            let position = &positions[self.store.position_of(self.rows, row) * self.width..][..self.width];
            let token = usize::try_from(token)?;
            let scale = *embedding.scales.get(token).with_context(|| format!("token {token} is beyond the vocabulary"))?;
            for (group, (out, position)) in out.chunks_exact_mut(4).zip(position.chunks_exact(4)).enumerate() {
                let values = embedding.weights.values(token / LANES, group, token % LANES);
                for ((out, q), position) in out.iter_mut().zip(values).zip(position) {
                    *out = f32::from(q) * scale + position;
                }
            }
        }
        Ok(())
    }
}

/// What self-attention and cross-attention share: the layer that gives queries, and maybe keys and values, of a few tokens.
#[derive(Debug)]
pub(crate) struct TokenAttention {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<Store>,
    pub(crate) norm: Norm,
    /// `width` outputs, or three times as many.
    pub(crate) layer: LinearSpan,
    /// The decoder's layer.
    pub(crate) index: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    pub(crate) rows: Rows,
}

impl TokenAttention {
    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.heads * HEAD]))
    }

    /// Runs the layer and hands each token's row of its outputs to `attend`, with the row's number, its quantised queries and where the
    /// attention goes.
    fn run(
        &self,
        io: &mut Io<'_>,
        mut attend: impl FnMut(usize, &[f32], Queries<'_>, &mut AttentionBuffers, &mut [f32]),
    ) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let out = io.output::<f32>(0)?;
        let (heads, width) = (self.heads, self.heads * HEAD);
        let layer = self.context.folder.linear(&self.layer);
        let row = layer.weights.count() * LANES;
        let Workspace { rows, wide, attention } = &mut *self.context.workspace(0);
        self.context.linear(&rows.normalize(&self.context, &self.norm, x, self.tokens), &layer, Finish::Store, wide);
        for (i, (row, out)) in wide.chunks_exact(row).zip(out.chunks_exact_mut(width)).enumerate() {
            let (mut values, mut scales) = ([0; MAX_WIDTH], [0.0; MAX_WIDTH / HEAD]);
            let (values, scales) = (&mut values[..width], &mut scales[..heads]);
            quantize_heads(self.context.isa, &row[..width], values, scales);
            attend(i, row, Queries { values, scales, heads }, attention, out);
        }
        Ok(())
    }
}

/// `[tokens][width]` to the self-attention of the text so far, which grows by these tokens.
#[derive(Debug)]
pub(crate) struct CausalAttention(pub(crate) TokenAttention);

impl Layer for CausalAttention {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        self.0.outputs()
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let TokenAttention { context, store, index, heads, rows, .. } = &self.0;
        let (isa, width) = (context.isa, heads * HEAD);
        let mut causal = store.causal(*index);
        let mut lanes = store.lanes().layer(*index);
        self.0.run(io, |row, x, query, buffers, out| {
            let mut cache = match rows {
                Rows::Text => causal.cache(),
                Rows::Lanes => lanes[store.lanes().place(row)].cache(),
            };
            let position = store.position_of(*rows, row);
            cache.put(isa, position, &x[width..2 * width], &x[2 * width..]);
            for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
                attend_causal(isa, query, &cache, position + 1, head, &mut buffers.scores, out);
            }
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        let TokenAttention { store, index, tokens, heads, rows, .. } = &self.0;
        let (tokens, heads, width) = (*tokens, *heads, heads * HEAD);
        // The caches of lanes come and go; what they hold shows in the outputs.
        if *rows == Rows::Text {
            let first = store.position();
            let mut causal = store.causal(*index);
            let cache = causal.cache();
            record.keys(cache.keys, cache.key_scales, first, tokens, heads);
            record.tensor("values", &[tokens, heads, HEAD], Values::I8(&cache.values[first * width..][..tokens * width]));
            record.tensor("value_scales", &[tokens, heads], Values::F32(&cache.value_scales[first * heads..][..tokens * heads]));
        }
        record.tensor("", &[tokens, width], Values::F32(results.output::<f32>(0)?));
        Ok(())
    }
}

/// `[tokens][width]` to the attention over the encoder's output.
#[derive(Debug)]
pub(crate) struct CrossAttention(pub(crate) TokenAttention);

impl Layer for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        self.0.outputs()
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let TokenAttention { context, store, index, heads, rows, .. } = &self.0;
        let cross = store.cross(*index);
        let (keys, values) = (cross.keys(store.encoded(), *heads), cross.values());
        self.0.run(io, |row, _, query, buffers, out| {
            for head in 0..*heads {
                attend(context.isa, query, keys, values, head, &mut buffers.scratch(), out);
            }
            if *rows == Rows::Text {
                store.alignment().keep(*index, store.position_of(*rows, row), query);
            }
        })
    }
}
