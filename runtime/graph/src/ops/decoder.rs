//! Operators of the decoder only.

use std::sync::Arc;

use ossicle_kernels::attention::{HEAD, Keys, Queries, Values, attend, attend_causal, probabilities, quantize_heads};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::{Context, Norm, Store, Workspace, f32s, f32s_mut};
use crate::folder::{LinearSpan, Span};
use crate::plan::Kernel;

/// Widest residual stream, for rows kept on the stack.
const MAX_WIDTH: usize = 2048;

/// Tokens i32 `[tokens]` to `[tokens][width]`: embedding plus position.
#[derive(Debug)]
pub(crate) struct Embed {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<Store>,
    pub(crate) embedding: LinearSpan,
    pub(crate) positions: Span,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl Kernel for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.width]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let tokens = inputs[0].try_as_plain_ram()?.as_slice::<i32>()?;
        let embedding = self.context.folder.linear(&self.embedding);
        let first = self.store.position();
        let positions = &self.context.folder.f32s(&self.positions)[first * self.width..];
        let out = f32s_mut(outputs[0])?;
        for ((&token, out), position) in tokens.iter().zip(out.chunks_exact_mut(self.width)).zip(positions.chunks_exact(self.width)) {
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

/// `[tokens][width]` to the self-attention of the text so far, which grows by these tokens.
#[derive(Debug)]
pub(crate) struct CausalAttention {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<Store>,
    pub(crate) norm: Norm,
    pub(crate) layer: LinearSpan,
    pub(crate) index: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
}

impl Kernel for CausalAttention {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.heads * HEAD]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let out = f32s_mut(outputs[0])?;
        let (isa, heads, width) = (self.context.isa, self.heads, self.heads * HEAD);
        let layer = self.context.folder.linear(&self.layer);
        let first = self.store.position();
        let mut causal = self.store.causal(self.index);
        let mut cache = causal.cache();
        let Workspace { rows, wide, attention } = &mut *self.context.workspace(0);
        self.context.linear(&rows.normalize(&self.context, &self.norm, x, self.tokens), &layer, Finish::Store, wide);
        for (i, (qkv, out)) in wide.chunks_exact(3 * width).zip(out.chunks_exact_mut(width)).enumerate() {
            let position = first + i;
            cache.put(isa, position, &qkv[width..2 * width], &qkv[2 * width..]);
            let (mut values, mut scales) = ([0; MAX_WIDTH], [0.0; MAX_WIDTH / HEAD]);
            let (values, scales) = (&mut values[..width], &mut scales[..heads]);
            quantize_heads(isa, &qkv[..width], values, scales);
            let query = Queries { values, scales, heads };
            for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
                attend_causal(isa, query, &cache, position + 1, head, &mut attention.scores, out);
            }
        }
        Ok(())
    }
}

/// `[tokens][width]` to the attention over the encoder's output.
#[derive(Debug)]
pub(crate) struct CrossAttention {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<Store>,
    pub(crate) norm: Norm,
    pub(crate) layer: LinearSpan,
    pub(crate) index: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
}

impl CrossAttention {
    /// Writes the probabilities that somebody asked for.
    fn align_row(&self, query: Queries<'_>, keys: Keys<'_>, row: usize, scores: &mut [f32]) {
        let mut request = self.store.align();
        let Some(request) = request.as_mut() else { return };
        let token = self.store.position() + row;
        for (i, &(layer, head)) in request.heads.iter().enumerate() {
            if layer == self.index {
                let out = &mut request.out[(i * request.tokens + token) * keys.tokens..];
                probabilities(self.context.isa, query, keys, head, scores, out);
            }
        }
    }
}

impl Kernel for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.heads * HEAD]))
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let x = f32s(&inputs[0])?;
        let out = f32s_mut(outputs[0])?;
        let (isa, heads, width) = (self.context.isa, self.heads, self.heads * HEAD);
        let layer = self.context.folder.linear(&self.layer);
        let cross = self.store.cross(self.index);
        let keys = Keys { values: &cross.keys, scales: &cross.key_scales, tokens: self.store.encoded(), heads };
        let values = Values { values: &cross.values, scales: &cross.value_scales, sums: &cross.value_sums };
        let Workspace { rows, wide, attention } = &mut *self.context.workspace(0);
        self.context.linear(&rows.normalize(&self.context, &self.norm, x, self.tokens), &layer, Finish::Store, wide);
        for (i, (query, out)) in wide.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            let (mut q, mut scales) = ([0; MAX_WIDTH], [0.0; MAX_WIDTH / HEAD]);
            let (q, scales) = (&mut q[..width], &mut scales[..heads]);
            quantize_heads(isa, query, q, scales);
            let queries = Queries { values: q, scales, heads };
            for head in 0..heads {
                attend(isa, queries, keys, values, head, &mut attention.scratch(), out);
            }
            self.align_row(queries, keys, i, &mut attention.scores);
        }
        Ok(())
    }
}
