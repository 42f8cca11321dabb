//! Logits over the vocabulary.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{Norm, RowBuffers};
use ossicle_engine::pool::MAX_THREADS;
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::LinearSpan;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::QuantRows;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::Store;

/// Blocks of 16 outputs computed for both rows before they are copied to their places.
const PAIR_BLOCKS: usize = 64;

/// Rows of `[tokens][width]` to `[rows][vocabulary]`, the vocabulary rounded up to a multiple of 16 (the rest is zero).
#[derive(Debug)]
pub(crate) struct Logits {
    pub(crate) store: Arc<Store>,
    pub(crate) norm: Norm,
    pub(crate) layer: LinearSpan,
    pub(crate) tokens: usize,
    pub(crate) rows: LogitRows,
    pub(crate) width: usize,
    /// The vocabulary rounded up.
    pub(crate) vocabulary: usize,
    /// Tokens that there are.
    pub(crate) own: usize,
}

/// Which tokens' logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogitRows {
    Last,
    /// In one pass over the weights, which are most of a decoder step's memory traffic.
    FirstAndLast,
}

impl LogitRows {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Last => 1,
            Self::FirstAndLast => 2,
        }
    }
}

impl Layer for Logits {
    fn name(&self) -> &'static str {
        "Logits"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows.count(), self.vocabulary])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.rows.count(), self.width).thread::<f32>(2 * self.width)
    }

    fn work(&self) -> Work {
        let (rows, weights) = (self.rows.count(), (self.width * self.own) as f64);
        let row = Units { normalize: self.width as f64, ..Units::default() };
        let mut work = Work { bytes: weights, ..Work::default() }.and(rows, row);
        // Both rows are split by outputs.
        work.shared = Units { vector_mac: weights, mac: (rows - 1) as f64 * weights, ..Units::default() };
        work
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let (first, last) = (&x[..self.width], &x[(self.tokens - 1) * self.width..]);
        self.store.lanes().rows().keep(self.store.position() + self.tokens - 1, last);
        let layer = session.weights().linear(&self.layer);
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut scratch = memory.take_all();
        let mut rows = RowBuffers::take(&mut scratch, self.rows.count(), self.width);
        let wide = scratch.take::<f32>(2 * self.width);
        let x = match self.rows {
            LogitRows::Last => last,
            LogitRows::FirstAndLast => {
                let (one, other) = wide[..2 * self.width].split_at_mut(self.width);
                one.copy_from_slice(first);
                other.copy_from_slice(last);
                &wide[..2 * self.width]
            }
        };
        let rows = rows.normalize(session, &self.norm, x, self.rows.count());
        let out = io.output::<f32>(0)?;
        match self.rows {
            LogitRows::Last => session.linear(&rows, &layer, Finish::Store, out),
            LogitRows::FirstAndLast => self.pair(session, &rows, &layer, out),
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let logits = results.output::<f32>(0)?;
        let own = self.own;
        let rows = self.rows.count();
        if rows == 1 {
            record.tensor("", &[1, own], Values::F32(&logits[..own]));
        } else {
            record.gather_f32("", &[rows, own], |out| {
                for (out, row) in out.chunks_exact_mut(own).zip(logits.chunks_exact(self.vocabulary)) {
                    out.copy_from_slice(&row[..own]);
                }
            });
        }
        Ok(())
    }
}

impl Logits {
    /// Two rows, split over the threads by outputs.
    fn pair(&self, session: &Session, rows: &QuantRows<'_>, layer: &Linear<'_>, out: &mut [f32]) {
        let pool = session.pool();
        let (mut first, mut last) = out.split_at_mut(self.vocabulary);
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(pool.split(layer.weights.count(), 1)) {
            let (own_first, rest_first) = first.split_at_mut(range.len() * LANES);
            let (own_last, rest_last) = last.split_at_mut(range.len() * LANES);
            (first, last) = (rest_first, rest_last);
            *part = Some((range, own_first, own_last));
        }
        pool.each(parts, |_, (range, first, last)| {
            // A layer's outputs lie row after row: a few blocks at a time, since a thread's part of both rows does not.
            let mut both = [0.0; 2 * PAIR_BLOCKS * LANES];
            let parts = first.chunks_mut(PAIR_BLOCKS * LANES).zip(last.chunks_mut(PAIR_BLOCKS * LANES));
            for (start, (first, last)) in range.step_by(PAIR_BLOCKS).zip(parts) {
                let blocks = first.len() / LANES;
                let scales = &layer.scales[start * LANES..][..first.len()];
                let part = Linear { weights: layer.weights.slice(start..start + blocks), scales, bias: &[] };
                let both = &mut both[..2 * first.len()];
                linear(session.isa(), rows.as_rows(), rows.scales, &part, Finish::Store, both);
                let (one, other) = both.split_at(first.len());
                first.copy_from_slice(one);
                last.copy_from_slice(other);
            }
        });
    }
}
