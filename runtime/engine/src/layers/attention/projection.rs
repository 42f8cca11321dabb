//! Projections to queries, keys and values.

use crate::layer::{Fact, Io, Layer, Results};
use crate::layers::rows::{Norm, RowBuffers};
use crate::recorder::Record;
use crate::scratch::{Need, ThreadScratch};
use crate::session::ROWS;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, padded};
use ossicle_kernels::linear::Finish;
use ossicle_trace::Values;

use super::heads::{HeadSize, Quantized};

/// A linear layer from rows to heads of 64: queries if they are wanted, keys, and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadProjection<'a> {
    /// Normalisation of the rows, if any.
    pub(super) norm: Option<&'a Norm>,
    /// `queries + keys + values` outputs, or `keys + values`.
    pub(super) layer: &'a LinearSpan,
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Whether there are queries.
    pub(super) queries: bool,
}

impl HeadProjection<'_> {
    fn outputs(&self) -> usize {
        (2 + usize::from(self.queries)) * self.heads * HEAD
    }

    pub(super) fn need(&self, need: Need) -> Need {
        let rows = RowBuffers::need(need, self.tokens, self.layer.depth());
        rows.thread::<f32>(self.tokens.min(ROWS) * self.outputs())
    }

    /// Computes the heads of all rows of `x`, split over the threads by rows.
    pub(super) fn run(&self, session: &Session, threads: &ThreadScratch<'_>, x: &[f32], to: Quantized<'_>) -> Result<(), GraphError> {
        let (width, depth, outputs) = (self.heads * HEAD, self.layer.depth(), self.outputs());
        let (layer, size) = (session.weights().linear(self.layer), HeadSize::whole(self.heads));
        session.pool().each(to.split(session.pool(), self.tokens, self.heads)?, |thread, mut part| {
            let mut memory = threads.of(thread);
            let mut scratch = memory.take_all();
            let mut buffers = RowBuffers::take(&mut scratch, self.tokens, depth);
            let wide = scratch.take::<f32>(self.tokens.min(ROWS) * outputs);
            for begin in (0..part.rows).step_by(ROWS) {
                let count = ROWS.min(part.rows - begin);
                let x = &x[(part.start + begin) * depth..][..count * depth];
                let rows = match self.norm {
                    Some(norm) => buffers.normalize(session, norm, x, count),
                    None => buffers.quantize(session, x, count, depth, depth),
                };
                session.linear(&rows, &layer, Finish::Store, wide);
                for (i, row) in wide[..count * outputs].chunks_exact(outputs).enumerate() {
                    let (queries, row) = row.split_at(outputs - 2 * width);
                    let (keys, values) = row.split_at(width);
                    part.put(session.isa(), size, begin + i, [queries, keys, values]);
                }
            }
        });
        Ok(())
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

impl QkvProjection {
    fn projection(&self) -> HeadProjection<'_> {
        HeadProjection { norm: Some(&self.norm), layer: &self.layer, tokens: self.tokens, heads: self.heads, queries: true }
    }
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
        self.projection().need(Need::default())
    }

    fn work(&self) -> Work {
        let width = self.heads * HEAD;
        let row = Units { normalize: width as f64, head: 2.0 * width as f64, ..Units::default() };
        Work::product(self.tokens, width, 3 * width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (queries, keys, values) = (io.output::<i8>(0)?, io.output::<i8>(1)?, io.output::<f32>(3)?);
        let (query_scales, key_scales) = io.output::<f32>(2)?.split_at_mut(self.tokens * self.heads);
        let to = Quantized { queries: Some((queries, query_scales)), keys: (keys, key_scales), values: Some(values) };
        self.projection().run(session, &io.thread_scratch(), x, to)
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
