//! Rows of a piece, at some place of the graph.

use ossicle_engine::GraphError;
use ossicle_engine::layer::Results;
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::recorder::Record;
use ossicle_trace::Values;

/// As many rows as a flow has, and maybe more.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    flow: Flow,
    more: usize,
}

impl Rows {
    /// `more` rows after those of a flow, all of whose rows come at once.
    pub(super) fn new(flow: &Flow, more: usize) -> Self {
        Self { flow: flow.clone(), more }
    }

    /// Most that there can be.
    pub(super) fn most(&self) -> usize {
        self.flow.chunk() + self.more
    }

    /// Those of the piece; most where there is none.
    pub(super) fn count(&self) -> usize {
        self.flow.rows() + self.more
    }

    /// The same with each row twice.
    pub(super) fn twice(&self) -> Self {
        Self { flow: self.flow.repeated(2), more: 2 * self.more }
    }

    /// Hands an output's rows to a trace.
    pub(super) fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let (rows, width) = (self.count(), results.shape(0)?[1]);
        record.tensor("", &[rows, width], Values::F32(&results.output::<f32>(0)?[..rows * width]));
        Ok(())
    }
}
