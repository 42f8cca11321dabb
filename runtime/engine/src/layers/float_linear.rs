//! Layers in f32, and rows of a table.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::weights::{FolderError, Span, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::multiply::multiply_rows;

use super::conv_next::record_inside;
use super::sequence::Flow;

/// A layer in f32.
#[derive(Clone, Debug)]
pub struct FloatLinear {
    /// `[depth][outputs]`
    weights: Span,
    bias: Span,
}

impl FloatLinear {
    /// Tensors `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// [`FolderError`] if one is missing, misshapen or not finite.
    pub fn new(weights: &Weights, name: &str, depth: usize, outputs: usize) -> Result<Self, FolderError> {
        let bias = weights.f32_span(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { weights: weights.f32_span(&format!("{name}.weight"), &[depth, outputs])?, bias })
    }

    /// Multiplies rows; `out` has as many.
    pub fn rows(&self, session: &Session, x: &[f32], out: &mut [f32]) {
        let weights = session.weights();
        multiply_rows(session.isa(), x, weights.f32s(&self.weights), weights.f32s(&self.bias), out);
    }
}

/// Rows through a layer in f32 that keeps their width.
#[derive(Debug)]
pub struct Project {
    /// The rows.
    pub flow: Flow,
    /// The layer.
    pub layer: FloatLinear,
    /// Values of a row.
    pub width: usize,
}

impl Layer for Project {
    fn name(&self) -> &'static str {
        "Project"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn work(&self) -> Work {
        Work::default().and(self.flow.rows(), Units { float_mac: (self.width * self.width) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width) = (io.input::<f32>(0)?, self.width);
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end * width];
        session.for_rows(&io.thread_scratch(), out, width, |_, first, out| {
            self.layer.rows(session, &x[first * width..][..out.len()], out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// Phonemes i32 `[max_tokens]` to rows.
#[derive(Debug)]
pub struct Embed {
    /// The phonemes.
    pub flow: Flow,
    /// `[vocabulary][width]`
    pub table: Span,
    /// Values of a row.
    pub width: usize,
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let table = session.weights().f32s(&self.table);
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end * self.width];
        for (&id, out) in io.input::<i32>(0)?.iter().zip(out.chunks_exact_mut(self.width)) {
            let row = table.chunks_exact(self.width).nth(id.cast_unsigned() as usize);
            out.copy_from_slice(row.ok_or(GraphError::Layer("a phoneme is beyond the vocabulary"))?);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}
