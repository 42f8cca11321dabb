//! Attention of short sequences in f32, heads of any width.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::Span;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::softmax;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::simd::LANES;

use super::add;
use super::conv_next::record_inside;
use super::sequence::Flow;

/// Self-attention over all rows of a sequence that is there as a whole: `[rows][3][heads][head]` to `[rows][heads][head]`. What scores are
/// divided by is in the queries' weights.
#[derive(Debug)]
pub struct FloatAttention {
    /// The sequence.
    pub flow: Flow,
    /// Heads of each row.
    pub heads: usize,
    /// Values of a head, a multiple of 16.
    pub head: usize,
    /// What is added for rows that are near one another.
    pub relative: Option<RelativePositions>,
}

/// Keys and values of distances (Shaw et al. 2018, "Self-attention with relative position representations"), the same for all heads. Rows that
/// are further apart than `window` have none.
#[derive(Clone, Debug)]
pub struct RelativePositions {
    /// `[head][distances]`: from `window` rows before to `window` rows after, rounded up to whole vectors.
    pub keys: Span,
    /// `[distances][head]`
    pub values: Span,
    /// Rows to each side.
    pub window: usize,
}

impl RelativePositions {
    /// Distances, rounded up to whole vectors.
    pub fn distances(window: usize) -> usize {
        (2 * window + 1).next_multiple_of(LANES)
    }

    /// The rows that row `row` of `rows` is near to, each with the place of its distance.
    fn near(&self, row: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = row.saturating_sub(self.window);
        let place = self.window + first - row;
        (first..rows.min(row + self.window + 1)).zip(place..)
    }
}

impl FloatAttention {
    fn distances(&self) -> usize {
        self.relative.as_ref().map_or(0, |relative| RelativePositions::distances(relative.window))
    }
}

impl Layer for FloatAttention {
    fn name(&self) -> &'static str {
        "FloatAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.heads * self.head])]
    }

    fn scratch(&self) -> Need {
        let (most, width) = (self.flow.chunk().next_multiple_of(LANES), self.heads * self.head);
        let zeros = most.max(self.head).max(self.distances());
        let shared = Need::default().shared::<f32>(most * width).shared::<f32>(most * width).shared::<f32>(zeros);
        let own = shared.thread::<f32>(ROWS * self.head).thread::<f32>(ROWS * most);
        if self.relative.is_none() { own } else { own.thread::<f32>(ROWS * self.distances()).thread::<f32>(ROWS * self.head) }
    }

    fn work(&self) -> Work {
        let (rows, width) = (self.flow.rows(), self.heads * self.head);
        let macs = 2 * (rows + self.distances()) * width;
        Work::default().and(rows, Units { float_mac: macs as f64, gelu: (rows * self.heads) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (heads, head, distances, weights) = (self.heads, self.head, self.distances(), session.weights());
        let (isa, width, rows, most) = (session.isa(), heads * head, self.flow.inside().end, self.flow.chunk().next_multiple_of(LANES));
        if rows == 0 {
            return Ok(());
        }
        let padded = rows.next_multiple_of(LANES);
        let x = io.input::<f32>(0)?;
        let keys = &mut io.scratch::<f32>(most * width)[..padded * width];
        let values = &mut io.scratch::<f32>(most * width)[..padded * width];
        let zeros = io.scratch::<f32>(most.max(head).max(self.distances()));
        zeros.fill(0.0);
        for (h, (keys, values)) in keys.chunks_exact_mut(padded * head).zip(values.chunks_exact_mut(padded * head)).enumerate() {
            keys.fill(0.0);
            values[rows * head..].fill(0.0);
            for (row, qkv) in x.chunks_exact(3 * width).take(rows).enumerate() {
                values[row * head..][..head].copy_from_slice(&qkv[2 * width + h * head..][..head]);
                for (keys, key) in keys.chunks_exact_mut(padded).zip(&qkv[width + h * head..][..head]) {
                    keys[row] = *key;
                }
            }
        }
        let (keys, values, zeros) = (&*keys, &*values, &*zeros);
        session.for_rows(&io.thread_scratch(), &mut io.output::<f32>(0)?[..rows * width], width, |scratch, first, out| {
            let count = out.len() / width;
            let queries = &mut scratch.take::<f32>(ROWS * head)[..count * head];
            let scores = &mut scratch.take::<f32>(ROWS * most)[..count * padded];
            let (near, more): (&mut [f32], &mut [f32]) = match self.relative {
                None => (&mut [], &mut []),
                Some(_) => (&mut scratch.take(ROWS * distances)[..count * distances], &mut scratch.take(ROWS * head)[..count * head]),
            };
            for (h, (keys, values)) in keys.chunks_exact(padded * head).zip(values.chunks_exact(padded * head)).enumerate() {
                for (query, qkv) in queries.chunks_exact_mut(head).zip(x[first * 3 * width..].chunks_exact(3 * width)) {
                    query.copy_from_slice(&qkv[h * head..][..head]);
                }
                multiply_rows(isa, queries, keys, &zeros[..padded], scores);
                if let Some(relative) = &self.relative {
                    multiply_rows(isa, queries, weights.f32s(&relative.keys), &zeros[..distances], near);
                    for (row, (scores, near)) in scores.chunks_exact_mut(padded).zip(near.chunks_exact(distances)).enumerate() {
                        relative.near(first + row, rows).for_each(|(other, place)| scores[other] += near[place]);
                    }
                }
                for scores in scores.chunks_exact_mut(padded) {
                    softmax(isa, &mut scores[..rows]);
                    scores[rows..].fill(0.0);
                }
                // The queries are not needed any more.
                multiply_rows(isa, scores, values, &zeros[..head], queries);
                if let Some(relative) = &self.relative {
                    near.fill(0.0);
                    for (row, (scores, near)) in scores.chunks_exact(padded).zip(near.chunks_exact_mut(distances)).enumerate() {
                        relative.near(first + row, rows).for_each(|(other, place)| near[place] = scores[other]);
                    }
                    multiply_rows(isa, near, weights.f32s(&relative.values), &zeros[..head], more);
                    add(queries, more);
                }
                for (out, result) in out.chunks_exact_mut(width).zip(queries.chunks_exact(head)) {
                    out[h * head..][..head].copy_from_slice(result);
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}
