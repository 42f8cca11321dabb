//! Keys and values of the cross-attention.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{RowBuffers, pack_heads, put_keys};
use ossicle_engine::pool::MAX_THREADS;
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::LinearSpan;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, padded, unpack_values};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::Store;

/// Computes one decoder layer's cross-attention keys and values from the encoder's output into the store; hands the input on.
#[derive(Debug)]
pub(crate) struct CrossKeysValues {
    pub(crate) layer: LinearSpan,
    pub(crate) store: Arc<Store>,
    pub(crate) index: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
}

impl Layer for CrossKeysValues {
    fn name(&self) -> &'static str {
        "CrossKeysValues"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.heads * HEAD])]
    }

    fn scratch(&self) -> Need {
        let width = self.heads * HEAD;
        let values = Need::default().shared::<f32>(self.tokens * width);
        RowBuffers::need(values, self.tokens, width).thread::<f32>(self.tokens.min(ROWS) * 2 * width)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn work(&self) -> Work {
        let width = self.heads * HEAD;
        let row = Units { quantize: width as f64, head: width as f64, pack: width as f64, ..Units::default() };
        Work::product(self.tokens, width, 2 * width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        struct Part<'a> {
            start: usize,
            keys: &'a mut [i8],
            scales: &'a mut [f32],
            values: &'a mut [f32],
        }
        let x = io.output::<f32>(0)?;
        let values = io.scratch::<f32>(self.tokens * self.heads * HEAD);
        let threads = io.thread_scratch();
        let layer = session.weights().linear(&self.layer);
        let (heads, width) = (self.heads, self.heads * HEAD);
        let mut cache = self.store.cross(self.index);
        let cache = &mut *cache;
        {
            let (mut keys, mut scales, mut rest) = (&mut cache.keys[..], &mut cache.key_scales[..], &mut values[..]);
            let mut parts = [const { None }; MAX_THREADS];
            for (part, range) in parts.iter_mut().zip(session.pool().split(self.tokens, LANES)) {
                let blocks = padded(range.len());
                *part = Some(Part {
                    start: range.start,
                    keys: keys.split_off_mut(..blocks * width).ok_or(GraphError::Layer("keys"))?,
                    scales: scales.split_off_mut(..blocks * heads).ok_or(GraphError::Layer("key scales"))?,
                    values: rest.split_off_mut(..range.len() * width).ok_or(GraphError::Layer("values"))?,
                });
            }
            session.pool().each(parts, |thread, part| {
                let mut memory = threads.of(thread);
                let mut scratch = memory.take_all();
                let mut buffers = RowBuffers::take(&mut scratch, self.tokens, width);
                let wide = scratch.take::<f32>(self.tokens.min(ROWS) * 2 * width);
                let rows = part.values.len() / width;
                for begin in (0..rows).step_by(ROWS) {
                    let count = ROWS.min(rows - begin);
                    let x = &x[(part.start + begin) * width..][..count * width];
                    session.linear(&buffers.quantize(session, x, count, width, width), &layer, Finish::Store, wide);
                    for (i, kv) in wide[..count * 2 * width].chunks_exact(2 * width).enumerate() {
                        put_keys(session.isa(), &kv[..width], begin + i, heads, part.keys, part.scales);
                        part.values[(begin + i) * width..][..width].copy_from_slice(&kv[width..]);
                    }
                }
            });
        }
        pack_heads(
            session.isa(),
            session.pool(),
            values,
            width,
            self.tokens,
            heads,
            &mut cache.values,
            &mut cache.value_scales,
            &mut cache.value_sums,
        )
    }

    fn record(&self, _: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let cache = self.store.cross(self.index);
        let (tokens, heads, bytes) = (self.tokens, self.heads, padded(self.tokens) * HEAD);
        record.keys(&cache.keys, &cache.key_scales, 0, tokens, heads);
        record.gather_i8("values", &[tokens, heads, HEAD], |out| {
            for (head, values) in cache.values.chunks_exact(bytes).take(heads).enumerate() {
                unpack_values(values, tokens, heads * HEAD, &mut out[head * HEAD..]);
            }
        });
        record.tensor("value_scales", &[heads, HEAD], Values::F32(&cache.value_scales));
        record.tensor("value_sums", &[heads, HEAD], Values::I32(&cache.value_sums));
        Ok(())
    }
}
