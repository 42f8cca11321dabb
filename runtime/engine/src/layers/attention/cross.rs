//! Keys and values of other rows, which do not change while tokens attend to them.

use std::fmt::Debug;
use std::sync::{Arc, MutexGuard};

use crate::cache::Cross;
use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::weights::LinearSpan;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, padded, unpack_values};
use ossicle_trace::Values;

use super::heads::{PackedValues, Quantized, pack_heads};
use super::projection::HeadProjection;

/// What has the caches of all layers.
pub trait CrossCaches: Debug + Send + Sync + 'static {
    /// That of one layer.
    fn cross(&self, layer: usize) -> MutexGuard<'_, Cross>;
}

/// Computes one layer's keys and values of rows `[tokens][width]` into its cache; hands the input on.
#[derive(Debug)]
pub struct CrossKeysValues<C> {
    /// Keys and values.
    pub layer: LinearSpan,
    /// Where they go.
    pub caches: Arc<C>,
    /// The layer that they are of.
    pub index: usize,
    /// Rows.
    pub tokens: usize,
    /// Heads of 64 values.
    pub heads: usize,
}

impl<C> CrossKeysValues<C> {
    fn projection(&self) -> HeadProjection<'_> {
        HeadProjection { norm: None, layer: &self.layer, tokens: self.tokens, heads: self.heads, queries: false }
    }
}

impl<C: CrossCaches> Layer for CrossKeysValues<C> {
    fn name(&self) -> &'static str {
        "CrossKeysValues"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.heads * HEAD])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        self.projection().need(Need::default().shared::<f32>(self.tokens * self.heads * HEAD))
    }

    fn work(&self) -> Work {
        let width = self.heads * HEAD;
        let row = Units { quantize: width as f64, head: width as f64, pack: width as f64, ..Units::default() };
        Work::product(self.tokens, width, 2 * width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (tokens, heads, width) = (self.tokens, self.heads, self.heads * HEAD);
        let (x, values) = (io.output::<f32>(0)?, io.scratch::<f32>(tokens * width));
        let mut cache = self.caches.cross(self.index);
        let cache = &mut *cache;
        let to = Quantized { queries: None, keys: (&mut cache.keys, &mut cache.key_scales), values: Some(&mut *values) };
        self.projection().run(session, &io.thread_scratch(), x, to)?;
        let packed = &mut cache.values[..padded(tokens) * width];
        let mut out = PackedValues { values: packed, scales: &mut cache.value_scales, sums: &mut cache.value_sums };
        pack_heads(session, values, width, tokens, heads, &mut out)
    }

    fn record(&self, _: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let cache = self.caches.cross(self.index);
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
