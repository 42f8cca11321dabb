//! The layers of a step. Rows are sequences side by side; only the first attends to the description: without one, attention to it is exactly
//! zero, as nothing there has a bias.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{Norm, RowBuffers};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, Queries, Scratch, attend, attend_causal, padded, quantize_heads};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

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

/// `[rows][width]` to each row's attention to its sequence so far, which grows by it.
#[derive(Debug)]
pub(super) struct SelfAttention {
    pub(super) store: Arc<Store>,
    pub(super) norm: Norm,
    /// Queries, keys and values.
    pub(super) layer: LinearSpan,
    pub(super) index: usize,
    pub(super) heads: usize,
    pub(super) room: Room,
}

impl SelfAttention {
    fn width(&self) -> usize {
        self.heads * HEAD
    }
}

impl Layer for SelfAttention {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.room.rows, self.width()])]
    }

    fn scratch(&self) -> Need {
        let (rows, width) = (self.room.rows, self.width());
        let need = Need::default().shared::<f32>(rows * 3 * width).shared::<i8>(width).shared::<f32>(self.heads);
        RowBuffers::need(need, rows, width).thread::<f32>(padded(self.room.steps))
    }

    fn work(&self) -> Work {
        let (rows, width) = (self.room.rows, self.width());
        let before = self.room.steps as f64 / 2.0;
        let scores = self.heads as f64 * before;
        let row = Units { normalize: width as f64, head: 3.0 * width as f64, causal_score: scores, ..Units::default() };
        let work = Work::product(rows, width, 3 * width).and(rows, row);
        Work { bytes: work.bytes + 2.0 * rows as f64 * before * width as f64, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (isa, heads, width, rows) = (session.isa(), self.heads, self.width(), self.room.rows);
        let (wide, values, scales) = (io.scratch::<f32>(rows * 3 * width), io.scratch::<i8>(width), io.scratch::<f32>(heads));
        let threads = io.thread_scratch();
        let layer = session.weights().linear(&self.layer);
        {
            let mut memory = threads.of(0);
            let mut buffers = RowBuffers::take(&mut memory.take_all(), rows, width);
            session.linear(&buffers.normalize(session, &self.norm, io.input::<f32>(0)?, rows), &layer, Finish::Store, wide);
        }
        let position = self.store.position();
        let mut causal = self.store.causal(self.index);
        let rows = wide.chunks_exact(3 * width).zip(io.output::<f32>(0)?.chunks_exact_mut(width));
        for ((x, out), cache) in rows.zip(causal.iter_mut()) {
            let mut cache = cache.cache();
            cache.put(isa, position, &x[width..2 * width], &x[2 * width..]);
            quantize_heads(isa, &x[..width], values, scales);
            let (queries, cache) = (Queries { values, scales, heads }, &cache);
            session.for_parts(&threads, out, HEAD, |scratch, first, out| {
                // After the rows' own memory, which is free by now.
                RowBuffers::take(scratch, self.room.rows, width);
                let scores = scratch.take::<f32>(padded(self.room.steps));
                for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
                    attend_causal(isa, queries, cache, position + 1, first + head, scores, out);
                }
            });
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let (position, heads, width) = (self.store.position(), self.heads, self.width());
        if let Some(causal) = self.store.causal(self.index).first_mut() {
            let cache = causal.cache();
            record.keys(cache.keys, cache.key_scales, position, 1, heads);
            record.tensor("values", &[1, heads, HEAD], Values::I8(&cache.values[position * width..][..width]));
        }
        record.tensor("", results.shape(0)?, Values::F32(results.output::<f32>(0)?));
        Ok(())
    }
}

/// Adds the first row's attention to the description to it: `[rows][width]`, which is taken over.
#[derive(Debug)]
pub(super) struct CrossAttention {
    pub(super) store: Arc<Store>,
    pub(super) norm: Norm,
    pub(super) query: LinearSpan,
    pub(super) out: LinearSpan,
    pub(super) index: usize,
    pub(super) heads: usize,
    pub(super) room: Room,
}

impl CrossAttention {
    fn width(&self) -> usize {
        self.heads * HEAD
    }
}

impl Layer for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttentionAdd"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.room.rows, self.width()])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        let width = self.width();
        let need = Need::default().shared::<f32>(width).shared::<f32>(width).shared::<i8>(width).shared::<f32>(self.heads);
        let need = need.shared::<f32>(padded(self.room.text)).shared::<u8>(padded(self.room.text));
        RowBuffers::need(need, 1, width)
    }

    fn work(&self) -> Work {
        let (width, text) = (self.width(), self.room.text as f64);
        let row = Units {
            normalize: width as f64,
            quantize: width as f64,
            head: width as f64,
            vector_score: self.heads as f64 * text,
            ..Units::default()
        };
        let work = Work::product(1, width, width).plus(Work::product(1, width, width)).and(1, row);
        Work { bytes: work.bytes + 2.0 * text * width as f64, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (isa, heads, width, text) = (session.isa(), self.heads, self.width(), self.store.text());
        let (row, attended) = (io.scratch::<f32>(width), io.scratch::<f32>(width));
        let (values, scales) = (io.scratch::<i8>(width), io.scratch::<f32>(heads));
        let mut scratch = Scratch { scores: io.scratch(padded(self.room.text)), probs: io.scratch(padded(self.room.text)) };
        let x = &mut io.output::<f32>(0)?[..width];
        if text == 0 {
            return Ok(());
        }
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), 1, width);
        let (query, out) = (session.weights().linear(&self.query), session.weights().linear(&self.out));
        session.linear(&buffers.normalize(session, &self.norm, x, 1), &query, Finish::Store, row);
        quantize_heads(isa, row, values, scales);
        let cross = self.store.cross(self.index);
        for head in 0..heads {
            attend(isa, Queries { values, scales, heads }, cross.keys(text, heads), cross.values(), head, &mut scratch, attended);
        }
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
