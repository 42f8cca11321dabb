//! The layers of a step. Rows are sequences side by side; only the first attends to the description: without one, attention to it is exactly
//! zero, as nothing there has a bias.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::attention::{CausalRows, CrossCaches, TokenQueries, attend_cached, cross_need, cross_scratch, record_cache};
use ossicle_engine::layers::{Norm, RowBuffers};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::CausalCache;
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;

use super::store::{Room, Store};

/// Tokens i32 `[codebooks]` to `[rows][width]`: the sum of their embeddings and of the position, for every row the same.
#[derive(Debug)]
pub(super) struct Embed {
    pub(super) store: Arc<Store>,
    pub(super) embeddings: Vec<LinearSpan>,
    pub(super) positions: Span,
    pub(super) rows: usize,
    pub(super) width: usize,
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "EmbedCodes"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows, self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let tokens = io.input::<i32>(0)?;
        let (first, others) = io.output::<f32>(0)?.split_at_mut(self.width);
        first.fill(0.0);
        for (&token, span) in tokens.iter().zip(&self.embeddings) {
            let embedding = session.weights().linear(span);
            let token = token.cast_unsigned() as usize;
            let scale = *embedding.scales.get(token).ok_or(GraphError::Layer("a token is beyond the codes"))?;
            for (group, out) in first.chunks_exact_mut(4).enumerate() {
                let values = embedding.weights.values(token / LANES, group, token % LANES);
                for (out, q) in out.iter_mut().zip(values) {
                    *out += f32::from(q) * scale;
                }
            }
        }
        let positions = session.weights().f32s(&self.positions);
        ossicle_engine::layers::add(first, &positions[self.store.position() * self.width..][..self.width]);
        others.chunks_exact_mut(self.width).for_each(|row| row.copy_from_slice(first));
        Ok(())
    }
}

/// Each row's sequence.
#[derive(Debug)]
pub(super) struct Sequences {
    pub(super) store: Arc<Store>,
    pub(super) room: Room,
}

impl CausalRows for Sequences {
    fn each(&self, layer: usize, rows: usize, work: &mut dyn FnMut(usize, &mut CausalCache<'_>, usize)) {
        for (row, cache) in self.store.causal(layer).iter_mut().take(rows).enumerate() {
            work(row, &mut cache.cache(), self.store.position());
        }
    }

    fn before(&self, _: usize) -> f64 {
        self.room.steps as f64 / 2.0
    }

    fn record(&self, layer: usize, _: usize, record: &mut Record<'_>) {
        if let Some(causal) = self.store.causal(layer).first_mut() {
            record_cache(&causal.cache(), self.store.position(), 1, record);
        }
    }
}

/// Adds the first row's attention to the description to it: `[rows][width]`, which is taken over.
#[derive(Debug)]
pub(super) struct CrossAttention {
    pub(super) store: Arc<Store>,
    /// Of the first row.
    pub(super) queries: TokenQueries,
    pub(super) out: LinearSpan,
    pub(super) index: usize,
    pub(super) room: Room,
}

impl Layer for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttentionAdd"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.room.rows, self.queries.width()])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        let width = self.queries.width();
        let need = cross_need(self.queries.need(Need::default().shared::<f32>(width)), self.room.text);
        RowBuffers::need(need, 1, width)
    }

    fn work(&self) -> Work {
        let (width, text) = (self.queries.width(), self.room.text as f64);
        let attention = Units { quantize: width as f64, vector_score: self.queries.heads as f64 * text, ..Units::default() };
        self.queries.work(attention, 2.0 * text * width as f64).plus(Work::product(1, width, width))
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (heads, width, text) = (self.queries.heads, self.queries.width(), self.store.text());
        if text == 0 {
            return Ok(());
        }
        let x = &mut io.output::<f32>(0)?[..width];
        let (attended, threads) = (io.scratch::<f32>(width), io.thread_scratch());
        let mut row = self.queries.run(session, io, &threads, x);
        let mut scratch = cross_scratch(io, self.room.text);
        let cross = self.store.cross(self.index);
        let (_, queries) = row.row(session, 0);
        attend_cached(session, queries, cross.keys(text, heads), cross.values(), &mut scratch, attended);
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), 1, width);
        let out = session.weights().linear(&self.out);
        session.linear(&buffers.quantize(session, attended, 1, width, width), &out, Finish::Add, x);
        Ok(())
    }
}

/// `[rows][width]` to the logits of all codebooks, `[rows][codebooks][codes]`.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) norm: Norm,
    pub(super) layer: LinearSpan,
    pub(super) rows: usize,
    pub(super) logits: usize,
}

impl Layer for Heads {
    fn name(&self) -> &'static str {
        "CodeLogits"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows, self.logits])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.rows, self.layer.depth())
    }

    fn work(&self) -> Work {
        let row = Units { normalize: self.layer.depth() as f64, ..Units::default() };
        Work::product(self.rows, self.layer.depth(), self.logits).and(self.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), self.rows, self.layer.depth());
        let rows = buffers.normalize(session, &self.norm, x, self.rows);
        session.linear(&rows, &session.weights().linear(&self.layer), Finish::Store, io.output::<f32>(0)?);
        Ok(())
    }
}
