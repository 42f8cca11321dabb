//! A linear layer over rows of a sequence.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::session::ROWS;
use crate::weights::{FolderError, LinearSpan, Weights};
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::linear::Finish;

use super::sequence::Flow;
use super::{Norm, RowBuffers, record_inside};

/// Rows `[chunk][width]`, maybe normalised, times INT8 weights: `[chunk * parts][outputs]`, each row giving `parts` that lie next to one another.
#[derive(Debug)]
pub struct FlowLinear {
    flow: Flow,
    norm: Option<Norm>,
    linear: LinearSpan,
    shape: FlowLinearShape,
}

/// Sizes of a [`FlowLinear`].
#[derive(Clone, Copy, Debug)]
pub struct FlowLinearShape {
    /// Values of a row.
    pub width: usize,
    /// Values of a row of the result.
    pub outputs: usize,
    /// Rows of the result for each row.
    pub parts: usize,
}

impl FlowLinear {
    /// Tensors `NAME.weight`, `NAME.weight_scale` and `NAME.bias` of the weights, over rows that come in `flow`.
    ///
    /// # Errors
    /// [`FolderError`] if a tensor is missing, misshapen or not finite.
    pub fn new(weights: &Weights, name: &str, shape: FlowLinearShape, flow: &Flow) -> Result<Self, FolderError> {
        let linear = weights.linear_span(name, shape.outputs * shape.parts, shape.width, true)?;
        Ok(Self { flow: flow.clone(), norm: None, linear, shape })
    }

    /// The same with rows normalised before, by tensors `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn normalized(self, weights: &Weights, name: &str) -> Result<Self, FolderError> {
        let span = |part: &str| weights.f32_span(&format!("{name}.{part}"), &[self.shape.width]);
        Ok(Self { norm: Some(Norm { gamma: span("weight")?, beta: span("bias")? }), ..self })
    }

    /// Where the result is.
    pub fn output(&self) -> Flow {
        self.flow.repeated(self.shape.parts)
    }
}

impl Layer for FlowLinear {
    fn name(&self) -> &'static str {
        "FlowLinear"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk() * self.shape.parts, self.shape.outputs])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), ROWS, self.shape.width)
    }

    fn work(&self) -> Work {
        let FlowLinearShape { width, outputs, parts } = self.shape;
        let normalize = if self.norm.is_some() { width as f64 } else { 0.0 };
        Work::product(self.flow.rows(), width, outputs * parts).and(self.flow.rows(), Units { normalize, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let FlowLinearShape { width, outputs, parts } = self.shape;
        let (x, inside, outputs) = (io.input::<f32>(0)?, self.flow.inside(), outputs * parts);
        if inside.is_empty() {
            return Ok(());
        }
        let weights = session.weights().linear(&self.linear);
        let out = &mut io.output::<f32>(0)?[inside.start * outputs..inside.end * outputs];
        session.for_rows(&io.thread_scratch(), out, outputs, |scratch, start, out| {
            let rows = out.len() / outputs;
            let mut buffers = RowBuffers::take(scratch, ROWS, width);
            let x = &x[(inside.start + start) * width..][..rows * width];
            let quantized = match &self.norm {
                Some(norm) => buffers.normalize(session, norm, x, rows),
                None => buffers.quantize(session, x, rows, width, width),
            };
            session.linear(&quantized, &weights, Finish::Store, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.output(), results, 0, record)
    }
}
