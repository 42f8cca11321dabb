//! Self-attention of texts that grow.

use std::fmt::Debug;

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{CausalCache, HEAD, attend_causal, padded};
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::tokens::TokenQueries;

/// Whose caches a step's rows go into: those of one text, one after another, or each its own.
pub trait CausalRows: Debug + Send + Sync + 'static {
    /// Calls `work` for each of `rows` rows, in order, with the row, a layer's cache that it goes into, and its place in there.
    fn each(&self, layer: usize, rows: usize, work: &mut dyn FnMut(usize, &mut CausalCache<'_>, usize));

    /// How much is in the caches when a step of `rows` rows looks at them, on average.
    fn before(&self, rows: usize) -> f64;

    /// Traces what a step put into a layer's caches, by [`record_cache`], as far as it is there after the step.
    fn record(&self, layer: usize, rows: usize, record: &mut Record<'_>);
}

/// `[rows][width]` to each row's attention to its text so far, which grows by it.
#[derive(Debug)]
pub struct CachedAttention<C> {
    /// Queries, keys and values.
    pub queries: TokenQueries,
    /// Whose caches they go into.
    pub caches: C,
    /// The layer that they are of.
    pub index: usize,
    /// Most rows of a text.
    pub most: usize,
}

impl<C: CausalRows> Layer for CachedAttention<C> {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.queries.rows, self.queries.width()])]
    }

    fn scratch(&self) -> Need {
        self.queries.need(Need::default()).thread::<f32>(padded(self.most))
    }

    fn work(&self) -> Work {
        let TokenQueries { rows, heads, .. } = self.queries;
        let before = self.caches.before(rows);
        let attention = Units { causal_score: heads as f64 * before, ..Units::default() };
        self.queries.work(attention, 2.0 * rows as f64 * before * self.queries.width() as f64)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (isa, width, heads) = (session.isa(), self.queries.width(), self.queries.heads);
        let (x, out, threads) = (io.input::<f32>(0)?, io.output::<f32>(0)?, io.thread_scratch());
        let mut rows = self.queries.run(session, io, &threads, x);
        self.caches.each(self.index, self.queries.rows, &mut |row, cache, position| {
            let (x, queries) = rows.row(session, row);
            cache.put(isa, position, &x[width..2 * width], &x[2 * width..]);
            let cache = &*cache;
            let attend = |thread: usize, first: usize, out: &mut [f32]| {
                let mut memory = threads.of(thread);
                let mut scratch = memory.take_all();
                self.queries.skip(&mut scratch);
                let scores = scratch.take::<f32>(padded(self.most));
                for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
                    attend_causal(isa, queries, cache, position + 1, first + head, scores, out);
                }
            };
            let out = &mut out[row * width..][..width];
            // Fewer heads are not worth waking a thread.
            if heads <= LANES { attend(0, 0, out) } else { session.pool().for_parts(out, HEAD, LANES, attend) }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        self.caches.record(self.index, self.queries.rows, record);
        record.tensor("", results.shape(0)?, Values::F32(results.output::<f32>(0)?));
        Ok(())
    }
}

/// Traces `rows` rows of a cache, from `first` on.
pub fn record_cache(cache: &CausalCache<'_>, first: usize, rows: usize, record: &mut Record<'_>) {
    let (heads, width) = (cache.heads, cache.heads * HEAD);
    record.keys(cache.keys, cache.key_scales, first, rows, heads);
    record.tensor("values", &[rows, heads, HEAD], Values::I8(&cache.values[first * width..][..rows * width]));
    record.tensor("value_scales", &[rows, heads], Values::F32(&cache.value_scales[first * heads..][..rows * heads]));
}
