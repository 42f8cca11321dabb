//! Self-attention.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer, Results};
use ossicle_engine::pool::MAX_THREADS;
use ossicle_engine::recorder::Record;
use ossicle_kernels::attention::{HEAD, Keys, Queries, Values, attend, padded, quantize_heads};
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::{map_fact, record_map};
use crate::network::config::Shape;
use crate::network::context::{Context, Heads};
use crate::ops::{pack_heads, put_keys};

/// `[positions][3][heads][64]` to `[positions][heads][64]`.
#[derive(Debug)]
pub(in crate::network) struct Attention {
    pub(in crate::network) context: Arc<Context>,
    pub(in crate::network) heads: usize,
    pub(in crate::network) output: Shape,
}

impl Attention {
    /// Quantises queries and keys, split over the threads by positions.
    fn quantize(&self, x: &[f32], buffers: &mut Heads) -> TractResult<()> {
        struct Part<'a> {
            start: usize,
            queries: &'a mut [i8],
            query_scales: &'a mut [f32],
            keys: &'a mut [i8],
            key_scales: &'a mut [f32],
        }
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let isa = self.context.isa;
        let (mut queries, mut query_scales) = (&mut buffers.queries[..], &mut buffers.query_scales[..]);
        let (mut keys, mut key_scales) = (&mut buffers.keys[..padded(tokens) * width], &mut buffers.key_scales[..]);
        // What a longer attention left behind the last token.
        let last = keys.len() - LANES * width;
        keys[last..].fill(0);
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(self.context.pool.split(tokens, LANES)) {
            let blocks = padded(range.len());
            *part = Some(Part {
                start: range.start,
                queries: queries.split_off_mut(..range.len() * width).context("queries")?,
                query_scales: query_scales.split_off_mut(..range.len() * heads).context("query scales")?,
                keys: keys.split_off_mut(..blocks * width).context("keys")?,
                key_scales: key_scales.split_off_mut(..blocks * heads).context("key scales")?,
            });
        }
        self.context.pool.each(parts, |_, part| {
            let rows = part.queries.len() / width;
            for (row, qkv) in x[part.start * 3 * width..][..rows * 3 * width].chunks_exact(3 * width).enumerate() {
                let queries = &mut part.queries[row * width..][..width];
                quantize_heads(isa, &qkv[..width], queries, &mut part.query_scales[row * heads..][..heads]);
                put_keys(isa, &qkv[width..2 * width], row, heads, part.keys, part.key_scales);
            }
        });
        Ok(())
    }
}

impl Layer for Attention {
    fn name(&self) -> &'static str {
        "SelfAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map_fact(self.output)
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let x = io.input::<f32>(0)?;
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let isa = self.context.isa;
        let buffers = &mut *self.context.heads();
        self.quantize(x, buffers)?;
        let values = &mut buffers.values[..padded(tokens) * width];
        let (scales, sums) = (&mut buffers.value_scales[..width], &mut buffers.value_sums[..width]);
        pack_heads(isa, &self.context.pool, &x[2 * width..], 3 * width, tokens, heads, values, scales, sums)?;
        let keys = Keys { values: &buffers.keys, scales: &buffers.key_scales, tokens, heads };
        let values = Values { values, scales, sums };
        let (queries, query_scales) = (&buffers.queries, &buffers.query_scales);
        self.context.pool.for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let rows = out.len() / width;
            let queries = Queries {
                values: &queries[start * width..][..rows * width],
                scales: &query_scales[start * heads..][..rows * heads],
                heads,
            };
            let mut workspace = self.context.workspace(thread);
            for head in 0..heads {
                attend(isa, queries, keys, values, head, &mut workspace.attention(), out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_map(self.output, results, record)
    }
}
