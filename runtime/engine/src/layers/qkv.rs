//! Projections to queries, keys and values.

use crate::layer::{Fact, Io, Layer, Results};
use crate::pool::{MAX_THREADS, Pool};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, pack_values, padded, quantize_heads, scatter_keys};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Values;

use super::{Norm, RowBuffers};

/// Quantises one row's keys and writes them at `row` of whole blocks of 16 tokens.
pub fn put_keys(isa: Isa, x: &[f32], row: usize, heads: usize, keys: &mut [i8], scales: &mut [f32]) {
    for head in 0..heads {
        let mut q = [0; HEAD];
        let mut scale = [0.0];
        quantize_heads(isa, &x[head * HEAD..][..HEAD], &mut q, &mut scale);
        scatter_keys(&q, row, head, heads, keys);
        scales[(row / LANES * heads + head) * LANES + row % LANES] = scale[0];
    }
}

/// `[tokens][width]` to queries s8 `[tokens][heads][64]`, keys s8 `[padded / 16][heads][16][16][4]`, their scales f32 (`[tokens][heads]`
/// of the queries, then `[padded / 16][heads][16]` of the keys), and values f32 `[tokens][width]`.
#[derive(Debug)]
pub struct QkvProjection {
    /// Normalisation of the input.
    pub norm: Norm,
    /// Weights of the linear layer.
    pub layer: LinearSpan,
    /// Tokens: rows of the input.
    pub tokens: usize,
    /// Heads of 64 values.
    pub heads: usize,
}

impl Layer for QkvProjection {
    fn name(&self) -> &'static str {
        "QkvProjection"
    }

    fn outputs(&self) -> Vec<Fact> {
        let (tokens, heads) = (self.tokens, self.heads);
        let width = heads * HEAD;
        vec![
            Fact::i8([tokens, width]),
            Fact::i8([padded(tokens), width]),
            Fact::f32([tokens + padded(tokens), heads]),
            Fact::f32([tokens, width]),
        ]
    }

    fn scratch(&self) -> Need {
        let width = self.heads * HEAD;
        RowBuffers::need(Need::default(), self.tokens, width).thread::<f32>(self.tokens.min(ROWS) * 3 * width)
    }

    fn work(&self) -> Work {
        let width = self.heads * HEAD;
        let row = Units { normalize: width as f64, head: 2.0 * width as f64, ..Units::default() };
        Work::product(self.tokens, width, 3 * width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        struct Part<'a> {
            start: usize,
            queries: &'a mut [i8],
            keys: &'a mut [i8],
            query_scales: &'a mut [f32],
            key_scales: &'a mut [f32],
            values: &'a mut [f32],
        }
        let x = io.input::<f32>(0)?;
        let threads = io.thread_scratch();
        let layer = session.weights().linear(&self.layer);
        let (heads, width) = (self.heads, self.heads * HEAD);
        let (mut queries, mut keys, mut values) = (io.output::<i8>(0)?, io.output::<i8>(1)?, io.output::<f32>(3)?);
        let (mut query_scales, mut key_scales) = io.output::<f32>(2)?.split_at_mut(self.tokens * heads);
        if !self.tokens.is_multiple_of(LANES) {
            // Tokens of the last block that there are not.
            let last = self.tokens / LANES * LANES;
            keys[last * width..].fill(0);
            key_scales[last * heads..].fill(0.0);
        }
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(session.pool().split(self.tokens, LANES)) {
            let blocks = padded(range.len());
            *part = Some(Part {
                start: range.start,
                queries: queries.split_off_mut(..range.len() * width).ok_or(GraphError::Layer("queries"))?,
                keys: keys.split_off_mut(..blocks * width).ok_or(GraphError::Layer("keys"))?,
                query_scales: query_scales.split_off_mut(..range.len() * heads).ok_or(GraphError::Layer("query scales"))?,
                key_scales: key_scales.split_off_mut(..blocks * heads).ok_or(GraphError::Layer("key scales"))?,
                values: values.split_off_mut(..range.len() * width).ok_or(GraphError::Layer("values"))?,
            });
        }
        session.pool().each(parts, |thread, part| {
            let mut memory = threads.of(thread);
            let mut scratch = memory.take_all();
            let mut buffers = RowBuffers::take(&mut scratch, self.tokens, width);
            let wide = scratch.take::<f32>(self.tokens.min(ROWS) * 3 * width);
            let rows = part.values.len() / width;
            for begin in (0..rows).step_by(ROWS) {
                let count = ROWS.min(rows - begin);
                let x = &x[(part.start + begin) * width..];
                session.linear(&buffers.normalize(session, &self.norm, x, count), &layer, Finish::Store, wide);
                for (i, qkv) in wide[..count * 3 * width].chunks_exact(3 * width).enumerate() {
                    let row = begin + i;
                    let queries = &mut part.queries[row * width..][..width];
                    quantize_heads(session.isa(), &qkv[..width], queries, &mut part.query_scales[row * heads..][..heads]);
                    put_keys(session.isa(), &qkv[width..2 * width], row, heads, part.keys, part.key_scales);
                    part.values[row * width..][..width].copy_from_slice(&qkv[2 * width..]);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let (tokens, heads) = (self.tokens, self.heads);
        let (query_scales, key_scales) = results.output::<f32>(2)?.split_at(tokens * heads);
        record.tensor("queries", &[tokens, heads, HEAD], Values::I8(results.output(0)?));
        record.tensor("query_scales", &[tokens, heads], Values::F32(query_scales));
        record.keys(results.output(1)?, key_scales, 0, tokens, heads);
        record.tensor("values", &[tokens, heads, HEAD], Values::F32(results.output(3)?));
        Ok(())
    }
}

/// Quantises and packs the values of all heads, split over the threads by heads. Tokens are `stride` values apart in `x`.
#[expect(clippy::too_many_arguments, reason = "two buffers, their figures, three results")]
pub fn pack_heads(
    isa: Isa,
    pool: &Pool,
    x: &[f32],
    stride: usize,
    tokens: usize,
    heads: usize,
    mut values: &mut [i8],
    mut scales: &mut [f32],
    mut sums: &mut [i32],
) -> Result<(), GraphError> {
    let bytes = padded(tokens) * HEAD;
    let mut parts = [const { None }; MAX_THREADS];
    for (part, range) in parts.iter_mut().zip(pool.split(heads, 1)) {
        *part = Some((
            range.start,
            values.split_off_mut(..range.len() * bytes).ok_or(GraphError::Layer("packed values"))?,
            scales.split_off_mut(..range.len() * HEAD).ok_or(GraphError::Layer("value scales"))?,
            sums.split_off_mut(..range.len() * HEAD).ok_or(GraphError::Layer("value sums"))?,
        ));
    }
    pool.each(parts, |_, (start, values, scales, sums)| {
        let heads = values.chunks_exact_mut(bytes).zip(scales.chunks_exact_mut(HEAD)).zip(sums.chunks_exact_mut(HEAD));
        for (i, ((values, scales), sums)) in heads.enumerate() {
            pack_values(isa, &x[(start + i) * HEAD..], stride, tokens, values, scales, sums);
        }
    });
    Ok(())
}
