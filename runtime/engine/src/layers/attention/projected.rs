//! Self-attention over what a projection has quantised.

use crate::layer::{Fact, Io, Layer};
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{Keys, Queries, Values, padded};

use super::HeadSize;
use super::heads::{PackedValues, pack_heads};

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
        vec![Fact::f32([self.tokens, HeadSize::whole(self.heads).width()])]
    }

    fn scratch(&self) -> Need {
        let size = HeadSize::whole(self.heads);
        let width = size.width();
        let packed = Need::default().shared::<i8>(padded(self.tokens) * width).shared::<f32>(width).shared::<i32>(width);
        size.attend_need(packed, self.tokens)
    }

    fn work(&self) -> Work {
        let width = HeadSize::whole(self.heads).width() as f64;
        Work::default().and(self.tokens, Units { pack: width, score: (self.heads * self.tokens) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (tokens, heads, size) = (self.tokens, self.heads, HeadSize::whole(self.heads));
        let (queries, keys, scales, values) = (io.input::<i8>(0)?, io.input::<i8>(1)?, io.input::<f32>(2)?, io.input::<f32>(3)?);
        let (query_scales, key_scales) = scales.split_at(tokens * heads);
        let width = size.width();
        let (packed, scales, sums) = (io.scratch(padded(tokens) * width), io.scratch(width), io.scratch(width));
        pack_heads(session, values, width, tokens, heads, &mut PackedValues { values: packed, scales, sums })?;
        let queries = Queries { values: queries, scales: query_scales, heads };
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values: packed, scales, sums };
        size.attend_all(session, &io.thread_scratch(), (queries, keys, values), tokens, io.output::<f32>(0)?);
        Ok(())
    }
}
