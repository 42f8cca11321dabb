//! Quantised heads: how rows are divided into them, and how their queries, keys and values are split over the threads.

use crate::GraphError;
use crate::Session;
use crate::pool::{MAX_THREADS, Pool};
use crate::scratch::{Need, Scratch, ThreadScratch};
use ossicle_kernels::attention::{self, HEAD, Keys, QUERIES, Queries, Values, attend, pack_values, padded, quantize_heads, scatter_keys};
use ossicle_kernels::simd::{Isa, LANES};

/// How a row is divided. The kernels take heads of [`HEAD`] values only: narrower ones get zeros after them, which change no product and no
/// scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSize {
    /// Heads of each row.
    pub heads: usize,
    /// Values of a head, at most 64.
    pub head: usize,
}

impl HeadSize {
    /// Heads of the kernels' own size.
    pub fn whole(heads: usize) -> Self {
        Self { heads, head: HEAD }
    }

    /// Values of a row.
    pub fn own(self) -> usize {
        self.heads * self.head
    }

    /// Values of a row as the kernels take it.
    pub fn width(self) -> usize {
        self.heads * HEAD
    }

    /// Whether heads are widened for the kernels.
    pub(super) fn narrow(self) -> bool {
        self.head < HEAD
    }

    /// `count` values where heads are widened, none elsewhere.
    pub(super) fn if_narrow(self, count: usize) -> usize {
        if self.narrow() { count } else { 0 }
    }

    /// A row as the kernels take it, in `buffer` if that is not what it is.
    pub(super) fn wide<'a>(self, x: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
        if !self.narrow() {
            return x;
        }
        for (x, out) in x.chunks_exact(self.head).zip(buffer.chunks_exact_mut(HEAD)) {
            out[..self.head].copy_from_slice(x);
            out[self.head..].fill(0.0);
        }
        buffer
    }

    /// Quantises a row's queries. The kernels scale scores for heads of [`HEAD`] values; what narrower ones need instead is put into the
    /// queries' scales.
    pub(super) fn quantize_queries(self, isa: Isa, wide: &[f32], values: &mut [i8], scales: &mut [f32]) {
        quantize_heads(isa, wide, values, scales);
        if self.narrow() {
            let factor = (HEAD as f32 / self.head as f32).sqrt();
            scales.iter_mut().for_each(|scale| *scale *= factor);
        }
    }

    /// What [`attend_all`](Self::attend_all) needs of each thread.
    pub(super) fn attend_need(self, need: Need, tokens: usize) -> Need {
        let scores = QUERIES * padded(tokens);
        need.thread::<f32>(scores).thread::<u8>(scores).thread::<f32>(self.if_narrow(QUERIES * self.width()))
    }

    /// Attention of all rows of `out` over the same keys and values, split over the threads by rows. Scratch memory was asked for for up to
    /// `most` tokens.
    pub(super) fn attend_all(
        self,
        session: &Session,
        threads: &ThreadScratch<'_>,
        (queries, keys, values): (Queries<'_>, Keys<'_>, Values<'_>),
        most: usize,
        out: &mut [f32],
    ) {
        let (isa, own) = (session.isa(), self.own());
        session.for_parts(threads, out, own, |scratch, start, out| {
            let mut scores = attention_scratch(scratch, most);
            if !self.narrow() {
                // Head after head: one head's keys and values stay in the cache for all queries.
                let queries = self.rows(queries, start, out.len() / own);
                return (0..self.heads).for_each(|head| attend(isa, queries, keys, values, head, &mut scores, out));
            }
            let wide = scratch.take::<f32>(QUERIES * self.width());
            for (block, out) in out.chunks_mut(QUERIES * own).enumerate() {
                let queries = self.rows(queries, start + block * QUERIES, out.len() / own);
                (0..self.heads).for_each(|head| attend(isa, queries, keys, values, head, &mut scores, wide));
                for (wide, out) in wide.chunks_exact(HEAD).zip(out.chunks_exact_mut(self.head)) {
                    out.copy_from_slice(&wide[..self.head]);
                }
            }
        });
    }

    fn rows(self, all: Queries<'_>, first: usize, rows: usize) -> Queries<'_> {
        let width = self.width();
        Queries {
            values: &all.values[first * width..][..rows * width],
            scales: &all.scales[first * self.heads..][..rows * self.heads],
            heads: self.heads,
        }
    }
}

fn attention_scratch<'a>(scratch: &mut Scratch<'a>, tokens: usize) -> attention::Scratch<'a> {
    let scores = QUERIES * padded(tokens);
    attention::Scratch { scores: scratch.take(scores), probs: scratch.take(scores) }
}

/// Where the queries, keys and values of rows go.
#[derive(Debug)]
pub struct Quantized<'a> {
    /// `[tokens][heads][64]`, and their scales `[tokens][heads]`.
    pub queries: Option<(&'a mut [i8], &'a mut [f32])>,
    /// `[padded / 16][heads][16][16][4]`, and their scales `[padded / 16][heads][16]`.
    pub keys: (&'a mut [i8], &'a mut [f32]),
    /// `[tokens][heads][64]`, still f32: `pack_heads` quantises them when all are there.
    pub values: Option<&'a mut [f32]>,
}

/// A thread's part of [`Quantized`]; its rows are counted from its own first.
#[derive(Debug)]
pub struct HeadPart<'a> {
    /// The first row.
    pub start: usize,
    /// Rows.
    pub rows: usize,
    heads: usize,
    to: Quantized<'a>,
}

fn cut<'a, T>(rest: &mut &'a mut [T], count: usize, what: &'static str) -> Result<&'a mut [T], GraphError> {
    rest.split_off_mut(..count).ok_or(GraphError::Layer(what))
}

impl<'a> Quantized<'a> {
    /// Splits `tokens` rows over the threads, by whole blocks of keys. Keys of the last block that there are not become zero.
    ///
    /// # Errors
    /// [`GraphError::Layer`] if a buffer is too short.
    pub fn split(mut self, pool: &Pool, tokens: usize, heads: usize) -> Result<[Option<HeadPart<'a>>; MAX_THREADS], GraphError> {
        let width = heads * HEAD;
        let last = tokens / LANES * LANES;
        if last < tokens {
            self.keys.0.get_mut(last * width..padded(tokens) * width).ok_or(GraphError::Layer("keys"))?.fill(0);
            self.keys.1.get_mut(last * heads..padded(tokens) * heads).ok_or(GraphError::Layer("key scales"))?.fill(0.0);
        }
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(pool.split(tokens, LANES)) {
            let (rows, blocks) = (range.len(), padded(range.len()));
            let queries = match &mut self.queries {
                Some((values, scales)) => Some((cut(values, rows * width, "queries")?, cut(scales, rows * heads, "query scales")?)),
                None => None,
            };
            let keys = (cut(&mut self.keys.0, blocks * width, "keys")?, cut(&mut self.keys.1, blocks * heads, "key scales")?);
            let values = self.values.as_mut().map(|values| cut(values, rows * width, "values")).transpose()?;
            *part = Some(HeadPart { start: range.start, rows, heads, to: Quantized { queries, keys, values } });
        }
        Ok(parts)
    }
}

impl HeadPart<'_> {
    /// Writes a row: its queries if they are wanted, its keys, and its values if they are wanted. Each is `[heads][64]`; what is not wanted is
    /// not looked at.
    pub(super) fn put(&mut self, isa: Isa, size: HeadSize, row: usize, [queries, keys, values]: [&[f32]; 3]) {
        let (heads, width) = (self.heads, self.heads * HEAD);
        if let Some((out, scales)) = &mut self.to.queries {
            size.quantize_queries(isa, queries, &mut out[row * width..][..width], &mut scales[row * heads..][..heads]);
        }
        put_keys(isa, keys, row, heads, self.to.keys.0, self.to.keys.1);
        if let Some(out) = &mut self.to.values {
            out[row * width..][..width].copy_from_slice(values);
        }
    }
}

/// Quantises one row's keys and writes them at `row` of whole blocks of 16 tokens.
fn put_keys(isa: Isa, x: &[f32], row: usize, heads: usize, keys: &mut [i8], scales: &mut [f32]) {
    for head in 0..heads {
        let mut q = [0; HEAD];
        let mut scale = [0.0];
        quantize_heads(isa, &x[head * HEAD..][..HEAD], &mut q, &mut scale);
        scatter_keys(&q, row, head, heads, keys);
        scales[(row / LANES * heads + head) * LANES + row % LANES] = scale[0];
    }
}

/// Where packed values of all heads go.
#[derive(Debug)]
pub(super) struct PackedValues<'a> {
    /// `[heads][4][padded / 4][16][4]`
    pub(super) values: &'a mut [i8],
    /// `[heads][64]`
    pub(super) scales: &'a mut [f32],
    /// `[heads][64]`
    pub(super) sums: &'a mut [i32],
}

/// Quantises and packs the values of `tokens` rows of `x`, `stride` values apart, split over the threads by heads.
pub(super) fn pack_heads(
    session: &Session,
    x: &[f32],
    stride: usize,
    tokens: usize,
    heads: usize,
    out: &mut PackedValues<'_>,
) -> Result<(), GraphError> {
    let (isa, pool, bytes) = (session.isa(), session.pool(), padded(tokens) * HEAD);
    let (mut values, mut scales, mut sums) = (&mut *out.values, &mut *out.scales, &mut *out.sums);
    let mut parts = [const { None }; MAX_THREADS];
    for (part, range) in parts.iter_mut().zip(pool.split(heads, 1)) {
        *part = Some((
            range.start,
            cut(&mut values, range.len() * bytes, "packed values")?,
            cut(&mut scales, range.len() * HEAD, "value scales")?,
            cut(&mut sums, range.len() * HEAD, "value sums")?,
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
