//! Operators of the decoder only.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::attention::{CausalRows, CrossCaches, TokenQueries, attend_cached, cross_need, cross_scratch, record_cache};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::CausalCache;
use ossicle_kernels::simd::LANES;

use super::{Rows, Store};

/// Tokens i32 `[tokens]` to `[tokens][width]`: embedding plus position.
#[derive(Debug)]
pub(crate) struct Embed {
    pub(crate) store: Arc<Store>,
    pub(crate) embedding: LinearSpan,
    pub(crate) positions: Span,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    pub(crate) rows: Rows,
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let tokens = io.input::<i32>(0)?;
        let embedding = session.weights().linear(&self.embedding);
        let positions = session.weights().f32s(&self.positions);
        let out = io.output::<f32>(0)?;
        for (row, (&token, out)) in tokens.iter().zip(out.chunks_exact_mut(self.width)).enumerate() {
            let position = &positions[self.store.position_of(self.rows, row) * self.width..][..self.width];
            let token = token.cast_unsigned() as usize;
            let scale = *embedding.scales.get(token).ok_or(GraphError::Layer("a token is beyond the vocabulary"))?;
            for (group, (out, position)) in out.chunks_exact_mut(4).zip(position.chunks_exact(4)).enumerate() {
                let values = embedding.weights.values(token / LANES, group, token % LANES);
                for ((out, q), position) in out.iter_mut().zip(values).zip(position) {
                    *out = f32::from(q) * scale + position;
                }
            }
        }
        Ok(())
    }
}

/// Whose keys and values a step's rows are.
#[derive(Debug)]
pub(crate) struct StepRows {
    pub(crate) store: Arc<Store>,
    pub(crate) rows: Rows,
}

impl CausalRows for StepRows {
    fn each(&self, layer: usize, rows: usize, work: &mut dyn FnMut(usize, &mut CausalCache<'_>, usize)) {
        let store = &self.store;
        let mut causal = store.causal(layer);
        let mut lanes = store.lanes().layer(layer);
        for row in 0..rows {
            let mut cache = match self.rows {
                Rows::Text => causal.cache(),
                Rows::Lanes => lanes[store.lanes().place(row)].cache(),
            };
            work(row, &mut cache, store.position_of(self.rows, row));
        }
    }

    fn before(&self, rows: usize) -> f64 {
        self.store.position() as f64 + rows as f64 / 2.0
    }

    fn record(&self, layer: usize, rows: usize, record: &mut Record<'_>) {
        // The caches of lanes come and go; what they hold shows in the outputs.
        if self.rows == Rows::Text {
            record_cache(&self.store.causal(layer).cache(), self.store.position(), rows, record);
        }
    }
}

/// `[tokens][width]` to the attention over the encoder's output; the queries of a text are kept for word times.
#[derive(Debug)]
pub(crate) struct CrossAttention {
    pub(crate) queries: TokenQueries,
    pub(crate) step: StepRows,
    /// The decoder's layer.
    pub(crate) index: usize,
    /// Most rows of the encoder's output.
    pub(crate) most: usize,
}

impl Layer for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.queries.rows, self.queries.width()])]
    }

    fn scratch(&self) -> Need {
        cross_need(self.queries.need(Need::default()), self.most)
    }

    fn work(&self) -> Work {
        let (heads, encoded) = (self.queries.heads as f64, self.step.store.encoded() as f64);
        let attention = Units { vector_score: heads * encoded, ..Units::default() };
        self.queries.work(attention, 2.0 * encoded * self.queries.width() as f64)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let StepRows { store, rows } = &self.step;
        let (x, out) = (io.input::<f32>(0)?, io.output::<f32>(0)?);
        let threads = io.thread_scratch();
        let mut tokens = self.queries.run(session, io, &threads, x);
        let mut scratch = cross_scratch(io, self.most);
        let cross = store.cross(self.index);
        let (keys, values) = (cross.keys(store.encoded(), self.queries.heads), cross.values());
        for (row, out) in out.chunks_exact_mut(self.queries.width()).enumerate() {
            let (_, queries) = tokens.row(session, row);
            attend_cached(session, queries, keys, values, &mut scratch, out);
            if *rows == Rows::Text {
                store.alignment().keep(self.index, store.position_of(*rows, row), queries);
            }
        }
        Ok(())
    }
}
