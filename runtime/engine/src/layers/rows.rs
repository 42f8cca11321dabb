//! Rows that are quantised, maybe normalised before, in a layer's scratch memory.

use crate::Session;
use crate::scratch::{Need, Scratch};
use crate::session::ROWS;
use crate::weights::Span;
use ossicle_kernels::rows::{QuantRows, UnsignedRows, layer_norm_quantize_rows, quantize_rows};

/// Memory for quantised rows.
#[derive(Debug)]
pub struct RowBuffers<'a> {
    values: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    /// One row between normalisation and quantisation.
    normalized: &'a mut [f32],
}

impl<'a> RowBuffers<'a> {
    /// What `rows` rows of at most `depth` values need of each thread.
    pub fn need(need: Need, rows: usize, depth: usize) -> Need {
        let rows = rows.min(ROWS);
        need.thread::<i8>(rows * depth).thread::<f32>(rows).thread::<i32>(rows).thread::<f32>(depth)
    }

    /// Takes what [`need`](Self::need) asked for.
    pub fn take(scratch: &mut Scratch<'a>, rows: usize, depth: usize) -> Self {
        let rows = rows.min(ROWS);
        Self { values: scratch.take(rows * depth), scales: scratch.take(rows), sums: scratch.take(rows), normalized: scratch.take(depth) }
    }

    /// Quantises rows of `depth` values, `stride` apart.
    pub fn quantize(&mut self, session: &Session, x: &[f32], rows: usize, depth: usize, stride: usize) -> QuantRows<'_> {
        let mut out = QuantRows::new(self.values, self.scales, self.sums, rows, depth);
        quantize_rows(session.isa(), x, depth, stride, &mut out);
        out
    }

    /// Normalises and quantises rows.
    pub fn normalize(&mut self, session: &Session, norm: &Norm, x: &[f32], rows: usize) -> QuantRows<'_> {
        let (gamma, beta) = norm.get(session);
        let mut out = QuantRows::new(self.values, self.scales, self.sums, rows, gamma.len());
        layer_norm_quantize_rows(session.isa(), x, gamma, beta, self.normalized, &mut out);
        out
    }
}

/// Memory for rows of u8.
#[derive(Debug)]
pub struct UnsignedBuffers<'a> {
    values: &'a mut [u8],
    scales: &'a mut [f32],
}

impl<'a> UnsignedBuffers<'a> {
    /// What `rows` rows of at most `depth` values need of each thread.
    pub fn need(need: Need, rows: usize, depth: usize) -> Need {
        need.thread::<u8>(rows * depth).thread::<f32>(rows)
    }

    /// Takes what [`need`](Self::need) asked for.
    pub fn take(scratch: &mut Scratch<'a>, rows: usize, depth: usize) -> Self {
        Self { values: scratch.take(rows * depth), scales: scratch.take(rows) }
    }

    /// `rows` rows of `depth`, for whatever fills them.
    pub fn rows(&mut self, rows: usize, depth: usize) -> UnsignedRows<'_> {
        UnsignedRows::new(self.values, self.scales, rows, depth)
    }
}

/// Where the weights of a layer normalisation are.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Factors.
    pub gamma: Span,
    /// Shifts.
    pub beta: Span,
}

impl Norm {
    /// Factors and shifts.
    pub fn get<'a>(&self, session: &'a Session) -> (&'a [f32], &'a [f32]) {
        (session.weights().f32s(&self.gamma), session.weights().f32s(&self.beta))
    }
}
