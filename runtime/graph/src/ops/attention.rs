//! Self-attention of the encoder.

use std::sync::{Arc, Mutex, PoisonError};

use ossicle_engine::layer::{Io, Layer};
use ossicle_kernels::attention::{HEAD, Keys, Queries, Values, attend, padded};
use tract_core::internal::*;

use super::Context;
use super::qkv::pack_heads;

/// The outputs of [`super::QkvProjection`] to `[tokens][width]`.
#[derive(Debug)]
pub(crate) struct Attention {
    context: Arc<Context>,
    tokens: usize,
    heads: usize,
    stats: Mutex<Stats>,
}

/// Scale and sum of each channel of the packed values.
#[derive(Debug)]
struct Stats {
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Attention {
    pub(crate) fn new(context: Arc<Context>, tokens: usize, heads: usize) -> Self {
        let width = heads * HEAD;
        Self { context, tokens, heads, stats: Mutex::new(Stats { scales: vec![0.0; width], sums: vec![0; width] }) }
    }
}

impl Layer for Attention {
    fn name(&self) -> &'static str {
        "Attention"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.tokens, self.heads * HEAD]))
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(i8::fact([self.heads, padded(self.tokens) * HEAD]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (tokens, heads, width) = (self.tokens, self.heads, self.heads * HEAD);
        let (queries, keys, scales, values) = (io.input::<i8>(0)?, io.input::<i8>(1)?, io.input::<f32>(2)?, io.input::<f32>(3)?);
        let (query_scales, key_scales) = scales.split_at(tokens * heads);
        let packed = io.scratch::<i8>()?;
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let Stats { scales, sums } = &mut *stats;
        pack_heads(self.context.isa, &self.context.pool, values, width, tokens, heads, packed, scales, sums)?;
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values: packed, scales, sums };
        // Head after head: one head's keys and values stay in the cache for all queries.
        self.context.for_parts(io.output::<f32>(0)?, width, |workspace, start, out| {
            let rows = out.len() / width;
            let queries = Queries {
                values: &queries[start * width..][..rows * width],
                scales: &query_scales[start * heads..][..rows * heads],
                heads,
            };
            for head in 0..heads {
                attend(self.context.isa, queries, keys, values, head, &mut workspace.attention.scratch(), out);
            }
        });
        Ok(())
    }
}
