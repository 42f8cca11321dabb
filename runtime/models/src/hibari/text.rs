//! The text encoders' layers. All maps are `[max_tokens][width]`, f32, of which as many rows are computed as a clause has phonemes.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::layers::{FloatLinear, Norm, RowBuffers, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{FolderError, LinearSpan, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::conv::Size;
use ossicle_kernels::linear::Finish;
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Map, Window, gather};
use ossicle_trace::Values;

use super::config::TextConfig;

/// Taps of the durations' convolution.
const DURATION_TAPS: usize = 3;

pub(super) fn norm(weights: &Weights, name: &str, width: usize) -> Result<Norm, FolderError> {
    let span = |part: &str| weights.f32_span(&format!("{name}.{part}"), &[width]);
    Ok(Norm { gamma: span("weight")?, beta: span("bias")? })
}

/// The rows of a map that belong to the clause.
fn inside<'a>(flow: &Flow, out: &'a mut [f32], width: usize) -> &'a mut [f32] {
    &mut out[..flow.inside().end * width]
}

/// Rows to queries, keys and values after a normalisation: `[max_tokens][3][heads][head]`.
#[derive(Debug)]
pub(super) struct Qkv {
    flow: Flow,
    norm: Norm,
    layer: LinearSpan,
    width: usize,
}

impl Qkv {
    pub(super) fn new(weights: &Weights, name: &str, width: usize, flow: &Flow) -> Result<Self, FolderError> {
        let layer = weights.linear_span(&format!("{name}.qkv"), 3 * width, width, true)?;
        Ok(Self { flow: flow.clone(), norm: norm(weights, &format!("{name}.norm"), width)?, layer, width })
    }
}

impl Layer for Qkv {
    fn name(&self) -> &'static str {
        "Qkv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), 3 * self.width])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), ROWS, self.width)
    }

    fn work(&self) -> Work {
        let rows = self.flow.rows();
        Work::product(rows, self.width, 3 * self.width).and(rows, Units { normalize: self.width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width, layer) = (io.input::<f32>(0)?, self.width, session.weights().linear(&self.layer));
        let out = inside(&self.flow, io.output::<f32>(0)?, 3 * width);
        session.for_rows(&io.thread_scratch(), out, 3 * width, |scratch, start, out| {
            let rows = out.len() / (3 * width);
            let mut buffers = RowBuffers::take(scratch, ROWS, width);
            session.linear(&buffers.normalize(session, &self.norm, &x[start * width..][..rows * width], rows), &layer, Finish::Store, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// `y = x + output(attention)`, then `y + down(gelu(up(norm(y))))`: inputs `x`, which is taken over, and attention.
#[derive(Debug)]
pub(super) struct FeedForward {
    flow: Flow,
    output: LinearSpan,
    norm: Norm,
    up: LinearSpan,
    down: LinearSpan,
    width: usize,
    inner: usize,
}

impl FeedForward {
    pub(super) fn new(weights: &Weights, name: &str, text: &TextConfig, flow: &Flow) -> Result<Self, FolderError> {
        let (width, inner) = (text.hidden_size, text.intermediate_size);
        Ok(Self {
            flow: flow.clone(),
            output: weights.linear_span(&format!("{name}.output"), width, width, true)?,
            norm: norm(weights, &format!("{name}.feed_forward.norm"), width)?,
            up: weights.linear_span(&format!("{name}.feed_forward.up"), inner, width, true)?,
            down: weights.linear_span(&format!("{name}.feed_forward.down"), width, inner, true)?,
            width,
            inner,
        })
    }
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "FeedForward"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), ROWS, self.width.max(self.inner)).thread::<f32>(ROWS * self.inner)
    }

    fn work(&self) -> Work {
        let (rows, width, inner) = (self.flow.rows(), self.width, self.inner);
        let row = Units { normalize: width as f64, gelu: inner as f64, quantize: (width + inner) as f64, ..Units::default() };
        let products = Work::product(rows, width, inner).plus(Work::product(rows, inner, width));
        products.plus(Work::product(rows, width, width)).and(rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (attention, width, weights) = (io.input::<f32>(0)?, self.width, session.weights());
        let [output, up, down] = [&self.output, &self.up, &self.down].map(|span| weights.linear(span));
        let out = inside(&self.flow, io.output::<f32>(0)?, width);
        session.for_rows(&io.thread_scratch(), out, width, |scratch, start, out| {
            let rows = out.len() / width;
            let mut buffers = RowBuffers::take(scratch, ROWS, width.max(self.inner));
            let hidden = scratch.take::<f32>(ROWS * self.inner);
            let attention = &attention[start * width..][..out.len()];
            session.linear(&buffers.quantize(session, attention, rows, width, width), &output, Finish::Add, out);
            session.linear(&buffers.normalize(session, &self.norm, out, rows), &up, Finish::Gelu, hidden);
            session.linear(&buffers.quantize(session, hidden, rows, self.inner, self.inner), &down, Finish::Add, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// The normalisation at a text encoder's end.
#[derive(Debug)]
pub(super) struct LastNorm {
    pub(super) flow: Flow,
    pub(super) norm: Norm,
    pub(super) width: usize,
}

impl Layer for LastNorm {
    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let out = inside(&self.flow, io.output::<f32>(0)?, self.width);
        let (gamma, beta) = self.norm.get(session);
        layer_norm_rows(session.isa(), &io.input::<f32>(0)?[..out.len()], gamma, beta, EPSILON, out);
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// Rows to the logarithm of one plus the number of prosody frames that a phoneme lasts, `[max_tokens]`.
#[derive(Debug)]
pub(super) struct Durations {
    flow: Flow,
    hidden: FloatLinear,
    output: FloatLinear,
    width: usize,
}

impl Durations {
    pub(super) fn new(weights: &Weights, name: &str, width: usize, flow: &Flow) -> Result<Self, FolderError> {
        let hidden = FloatLinear::new(weights, &format!("{name}.hidden"), DURATION_TAPS * width, width)?;
        Ok(Self { flow: flow.clone(), hidden, output: FloatLinear::new(weights, &format!("{name}.output"), width, LANES)?, width })
    }
}

impl Layer for Durations {
    fn name(&self) -> &'static str {
        "Durations"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk()])]
    }

    fn scratch(&self) -> Need {
        let rows = Need::default().shared::<f32>(LANES * DURATION_TAPS * self.width);
        rows.shared::<f32>(LANES * self.width).shared::<f32>(LANES * LANES)
    }

    fn work(&self) -> Work {
        let row =
            Units { float_mac: ((DURATION_TAPS * self.width + LANES) * self.width) as f64, gelu: self.width as f64, ..Units::default() };
        Work::default().and(self.flow.rows(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (rows, width) = (self.flow.inside().end, self.width);
        let [taps, hidden, results] = [DURATION_TAPS * width, width, LANES].map(|count| io.scratch::<f32>(LANES * count));
        let map = Map { values: &io.input::<f32>(0)?[..rows * width], size: Size { height: 1, width: rows }, channels: width };
        let window = Window { kernel: [1, DURATION_TAPS], stride: [1, 1], dilation: [1, 1], before: [0, 1], after: [0, 1] };
        // A few rows at a time: the weights are large.
        for (block, out) in io.output::<f32>(0)?[..rows].chunks_mut(LANES).enumerate() {
            let taps = &mut taps[..out.len() * DURATION_TAPS * width];
            let (hidden, results) = (&mut hidden[..out.len() * width], &mut results[..out.len() * LANES]);
            gather(map, width, &window, block * LANES, DURATION_TAPS * width, taps);
            self.hidden.rows(session, taps, hidden);
            activate(session.isa(), Activation::Gelu, hidden);
            self.output.rows(session, hidden, results);
            for (out, results) in out.iter_mut().zip(results.chunks_exact(LANES)) {
                *out = results[0];
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let rows = self.flow.inside().end;
        record.tensor("", &[rows], Values::F32(&results.output::<f32>(0)?[..rows]));
        Ok(())
    }
}
