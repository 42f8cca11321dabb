//! Self-attention over all tokens of a text.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_kernels::attention::{self, HEAD, Keys, QUERIES, Queries, Values, attend, padded, quantize_heads};
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::Context;
use super::layers::{Scratch, for_rows, map, record_rows};
use crate::ops::{pack_heads, put_keys};

/// `[tokens][3][heads][head]` to `[tokens][heads][head]`.
#[derive(Debug)]
pub(super) struct SelfAttention {
    context: Arc<Context>,
    heads: usize,
    /// Values of a head.
    head: usize,
}

/// Quantised queries, keys and values of all heads.
struct Heads<'a> {
    queries: &'a mut [i8],
    query_scales: &'a mut [f32],
    keys: &'a mut [i8],
    key_scales: &'a mut [f32],
    values: &'a mut [i8],
    value_scales: &'a mut [f32],
    value_sums: &'a mut [i32],
    /// Values in f32, each head [`HEAD`] wide.
    wide: &'a mut [f32],
}

impl SelfAttention {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        let config = context.config();
        Self { heads: config.num_attention_heads, head: config.head_size(), context: Arc::clone(context) }
    }

    /// Width of a row as the kernels take it.
    fn width(&self) -> usize {
        self.heads * HEAD
    }

    /// Bytes of [`Heads`] for as many tokens as there may be.
    fn heads_bytes(&self) -> usize {
        let (tokens, width) = (padded(self.context.config().max_tokens), self.width());
        let scales = 2 * Scratch::bytes::<f32>(tokens * self.heads);
        3 * Scratch::bytes::<i8>(tokens * width) + scales + 2 * Scratch::bytes::<f32>(width) + Scratch::bytes::<f32>(tokens * width)
    }

    /// Bytes that each thread needs: scores and probabilities, and rows of wide heads.
    fn thread_bytes(&self) -> usize {
        let tokens = padded(self.context.config().max_tokens);
        let scores = Scratch::bytes::<f32>(QUERIES * tokens) + Scratch::bytes::<u8>(QUERIES * tokens);
        scores + Scratch::bytes::<f32>(QUERIES * self.width())
    }

    fn split<'a>(&self, bytes: &'a mut [u8]) -> TractResult<Heads<'a>> {
        let (tokens, width) = (padded(self.context.config().max_tokens), self.width());
        let mut scratch = Scratch::split(bytes, 1).next().context("scratch memory")?;
        Ok(Heads {
            queries: scratch.take(tokens * width)?,
            query_scales: scratch.take(tokens * self.heads)?,
            keys: scratch.take(tokens * width)?,
            key_scales: scratch.take(tokens * self.heads)?,
            values: scratch.take(tokens * width)?,
            value_scales: scratch.take(width)?,
            value_sums: scratch.take(width)?,
            wide: scratch.take(tokens * width)?,
        })
    }

    /// The kernels know heads of [`HEAD`] values only: narrower ones get zeros behind them, which change no product and no scale.
    fn widen(&self, x: &[f32], out: &mut [f32]) {
        for (x, out) in x.chunks_exact(self.head).zip(out.chunks_exact_mut(HEAD)) {
            out[..self.head].copy_from_slice(x);
            out[self.head..].fill(0.0);
        }
    }

    /// What the kernels' scores, scaled for heads of [`HEAD`] values, are to be multiplied by.
    fn score_factor(&self) -> f32 {
        (HEAD as f32 / self.head as f32).sqrt()
    }

    /// Quantises all heads of `x`, `[tokens][3][heads][head]`.
    fn quantize(&self, x: &[f32], tokens: usize, buffers: &mut Heads<'_>) -> TractResult<()> {
        let (isa, heads, width, own) = (self.context.isa, self.heads, self.width(), self.heads * self.head);
        let factor = self.score_factor();
        // What a longer text left behind the last token.
        buffers.keys[(padded(tokens) - LANES) * width..padded(tokens) * width].fill(0);
        for (row, qkv) in x.chunks_exact(3 * own).take(tokens).enumerate() {
            let wide = &mut buffers.wide[..width];
            self.widen(&qkv[..own], wide);
            let scales = &mut buffers.query_scales[row * heads..][..heads];
            quantize_heads(isa, wide, &mut buffers.queries[row * width..][..width], scales);
            scales.iter_mut().for_each(|scale| *scale *= factor);
            self.widen(&qkv[own..2 * own], wide);
            put_keys(isa, wide, row, heads, buffers.keys, buffers.key_scales);
        }
        for (qkv, wide) in x.chunks_exact(3 * own).take(tokens).zip(buffers.wide.chunks_exact_mut(width)) {
            self.widen(&qkv[2 * own..], wide);
        }
        let values = &mut buffers.values[..padded(tokens) * width];
        pack_heads(isa, &self.context.pool, buffers.wide, width, tokens, heads, values, buffers.value_scales, buffers.value_sums)
    }
}

impl Layer for SelfAttention {
    fn name(&self) -> &'static str {
        "SelfAttention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map(&self.context, self.heads * self.head)
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(u8::fact([self.heads_bytes() + self.context.pool.threads() * self.thread_bytes()]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (context, heads, width, own) = (&self.context, self.heads, self.width(), self.heads * self.head);
        let tokens = context.tokens();
        let (shared, threads) = io.scratch::<u8>()?.split_at_mut(self.heads_bytes());
        let mut buffers = self.split(shared)?;
        self.quantize(io.input::<f32>(0)?, tokens, &mut buffers)?;
        let Heads { queries, query_scales, keys, key_scales, values, value_scales, value_sums, .. } = buffers;
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values, scales: value_scales, sums: value_sums };
        for_rows(context, io.output::<f32>(0)?, own, threads, |start, out, scratch| {
            let scores = scratch.take(QUERIES * padded(tokens))?;
            let mut scores = attention::Scratch { scores, probs: scratch.take(QUERIES * padded(tokens))? };
            let wide = scratch.take::<f32>(QUERIES * width)?;
            for (block, out) in out.chunks_mut(QUERIES * own).enumerate() {
                let (first, rows) = (start + block * QUERIES, out.len() / own);
                let queries = Queries {
                    values: &queries[first * width..][..rows * width],
                    scales: &query_scales[first * heads..][..rows * heads],
                    heads,
                };
                for head in 0..heads {
                    attend(context.isa, queries, keys, values, head, &mut scores, wide);
                }
                for (wide, out) in wide.chunks_exact(HEAD).zip(out.chunks_exact_mut(self.head)) {
                    out.copy_from_slice(&wide[..self.head]);
                }
            }
            Ok(())
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_rows(&self.context, results, record)
    }
}
