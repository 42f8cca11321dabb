//! Self-attention.

use crate::layer::{Fact, Io, Layer, Results};
use crate::pool::MAX_THREADS;
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{CausalCache, HEAD, Keys, Queries, Values, attend, attend_causal, padded, quantize_heads};
use ossicle_kernels::simd::LANES;

use crate::layers::{attention_need, attention_scratch, pack_heads, put_keys};

use super::{Shape, map_fact, record_map};

/// Quantised queries and keys.
#[derive(Debug)]
struct Heads<'a> {
    queries: &'a mut [i8],
    query_scales: &'a mut [f32],
    keys: &'a mut [i8],
    key_scales: &'a mut [f32],
}

/// `[positions][3][heads][64]` to `[positions][heads][64]`: each position looks at all of them.
#[derive(Debug)]
pub struct Attention {
    /// Heads of 64 values.
    pub heads: usize,
    /// Shape of the output.
    pub output: Shape,
}

/// As [`Attention`], but each position looks at itself and those before it. What comes after a position changes none of its bits, so a text
/// may be followed by anything.
#[derive(Debug)]
pub struct CausalAttention {
    /// Heads of 64 values.
    pub heads: usize,
    /// Shape of the output.
    pub output: Shape,
}

impl Attention {
    /// Quantises queries and keys, split over the threads by positions.
    fn quantize(&self, session: &Session, x: &[f32], buffers: &mut Heads<'_>) -> Result<(), GraphError> {
        struct Part<'a> {
            start: usize,
            queries: &'a mut [i8],
            query_scales: &'a mut [f32],
            keys: &'a mut [i8],
            key_scales: &'a mut [f32],
        }
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let isa = session.isa();
        let (mut queries, mut query_scales) = (&mut *buffers.queries, &mut *buffers.query_scales);
        let (mut keys, mut key_scales) = (&mut *buffers.keys, &mut *buffers.key_scales);
        // There are no tokens after the last one.
        let last = keys.len() - LANES * width;
        keys[last..].fill(0);
        let last = key_scales.len() - LANES * heads;
        key_scales[last..].fill(0.0);
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(session.pool().split(tokens, LANES)) {
            let blocks = padded(range.len());
            *part = Some(Part {
                start: range.start,
                queries: queries.split_off_mut(..range.len() * width).ok_or(GraphError::Layer("queries"))?,
                query_scales: query_scales.split_off_mut(..range.len() * heads).ok_or(GraphError::Layer("query scales"))?,
                keys: keys.split_off_mut(..blocks * width).ok_or(GraphError::Layer("keys"))?,
                key_scales: key_scales.split_off_mut(..blocks * heads).ok_or(GraphError::Layer("key scales"))?,
            });
        }
        session.pool().each(parts, |_, part| {
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

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn scratch(&self) -> Need {
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let queries = Need::default().shared::<i8>(tokens * width).shared::<f32>(tokens * heads);
        let keys = queries.shared::<i8>(padded(tokens) * width).shared::<f32>(padded(tokens) * heads);
        attention_need(keys.shared::<i8>(padded(tokens) * width).shared::<f32>(width).shared::<i32>(width), tokens)
    }

    fn work(&self) -> Work {
        let (tokens, width) = (self.output.positions(), (self.heads * HEAD) as f64);
        let row = Units { head: 2.0 * width, pack: width, score: (self.heads * tokens) as f64, ..Units::default() };
        Work::default().and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let isa = session.isa();
        let mut buffers = Heads {
            queries: io.scratch(tokens * width),
            query_scales: io.scratch(tokens * heads),
            keys: io.scratch(padded(tokens) * width),
            key_scales: io.scratch(padded(tokens) * heads),
        };
        self.quantize(session, x, &mut buffers)?;
        let (values, scales, sums) = (io.scratch(padded(tokens) * width), io.scratch(width), io.scratch(width));
        let threads = io.thread_scratch();
        pack_heads(isa, session.pool(), &x[2 * width..], 3 * width, tokens, heads, values, scales, sums)?;
        let keys = Keys { values: buffers.keys, scales: buffers.key_scales, tokens, heads };
        let values = Values { values, scales, sums };
        let (queries, query_scales) = (&*buffers.queries, &*buffers.query_scales);
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |thread, start, out| {
            let rows = out.len() / width;
            let queries = Queries {
                values: &queries[start * width..][..rows * width],
                scales: &query_scales[start * heads..][..rows * heads],
                heads,
            };
            let mut memory = threads.of(thread);
            let mut scores = attention_scratch(&mut memory.take_all(), tokens);
            for head in 0..heads {
                attend(isa, queries, keys, values, head, &mut scores, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}

impl Layer for CausalAttention {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn scratch(&self) -> Need {
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let keys = Need::default().shared::<i8>(padded(tokens) * width).shared::<f32>(padded(tokens) * heads);
        let values = keys.shared::<i8>(tokens * width).shared::<f32>(tokens * heads);
        values.thread::<i8>(width).thread::<f32>(heads).thread::<f32>(padded(tokens))
    }

    fn work(&self) -> Work {
        let (tokens, width) = (self.output.positions(), (self.heads * HEAD) as f64);
        // Half of all pairs of positions.
        let row = Units { head: 3.0 * width, score: (self.heads * tokens.div_ceil(2)) as f64, ..Units::default() };
        Work::default().and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (tokens, heads, width) = (self.output.positions(), self.heads, self.heads * HEAD);
        let isa = session.isa();
        let (keys, key_scales) = (io.scratch(padded(tokens) * width), io.scratch(padded(tokens) * heads));
        let (values, value_scales) = (io.scratch(tokens * width), io.scratch(tokens * heads));
        // Positions of the last block that there are not.
        let last = tokens / LANES * LANES;
        keys[last * width..].fill(0);
        key_scales[last * heads..].fill(0.0);
        let mut cache = CausalCache { keys, key_scales, values, value_scales, heads };
        for (token, qkv) in x.chunks_exact(3 * width).enumerate() {
            cache.put(isa, token, &qkv[width..2 * width], &qkv[2 * width..]);
        }
        let (cache, threads) = (&cache, io.thread_scratch());
        session.pool().for_parts(io.output::<f32>(0)?, width, 1, |thread, start, out| {
            let mut memory = threads.of(thread);
            let mut scratch = memory.take_all();
            let (values, scales, scores) = (scratch.take::<i8>(width), scratch.take::<f32>(heads), scratch.take::<f32>(padded(tokens)));
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let token = start + row;
                quantize_heads(isa, &x[3 * token * width..][..width], values, scales);
                let query = Queries { values, scales, heads };
                for head in 0..heads {
                    attend_causal(isa, query, cache, token + 1, head, scores, &mut out[head * HEAD..]);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
