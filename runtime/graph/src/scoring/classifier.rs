//! From rows to scores.

use std::fmt::Debug;
use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_kernels::linear::linear_u8;
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::rows::quantize_unsigned_rows;
use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::context::Context;
use super::linear::UnsignedLinear;

/// Logits from the rows of patches or cells, `[patches][labels]`, labels rounded up to whole blocks.
#[derive(Debug)]
pub(crate) struct Classifier<C> {
    pub(crate) context: Arc<Context<C>>,
    pub(crate) linear: UnsignedLinear,
    pub(crate) patches: usize,
    pub(crate) channels: usize,
    pub(crate) labels: usize,
}

impl<C: Debug + Send + Sync + 'static> Layer for Classifier<C> {
    fn name(&self) -> &'static str {
        "Classifier"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.labels.next_multiple_of(LANES)]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let layer = self.context.folder.linear(&self.linear.layer);
        let mut workspace = self.context.workspace(0);
        let mut rows = workspace.rows(self.patches, self.channels);
        quantize_unsigned_rows(self.context.isa, io.input::<f32>(0)?, &mut rows);
        linear_u8(self.context.isa, rows.as_rows(&self.linear.sums), rows.scales, &layer, false, io.output::<f32>(0)?);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        let logits = results.output::<f32>(0)?;
        record.gather_f32("", &[self.patches, self.labels], |out| unpad(logits, self.labels, out));
        Ok(())
    }
}

/// Scores from logits: `[patches][labels]`.
#[derive(Debug)]
pub(crate) struct Sigmoid<C> {
    pub(crate) context: Arc<Context<C>>,
    pub(crate) patches: usize,
    pub(crate) labels: usize,
}

impl<C: Debug + Send + Sync + 'static> Layer for Sigmoid<C> {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([self.patches, self.labels]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let scores = io.output::<f32>(0)?;
        unpad(io.input::<f32>(0)?, self.labels, scores);
        sigmoid_all(self.context.isa, scores);
        Ok(())
    }
}

/// The first `labels` values of each row of whole blocks.
fn unpad(rows: &[f32], labels: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(labels.next_multiple_of(LANES)).zip(out.chunks_exact_mut(labels)) {
        out.copy_from_slice(&row[..labels]);
    }
}
