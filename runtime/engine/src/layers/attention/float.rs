//! Attention of short sequences in f32, heads of any size.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::{Need, Scratch};
use crate::session::ROWS;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::activation::softmax;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::simd::{Isa, LANES};

use super::relative::{Positions, RelativePositions, biases};
use crate::layers::arithmetic::add;
use crate::layers::conv_next::record_inside;
use crate::layers::sequence::Flow;

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
    /// What is known of how far rows are apart.
    pub positions: Positions,
}

/// Keys `[heads][head][padded]` and values `[heads][padded][head]` of all rows.
#[derive(Clone, Copy, Debug)]
struct Rows<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    zeros: &'a [f32],
    rows: usize,
    padded: usize,
}

/// Memory for a block of rows.
#[derive(Debug)]
struct Block<'a> {
    queries: &'a mut [f32],
    /// `[block][padded]`
    scores: &'a mut [f32],
    /// `[block][distances]`, or one row of biases.
    near: &'a mut [f32],
    /// `[block][head]`
    more: &'a mut [f32],
}

impl FloatAttention {
    fn width(&self) -> usize {
        self.heads * self.head
    }

    fn most(&self) -> usize {
        self.flow.chunk().next_multiple_of(LANES)
    }

    fn zeros(&self) -> usize {
        self.most().max(self.head).max(self.positions.distances())
    }

    /// Values of [`Block::near`] and [`Block::more`].
    fn position_values(&self) -> (usize, usize) {
        match &self.positions {
            Positions::None => (0, 0),
            Positions::Relative(_) => (ROWS * self.positions.distances(), ROWS * self.head),
            Positions::Bias { .. } => (self.most(), 0),
        }
    }

    /// Copies keys and values to where each head has its own.
    fn gather(&self, x: &[f32], keys: &mut [f32], values: &mut [f32], rows: usize) {
        let (head, width, padded) = (self.head, self.width(), rows.next_multiple_of(LANES));
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
    }

    fn block<'a>(&self, scratch: &mut Scratch<'a>, count: usize, padded: usize) -> Block<'a> {
        let (near, more) = self.position_values();
        let (queries, scores) = (scratch.take::<f32>(ROWS * self.head), scratch.take::<f32>(ROWS * self.most()));
        let (near, more) = (scratch.take::<f32>(near), scratch.take::<f32>(more));
        let (near, more) = match &self.positions {
            Positions::None => (near, more),
            Positions::Relative(_) => (&mut near[..count * self.positions.distances()], &mut more[..count * self.head]),
            Positions::Bias { .. } => (&mut near[..padded], more),
        };
        Block { queries: &mut queries[..count * self.head], scores: &mut scores[..count * padded], near, more }
    }

    /// Scores of a block's queries, from row `first` on, over one head's keys.
    fn score(&self, session: &Session, all: Rows<'_>, keys: &[f32], (h, first): (usize, usize), block: &mut Block<'_>) {
        let (isa, weights, Rows { zeros, rows, padded, .. }) = (session.isa(), session.weights(), all);
        let Block { queries, scores, near, .. } = block;
        match &self.positions {
            Positions::None => multiply_rows(isa, queries, keys, &zeros[..padded], scores),
            Positions::Relative(relative) => {
                let distances = self.positions.distances();
                multiply_rows(isa, queries, keys, &zeros[..padded], scores);
                multiply_rows(isa, queries, weights.f32s(&relative.keys), &zeros[..distances], near);
                for (row, (scores, near)) in scores.chunks_exact_mut(padded).zip(near.chunks_exact(distances)).enumerate() {
                    relative.near(first + row, rows).for_each(|(other, place)| scores[other] += near[place]);
                }
            }
            Positions::Bias { bias, far } => {
                let bias = weights.f32s(bias);
                for (row, (query, scores)) in queries.chunks_exact(self.head).zip(scores.chunks_exact_mut(padded)).enumerate() {
                    biases(bias, h, *far, first + row, near);
                    multiply_rows(isa, query, keys, near, scores);
                }
            }
        }
    }

    /// Adds the values of distances, weighted by a block's probabilities, to its results, which are where its queries were.
    fn add_relative(&self, session: &Session, relative: &RelativePositions, all: Rows<'_>, first: usize, block: &mut Block<'_>) {
        let (distances, Rows { zeros, rows, padded, .. }) = (self.positions.distances(), all);
        let Block { queries, scores, near, more } = block;
        near.fill(0.0);
        for (row, (scores, near)) in scores.chunks_exact(padded).zip(near.chunks_exact_mut(distances)).enumerate() {
            relative.near(first + row, rows).for_each(|(other, place)| near[place] = scores[other]);
        }
        multiply_rows(session.isa(), near, session.weights().f32s(&relative.values), &zeros[..self.head], more);
        add(queries, more);
    }
}

/// Softmax of each row's first `rows` scores; the rest is nothing.
fn normalize(isa: Isa, scores: &mut [f32], rows: usize, padded: usize) {
    for scores in scores.chunks_exact_mut(padded) {
        softmax(isa, &mut scores[..rows]);
        scores[rows..].fill(0.0);
    }
}

impl Layer for FloatAttention {
    fn name(&self) -> &'static str {
        if let Positions::Bias { .. } = self.positions { "BiasedAttention" } else { "FloatAttention" }
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width()])]
    }

    fn scratch(&self) -> Need {
        let (keys, (near, more)) = (self.most() * self.width(), self.position_values());
        let shared = Need::default().shared::<f32>(keys).shared::<f32>(keys).shared::<f32>(self.zeros());
        shared.thread::<f32>(ROWS * self.head).thread::<f32>(ROWS * self.most()).thread::<f32>(near).thread::<f32>(more)
    }

    fn work(&self) -> Work {
        let rows = self.flow.rows();
        let macs = 2 * (rows + self.positions.distances()) * self.width();
        Work::default().and(rows, Units { float_mac: macs as f64, gelu: (rows * self.heads) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (head, width, rows) = (self.head, self.width(), self.flow.inside().end);
        if self.flow.rows() == 0 {
            return Ok(());
        }
        let (isa, padded, x) = (session.isa(), rows.next_multiple_of(LANES), io.input::<f32>(0)?);
        let keys = &mut io.scratch::<f32>(self.most() * width)[..padded * width];
        let values = &mut io.scratch::<f32>(self.most() * width)[..padded * width];
        let zeros = io.scratch::<f32>(self.zeros());
        zeros.fill(0.0);
        self.gather(x, keys, values, rows);
        let all = Rows { keys, values, zeros, rows, padded };
        session.for_rows(&io.thread_scratch(), &mut io.output::<f32>(0)?[..rows * width], width, |scratch, first, out| {
            let mut block = self.block(scratch, out.len() / width, padded);
            let heads = all.keys.chunks_exact(padded * head).zip(all.values.chunks_exact(padded * head));
            for (h, (keys, values)) in heads.enumerate() {
                for (query, qkv) in block.queries.chunks_exact_mut(head).zip(x[first * 3 * width..].chunks_exact(3 * width)) {
                    query.copy_from_slice(&qkv[h * head..][..head]);
                }
                self.score(session, all, keys, (h, first), &mut block);
                normalize(isa, block.scores, rows, padded);
                // The queries are not needed any more.
                multiply_rows(isa, block.scores, values, &zeros[..head], block.queries);
                if let Positions::Relative(relative) = &self.positions {
                    self.add_relative(session, relative, all, first, &mut block);
                }
                for (out, result) in out.chunks_exact_mut(width).zip(block.queries.chunks_exact(head)) {
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
