//! Queries of a few rows, for attention over a cache.

use crate::Session;
use crate::layer::Io;
use crate::layers::rows::{Norm, RowBuffers};
use crate::scratch::{self, Need, ThreadScratch};
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use ossicle_kernels::attention::{HEAD, Keys, Queries, Scratch, Values, attend, padded, quantize_heads};
use ossicle_kernels::linear::Finish;

/// The layer that gives the queries of a few rows, and maybe their keys and values: normalisation, then one product.
#[derive(Clone, Debug)]
pub struct TokenQueries {
    /// Normalisation of the rows.
    pub norm: Norm,
    /// Queries, then maybe keys and values.
    pub layer: LinearSpan,
    /// Rows.
    pub rows: usize,
    /// Heads of 64 values.
    pub heads: usize,
    /// Outputs of a row: `heads * 64` queries, or three times as many with keys and values.
    pub outputs: usize,
}

/// What it computed.
#[derive(Debug)]
pub struct TokenRows<'a> {
    /// `[rows][outputs]`
    wide: &'a mut [f32],
    values: &'a mut [i8],
    scales: &'a mut [f32],
    heads: usize,
    outputs: usize,
}

impl TokenQueries {
    /// Values of a row's queries.
    pub fn width(&self) -> usize {
        self.heads * HEAD
    }

    /// The memory that it takes.
    pub fn need(&self, need: Need) -> Need {
        let need = need.shared::<f32>(self.rows * self.outputs).shared::<i8>(self.width()).shared::<f32>(self.heads);
        RowBuffers::need(need, self.rows, self.width())
    }

    /// After what [`need`](Self::need) asked for of each thread, which is free once the rows are computed.
    pub(super) fn skip(&self, scratch: &mut scratch::Scratch<'_>) {
        RowBuffers::take(scratch, self.rows, self.width());
    }

    /// How much it computes, `attention` of each row included, which reads `bytes` of a cache.
    pub fn work(&self, attention: Units, bytes: f64) -> Work {
        let (width, outputs) = (self.width() as f64, self.outputs as f64);
        let work = Work::product(self.rows, self.width(), self.outputs);
        let work = work.and(self.rows, Units { normalize: width, head: outputs, ..attention });
        Work { bytes: work.bytes + bytes, ..work }
    }

    /// Computes the rows of `x`, `[rows][width]`; few enough that their product is split by outputs.
    pub fn run<'a>(&self, session: &Session, io: &mut Io<'a>, threads: &ThreadScratch<'_>, x: &[f32]) -> TokenRows<'a> {
        let wide = io.scratch::<f32>(self.rows * self.outputs);
        let (values, scales) = (io.scratch(self.width()), io.scratch(self.heads));
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), self.rows, self.width());
        let rows = buffers.normalize(session, &self.norm, x, self.rows);
        session.linear(&rows, &session.weights().linear(&self.layer), Finish::Store, wide);
        TokenRows { wide, values, scales, heads: self.heads, outputs: self.outputs }
    }
}

impl TokenRows<'_> {
    /// A row's outputs, of which the first are its queries, and these quantised.
    pub fn row(&mut self, session: &Session, row: usize) -> (&[f32], Queries<'_>) {
        let x = &self.wide[row * self.outputs..][..self.outputs];
        quantize_heads(session.isa(), &x[..self.heads * HEAD], self.values, self.scales);
        (x, Queries { values: self.values, scales: self.scales, heads: self.heads })
    }
}

/// Memory for [`attend_cached`].
pub fn cross_need(need: Need, most: usize) -> Need {
    need.shared::<f32>(padded(most)).shared::<u8>(padded(most))
}

/// Takes what [`cross_need`] asked for.
pub fn cross_scratch<'a>(io: &mut Io<'a>, most: usize) -> Scratch<'a> {
    Scratch { scores: io.scratch(padded(most)), probs: io.scratch(padded(most)) }
}

/// Attention of one row to all rows of a cache.
pub fn attend_cached(
    session: &Session,
    queries: Queries<'_>,
    keys: Keys<'_>,
    values: Values<'_>,
    scratch: &mut Scratch<'_>,
    out: &mut [f32],
) {
    for head in 0..queries.heads {
        attend(session.isa(), queries, keys, values, head, scratch, out);
    }
}
