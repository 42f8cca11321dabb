//! The encoder's layers but attention. All maps are `[max_tokens][width]`, f32, of which as many rows are computed as there are tokens.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::{Need, Scratch, ThreadScratch};
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{FolderError, LinearSpan, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::elementwise::{add, affine_channels};
use ossicle_kernels::linear::{Finish, Linear, linear, linear_u8};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, layer_norm_rows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Values;

use super::{Text, row_span};

/// A map's fact.
pub(super) fn map(text: &Text, width: usize) -> Vec<Fact> {
    vec![Fact::f32([text.config.max_tokens, width])]
}

/// Traces the rows of a map that were computed.
pub(super) fn record_rows(text: &Text, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
    let (rows, width) = (text.tokens(), results.shape(0)?[1]);
    record.tensor("", &[rows, width], Values::F32(&results.output(0)?[..rows * width]));
    Ok(())
}

/// Layer normalisation.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    weight: Span,
    bias: Span,
}

impl Norm {
    pub(super) fn new(weights: &Weights, text: &Text, name: &str) -> Result<Self, FolderError> {
        Ok(Self { weight: row_span(weights, text, name, "weight")?, bias: row_span(weights, text, name, "bias")? })
    }

    fn rows(&self, session: &Session, text: &Text, x: &[f32], out: &mut [f32]) {
        let (weight, bias) = (session.weights().f32s(&self.weight), session.weights().f32s(&self.bias));
        layer_norm_rows(session.isa(), x, weight, bias, text.config.layer_norm_eps, out);
    }
}

/// What brings the channels of a row to like ranges before it is quantised: `x * scale + shift`, undone by the weights and the bias after it.
///
/// A few channels of a BERT are far larger than the rest, always on the same side; without this they take nearly all of the 8 bits.
#[derive(Clone, Debug)]
pub(super) struct Smoothing {
    scale: Span,
    shift: Span,
}

impl Smoothing {
    pub(super) fn new(weights: &Weights, text: &Text, name: &str) -> Result<Self, FolderError> {
        Ok(Self { scale: row_span(weights, text, name, "input_scale")?, shift: row_span(weights, text, name, "input_shift")? })
    }

    /// Quantises rows of `x`; `smooth` holds them in between.
    fn quantize(&self, session: &Session, x: &[f32], smooth: &mut [f32], out: &mut QuantRows<'_>) {
        let smooth = &mut smooth[..x.len()];
        let (scale, shift) = (session.weights().f32s(&self.scale), session.weights().f32s(&self.shift));
        let width = scale.len();
        affine_channels(session.isa(), x, scale, shift, smooth);
        quantize_rows(session.isa(), smooth, width, width, out);
    }
}

/// Rows on their way into a product.
struct RowScratch<'a> {
    floats: &'a mut [f32],
    values: &'a mut [u8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl<'a> RowScratch<'a> {
    fn need(need: Need, floats: usize, depth: usize) -> Need {
        need.thread::<f32>(ROWS * floats).thread::<u8>(ROWS * depth).thread::<f32>(ROWS).thread::<i32>(ROWS)
    }

    fn take(scratch: &mut Scratch<'a>, floats: usize, depth: usize) -> Self {
        Self {
            floats: scratch.take(ROWS * floats),
            values: scratch.take(ROWS * depth),
            scales: scratch.take(ROWS),
            sums: scratch.take(ROWS),
        }
    }

    fn signed(&mut self, rows: usize, depth: usize) -> (QuantRows<'_>, &mut [f32]) {
        let values = bytemuck::cast_slice_mut(&mut *self.values);
        (QuantRows::new(values, self.scales, self.sums, rows, depth), self.floats)
    }
}

/// Calls `work` with each thread's scratch memory, the first of its rows of `out`, `width` wide, and these.
pub(super) fn for_rows(
    text: &Text,
    session: &Session,
    threads: &ThreadScratch<'_>,
    out: &mut [f32],
    width: usize,
    work: impl Fn(&mut Scratch<'_>, usize, &mut [f32]) + Sync,
) {
    session.pool().for_parts(&mut out[..text.tokens() * width], width, 4, |thread, start, out| {
        work(&mut threads.of(thread).take_all(), start, out);
    });
}

/// Tokens i32 `[max_tokens]` to rows: word, position and type embedding, then normalisation.
#[derive(Debug)]
pub(super) struct Embed {
    text: Arc<Text>,
    words: LinearSpan,
    positions: Span,
    norm: Norm,
}

impl Embed {
    pub(super) fn new(weights: &Weights, text: &Arc<Text>) -> Result<Self, FolderError> {
        let config = &text.config;
        Ok(Self {
            words: weights.linear_span("embed.words", config.vocab_size, config.hidden_size, false)?,
            positions: weights.f32_span("embed.positions", &[config.max_tokens, config.hidden_size])?,
            norm: Norm::new(weights, text, "embed.norm")?,
            text: Arc::clone(text),
        })
    }
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> Vec<Fact> {
        map(&self.text, self.text.config.hidden_size)
    }

    fn scratch(&self) -> Need {
        Need::default().shared::<f32>(self.text.config.hidden_size)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, width) = (&self.text, self.text.config.hidden_size);
        let words = session.weights().linear(&self.words);
        let positions = session.weights().f32s(&self.positions);
        let ids = &io.input::<i32>(0)?[..text.tokens()];
        let (row, out) = (io.scratch::<f32>(width), io.output::<f32>(0)?);
        for ((&id, position), out) in ids.iter().zip(positions.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
            let id = id.cast_unsigned() as usize;
            let scale = *words.scales.get(id).ok_or(GraphError::Layer("a token is beyond the vocabulary"))?;
            for (group, (row, position)) in row.chunks_exact_mut(4).zip(position.chunks_exact(4)).enumerate() {
                let values = words.weights.values(id / LANES, group, id % LANES);
                for ((x, q), position) in row.iter_mut().zip(values).zip(position) {
                    *x = f32::from(q) * scale + position;
                }
            }
            self.norm.rows(session, text, row, out);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_rows(&self.text, results, record)
    }
}

/// Rows to queries, keys and values: `[max_tokens][3][heads][head]`.
#[derive(Debug)]
pub(super) struct Qkv {
    text: Arc<Text>,
    smoothing: Smoothing,
    layer: LinearSpan,
}

impl Qkv {
    pub(super) fn new(weights: &Weights, text: &Arc<Text>, name: &str) -> Result<Self, FolderError> {
        let width = text.config.hidden_size;
        let layer = weights.linear_span(name, 3 * width, width, true)?;
        Ok(Self { smoothing: Smoothing::new(weights, text, name)?, layer, text: Arc::clone(text) })
    }
}

impl Layer for Qkv {
    fn name(&self) -> &'static str {
        "Qkv"
    }

    fn outputs(&self) -> Vec<Fact> {
        map(&self.text, 3 * self.text.config.hidden_size)
    }

    fn scratch(&self) -> Need {
        let width = self.text.config.hidden_size;
        RowScratch::need(Need::default(), width, width)
    }

    fn work(&self) -> Work {
        let (tokens, width) = (self.text.tokens(), self.text.config.hidden_size);
        Work::product(tokens, width, 3 * width).and(tokens, Units { quantize: width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, width) = (&self.text, self.text.config.hidden_size);
        let (x, layer) = (io.input::<f32>(0)?, session.weights().linear(&self.layer));
        let threads = io.thread_scratch();
        for_rows(text, session, &threads, io.output::<f32>(0)?, 3 * width, |scratch, start, out| {
            let mut scratch = RowScratch::take(scratch, width, width);
            for (out, x) in out.chunks_mut(ROWS * 3 * width).zip(x[start * width..].chunks(ROWS * width)) {
                let rows = out.len() / (3 * width);
                let (mut quantized, smooth) = scratch.signed(rows, width);
                self.smoothing.quantize(session, &x[..rows * width], smooth, &mut quantized);
                linear(session.isa(), quantized.as_rows(), quantized.scales, &layer, Finish::Store, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_rows(&self.text, results, record)
    }
}

/// `norm(x + layer(attention))`.
#[derive(Debug)]
pub(super) struct AttentionOutput {
    text: Arc<Text>,
    layer: LinearSpan,
    norm: Norm,
}

impl AttentionOutput {
    pub(super) fn new(weights: &Weights, text: &Arc<Text>, name: &str) -> Result<Self, FolderError> {
        let width = text.config.hidden_size;
        let layer = weights.linear_span(name, width, width, true)?;
        Ok(Self { layer, norm: Norm::new(weights, text, &format!("{name}.norm"))?, text: Arc::clone(text) })
    }
}

impl Layer for AttentionOutput {
    fn name(&self) -> &'static str {
        "AttentionOutput"
    }

    fn outputs(&self) -> Vec<Fact> {
        map(&self.text, self.text.config.hidden_size)
    }

    fn scratch(&self) -> Need {
        let width = self.text.config.hidden_size;
        RowScratch::need(Need::default(), width, width)
    }

    fn work(&self) -> Work {
        let (tokens, width) = (self.text.tokens(), self.text.config.hidden_size);
        let row = Units { quantize: width as f64, normalize: width as f64, ..Units::default() };
        Work::product(tokens, width, width).and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, width) = (&self.text, self.text.config.hidden_size);
        let (attention, x) = (io.input::<f32>(0)?, io.input::<f32>(1)?);
        let layer = session.weights().linear(&self.layer);
        let threads = io.thread_scratch();
        for_rows(text, session, &threads, io.output::<f32>(0)?, width, |scratch, start, out| {
            let mut scratch = RowScratch::take(scratch, width, width);
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let first = (start + block * ROWS) * width;
                let rows = out.len() / width;
                let (mut quantized, sum) = scratch.signed(rows, width);
                quantize_rows(session.isa(), &attention[first..][..out.len()], width, width, &mut quantized);
                let sum = &mut sum[..out.len()];
                sum.copy_from_slice(&x[first..][..out.len()]);
                linear(session.isa(), quantized.as_rows(), quantized.scales, &layer, Finish::Add, sum);
                self.norm.rows(session, text, sum, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_rows(&self.text, results, record)
    }
}

/// `norm(x + down(gelu(up(x))))`.
#[derive(Debug)]
pub(super) struct FeedForward {
    text: Arc<Text>,
    smoothing: Smoothing,
    up: LinearSpan,
    down: LinearSpan,
    /// Sums of the weights of `down`, whose rows are u8.
    sums: Arc<[i32]>,
    norm: Norm,
}

impl FeedForward {
    pub(super) fn new(weights: &Weights, text: &Arc<Text>, name: &str) -> Result<Self, FolderError> {
        let (width, inner) = (text.config.hidden_size, text.config.intermediate_size);
        let (up, down) = (format!("{name}.up"), format!("{name}.down"));
        let down_span = weights.linear_span(&down, width, inner, true)?;
        Ok(Self {
            smoothing: Smoothing::new(weights, text, &up)?,
            up: weights.linear_span(&up, inner, width, true)?,
            sums: weights.weight_sums(&down, &down_span)?,
            down: down_span,
            norm: Norm::new(weights, text, &format!("{name}.norm"))?,
            text: Arc::clone(text),
        })
    }

    /// `up` of smoothed rows, and `down` of what the activation makes of them, into `out`.
    fn rows(&self, session: &Session, x: &[f32], scratch: &mut FeedForwardScratch<'_>, out: &mut [f32]) {
        let (isa, weights) = (session.isa(), session.weights());
        let (width, inner) = (self.text.config.hidden_size, self.text.config.intermediate_size);
        let rows = x.len() / width;
        let (mut quantized, smooth) = scratch.up.signed(rows, width);
        self.smoothing.quantize(session, x, smooth, &mut quantized);
        let RowScratch { floats, values, scales, .. } = &mut scratch.down;
        let hidden = &mut floats[..rows * inner];
        linear(isa, quantized.as_rows(), quantized.scales, &weights.linear(&self.up), Finish::Gelu, hidden);
        let mut unsigned = UnsignedRows::new(values, scales, rows, inner);
        quantize_offset_rows(isa, hidden, inner, gelu_depth(), &mut unsigned);
        down(isa, &unsigned, &weights.linear(&self.down), &self.sums, out);
    }
}

/// How far GELU reaches below zero. The importer takes what it adds to the products from the bias.
fn gelu_depth() -> f32 {
    Activation::Gelu.depth_below_zero().unwrap_or(0.0)
}

fn down(isa: Isa, rows: &UnsignedRows<'_>, layer: &Linear<'_>, sums: &[i32], out: &mut [f32]) {
    linear_u8(isa, rows.as_rows(sums), rows.scales, layer, false, out);
}

struct FeedForwardScratch<'a> {
    up: RowScratch<'a>,
    down: RowScratch<'a>,
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "FeedForward"
    }

    fn outputs(&self) -> Vec<Fact> {
        map(&self.text, self.text.config.hidden_size)
    }

    fn scratch(&self) -> Need {
        let (width, inner) = (self.text.config.hidden_size, self.text.config.intermediate_size);
        RowScratch::need(RowScratch::need(Need::default(), width, width), inner, inner)
    }

    fn work(&self) -> Work {
        let (tokens, width, inner) = (self.text.tokens(), self.text.config.hidden_size, self.text.config.intermediate_size);
        let row = Units { gelu: inner as f64, quantize: (width + inner) as f64, normalize: width as f64, ..Units::default() };
        Work::product(tokens, width, inner).plus(Work::product(tokens, inner, width)).and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, x) = (&self.text, io.input::<f32>(0)?);
        let (width, inner) = (text.config.hidden_size, text.config.intermediate_size);
        let threads = io.thread_scratch();
        for_rows(text, session, &threads, io.output::<f32>(0)?, width, |scratch, start, out| {
            let mut scratch =
                FeedForwardScratch { up: RowScratch::take(scratch, width, width), down: RowScratch::take(scratch, inner, inner) };
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let x = &x[(start + block * ROWS) * width..][..out.len()];
                self.rows(session, x, &mut scratch, out);
                let sum = &mut scratch.up.floats[..out.len()];
                add(session.isa(), x, out, sum);
                self.norm.rows(session, text, sum, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_rows(&self.text, results, record)
    }
}
