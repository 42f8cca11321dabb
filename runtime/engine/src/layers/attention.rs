//! Self-attention of the encoder.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, Keys, Queries, Values, attend, padded};

use super::qkv::pack_heads;
use super::{attention_need, attention_scratch};

/// The outputs of [`super::QkvProjection`] to `[tokens][width]`.
#[derive(Debug)]
pub struct Attention {
    /// Tokens: rows of the input.
    pub tokens: usize,
    /// Heads of 64 values.
    pub heads: usize,
}

impl Layer for Attention {
    fn name(&self) -> &'static str {
        "Attention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.heads * HEAD])]
    }

    fn scratch(&self) -> Need {
        let width = self.heads * HEAD;
        let packed = Need::default().shared::<i8>(padded(self.tokens) * width).shared::<f32>(width).shared::<i32>(width);
        attention_need(packed, self.tokens)
    }

    fn work(&self) -> Work {
        let row = Units { pack: (self.heads * HEAD) as f64, score: (self.heads * self.tokens) as f64, ..Units::default() };
        Work::default().and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (tokens, heads, width) = (self.tokens, self.heads, self.heads * HEAD);
        let (queries, keys, scales, values) = (io.input::<i8>(0)?, io.input::<i8>(1)?, io.input::<f32>(2)?, io.input::<f32>(3)?);
        let (query_scales, key_scales) = scales.split_at(tokens * heads);
        let (packed, scales, sums) = (io.scratch(padded(tokens) * width), io.scratch(width), io.scratch(width));
        pack_heads(session.isa(), session.pool(), values, width, tokens, heads, packed, scales, sums)?;
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values: packed, scales, sums };
        // Head after head: one head's keys and values stay in the cache for all queries.
        session.for_parts(&io.thread_scratch(), io.output::<f32>(0)?, width, |scratch, start, out| {
            let rows = out.len() / width;
            let queries = Queries {
                values: &queries[start * width..][..rows * width],
                scales: &query_scales[start * heads..][..rows * heads],
                heads,
            };
            let mut scores = attention_scratch(scratch, tokens);
            for head in 0..heads {
                attend(session.isa(), queries, keys, values, head, &mut scores, out);
            }
        });
        Ok(())
    }
}
