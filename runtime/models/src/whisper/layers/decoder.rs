//! Operators of the decoder only.

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

use super::{MAX_WIDTH, Rows, Store};

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

/// What self-attention and cross-attention share: the layer that gives queries, and maybe keys and values, of a few tokens.
#[derive(Debug)]
pub(crate) struct TokenAttention {
    pub(crate) store: Arc<Store>,
    pub(crate) norm: Norm,
    /// `width` outputs, or three times as many.
    pub(crate) layer: LinearSpan,
    /// The decoder's layer.
    pub(crate) index: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    /// Most tokens that are attended to.
    pub(crate) most: usize,
    pub(crate) rows: Rows,
}

impl TokenAttention {
    fn scratch(&self, outputs: usize) -> Need {
        let width = self.heads * HEAD;
        let rows = RowBuffers::need(Need::default(), self.tokens, width).thread::<f32>(self.tokens * outputs);
        rows.thread::<f32>(padded(self.most)).thread::<u8>(padded(self.most))
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.heads * HEAD])]
    }

    /// Runs the layer and hands each token's row of its outputs to `attend`, with the row's number, its quantised queries and where the
    /// attention goes.
    fn run(
        &self,
        session: &Session,
        io: &mut Io<'_>,
        mut attend: impl FnMut(usize, &[f32], Queries<'_>, &mut Scratch<'_>, &mut [f32]),
    ) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let out = io.output::<f32>(0)?;
        let (heads, width) = (self.heads, self.heads * HEAD);
        let layer = session.weights().linear(&self.layer);
        let row = layer.weights.count() * LANES;
        let threads = io.thread_scratch();
        let mut memory = threads.of(0);
        let mut scratch = memory.take_all();
        let mut buffers = RowBuffers::take(&mut scratch, self.tokens, width);
        let wide = scratch.take::<f32>(self.tokens * row);
        let attention = &mut Scratch { scores: scratch.take(padded(self.most)), probs: scratch.take(padded(self.most)) };
        session.linear(&buffers.normalize(session, &self.norm, x, self.tokens), &layer, Finish::Store, wide);
        for (i, (row, out)) in wide.chunks_exact(row).zip(out.chunks_exact_mut(width)).enumerate() {
            let (mut values, mut scales) = ([0; MAX_WIDTH], [0.0; MAX_WIDTH / HEAD]);
            let (values, scales) = (&mut values[..width], &mut scales[..heads]);
            quantize_heads(session.isa(), &row[..width], values, scales);
            attend(i, row, Queries { values, scales, heads }, attention, out);
        }
        Ok(())
    }
}

/// `[tokens][width]` to the self-attention of the text so far, which grows by these tokens.
#[derive(Debug)]
pub(crate) struct CausalAttention(pub(crate) TokenAttention);

impl Layer for CausalAttention {
    fn name(&self) -> &'static str {
        "CausalAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        self.0.outputs()
    }

    fn scratch(&self) -> Need {
        self.0.scratch(3 * self.0.heads * HEAD)
    }

    fn work(&self) -> Work {
        let TokenAttention { store, tokens, heads, .. } = &self.0;
        let width = (heads * HEAD) as f64;
        let before = store.position() as f64 + *tokens as f64 / 2.0;
        let row = Units { normalize: width, head: 3.0 * width, causal_score: *heads as f64 * before, ..Units::default() };
        Work::product(*tokens, heads * HEAD, 3 * heads * HEAD).and(*tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let TokenAttention { store, index, heads, rows, .. } = &self.0;
        let (isa, width) = (session.isa(), heads * HEAD);
        let mut causal = store.causal(*index);
        let mut lanes = store.lanes().layer(*index);
        self.0.run(session, io, |row, x, query, buffers, out| {
            let mut cache = match rows {
                Rows::Text => causal.cache(),
                Rows::Lanes => lanes[store.lanes().place(row)].cache(),
            };
            let position = store.position_of(*rows, row);
            cache.put(isa, position, &x[width..2 * width], &x[2 * width..]);
            for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
                attend_causal(isa, query, &cache, position + 1, head, buffers.scores, out);
            }
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let TokenAttention { store, index, tokens, heads, rows, .. } = &self.0;
        let (tokens, heads, width) = (*tokens, *heads, heads * HEAD);
        // The caches of lanes come and go; what they hold shows in the outputs.
        if *rows == Rows::Text {
            let first = store.position();
            let mut causal = store.causal(*index);
            let cache = causal.cache();
            record.keys(cache.keys, cache.key_scales, first, tokens, heads);
            record.tensor("values", &[tokens, heads, HEAD], Values::I8(&cache.values[first * width..][..tokens * width]));
            record.tensor("value_scales", &[tokens, heads], Values::F32(&cache.value_scales[first * heads..][..tokens * heads]));
        }
        record.tensor("", &[tokens, width], Values::F32(results.output::<f32>(0)?));
        Ok(())
    }
}

/// `[tokens][width]` to the attention over the encoder's output.
#[derive(Debug)]
pub(crate) struct CrossAttention(pub(crate) TokenAttention);

impl Layer for CrossAttention {
    fn name(&self) -> &'static str {
        "CrossAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        self.0.outputs()
    }

    fn scratch(&self) -> Need {
        self.0.scratch(self.0.heads * HEAD)
    }

    fn work(&self) -> Work {
        let TokenAttention { store, tokens, heads, .. } = &self.0;
        let (width, encoded) = ((heads * HEAD) as f64, store.encoded() as f64);
        let row = Units { normalize: width, head: width, vector_score: *heads as f64 * encoded, ..Units::default() };
        let work = Work::product(*tokens, heads * HEAD, heads * HEAD).and(*tokens, row);
        Work { bytes: work.bytes + 2.0 * encoded * width, ..work }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let TokenAttention { store, index, heads, rows, .. } = &self.0;
        let cross = store.cross(*index);
        let (keys, values) = (cross.keys(store.encoded(), *heads), cross.values());
        self.0.run(session, io, |row, _, query, buffers, out| {
            for head in 0..*heads {
                attend(session.isa(), query, keys, values, head, buffers, out);
            }
            if *rows == Rows::Text {
                store.alignment().keep(*index, store.position_of(*rows, row), query);
            }
        })
    }
}
