//! Self-attention over all tokens of a text.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{attention_need, attention_scratch, pack_heads, put_keys};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, Keys, QUERIES, Queries, Values, attend, padded, quantize_heads};
use ossicle_kernels::simd::LANES;

use super::Text;
use super::layers::{for_rows, map, record_rows};

/// `[tokens][3][heads][head]` to `[tokens][heads][head]`.
#[derive(Debug)]
pub(super) struct SelfAttention {
    text: Arc<Text>,
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
    pub(super) fn new(text: &Arc<Text>) -> Self {
        Self { heads: text.config.num_attention_heads, head: text.config.head_size(), text: Arc::clone(text) }
    }

    /// Width of a row as the kernels take it.
    fn width(&self) -> usize {
        self.heads * HEAD
    }

    /// The kernels know heads of [`HEAD`] values only: narrower ones get zeros after them, which change no product and no scale.
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
    fn quantize(&self, session: &Session, x: &[f32], tokens: usize, buffers: &mut Heads<'_>) -> Result<(), GraphError> {
        let (isa, heads, width, own) = (session.isa(), self.heads, self.width(), self.heads * self.head);
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
        pack_heads(isa, session.pool(), buffers.wide, width, tokens, heads, values, buffers.value_scales, buffers.value_sums)
    }
}

impl Layer for SelfAttention {
    fn name(&self) -> &'static str {
        "SelfAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        map(&self.text, self.heads * self.head)
    }

    fn scratch(&self) -> Need {
        let (tokens, width) = (padded(self.text.config.max_tokens), self.width());
        let queries = Need::default().shared::<i8>(tokens * width).shared::<f32>(tokens * self.heads);
        let keys = queries.shared::<i8>(tokens * width).shared::<f32>(tokens * self.heads);
        let values = keys.shared::<i8>(tokens * width).shared::<f32>(width).shared::<i32>(width).shared::<f32>(tokens * width);
        attention_need(values, tokens).thread::<f32>(QUERIES * width)
    }

    fn work(&self) -> Work {
        let (tokens, width) = (self.text.tokens(), self.width() as f64);
        let row = Units { head: 2.0 * width, pack: width, score: (self.heads * tokens) as f64, ..Units::default() };
        Work::default().and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, heads, width, own) = (&self.text, self.heads, self.width(), self.heads * self.head);
        let (tokens, most) = (text.tokens(), padded(text.config.max_tokens));
        let mut buffers = Heads {
            queries: io.scratch(most * width),
            query_scales: io.scratch(most * heads),
            keys: io.scratch(most * width),
            key_scales: io.scratch(most * heads),
            values: io.scratch(most * width),
            value_scales: io.scratch(width),
            value_sums: io.scratch(width),
            wide: io.scratch(most * width),
        };
        let threads = io.thread_scratch();
        self.quantize(session, io.input::<f32>(0)?, tokens, &mut buffers)?;
        let Heads { queries, query_scales, keys, key_scales, values, value_scales, value_sums, .. } = buffers;
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values, scales: value_scales, sums: value_sums };
        for_rows(text, session, &threads, io.output::<f32>(0)?, own, |scratch, start, out| {
            let mut scores = attention_scratch(scratch, most);
            let wide = scratch.take::<f32>(QUERIES * width);
            for (block, out) in out.chunks_mut(QUERIES * own).enumerate() {
                let (first, rows) = (start + block * QUERIES, out.len() / own);
                let queries = Queries {
                    values: &queries[first * width..][..rows * width],
                    scales: &query_scales[first * heads..][..rows * heads],
                    heads,
                };
                for head in 0..heads {
                    attend(session.isa(), queries, keys, values, head, &mut scores, wide);
                }
                for (wide, out) in wide.chunks_exact(HEAD).zip(out.chunks_exact_mut(self.head)) {
                    out.copy_from_slice(&wide[..self.head]);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_rows(&self.text, results, record)
    }
}
