//! The encoder's layers but attention. All maps are `[max_tokens][width]`, f32, of which as many rows are computed as there are tokens.

use std::sync::Arc;

use ossicle_engine::layer::{Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_engine::weights::{FolderError, LinearSpan, Span};
use ossicle_kernels::activation::Activation;
use ossicle_kernels::elementwise::{add, affine_channels};
use ossicle_kernels::linear::{Finish, Linear, linear, linear_u8};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, layer_norm_rows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Values;
use tract_core::internal::*;

use super::{Context, row_span};
use crate::ops::ROWS;

/// A map's fact.
pub(super) fn map(context: &Context, width: usize) -> TVec<TypedFact> {
    tvec!(f32::fact([context.config().max_tokens, width]))
}

/// Traces the rows of a map that were computed.
pub(super) fn record_rows(context: &Context, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
    let (rows, width) = (context.tokens(), results.shape(0)?[1]);
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
    pub(super) fn new(context: &Context, name: &str) -> Result<Self, FolderError> {
        Ok(Self { weight: row_span(context, name, "weight")?, bias: row_span(context, name, "bias")? })
    }

    fn rows(&self, context: &Context, x: &[f32], out: &mut [f32]) {
        let (weight, bias) = (context.folder.f32s(&self.weight), context.folder.f32s(&self.bias));
        layer_norm_rows(context.isa, x, weight, bias, context.config().layer_norm_eps, out);
    }
}

/// What brings the channels of a row to like ranges before it is quantised: `x * scale + shift`, undone by the weights and the bias behind it.
///
/// A few channels of a BERT are far larger than the rest, always on the same side; without this they take nearly all of the 8 bits.
#[derive(Clone, Debug)]
pub(super) struct Smoothing {
    scale: Span,
    shift: Span,
}

impl Smoothing {
    pub(super) fn new(context: &Context, name: &str) -> Result<Self, FolderError> {
        Ok(Self { scale: row_span(context, name, "input_scale")?, shift: row_span(context, name, "input_shift")? })
    }

    /// Quantises rows of `x`; `smooth` holds them in between.
    fn quantize(&self, context: &Context, x: &[f32], smooth: &mut [f32], out: &mut QuantRows<'_>) {
        let smooth = &mut smooth[..x.len()];
        let width = context.config().hidden_size;
        affine_channels(context.isa, x, context.folder.f32s(&self.scale), context.folder.f32s(&self.shift), smooth);
        quantize_rows(context.isa, smooth, width, width, out);
    }
}

/// Scratch memory of one thread, cut from the graph's.
pub(super) struct Scratch<'a> {
    bytes: &'a mut [u8],
}

impl<'a> Scratch<'a> {
    /// As many equal parts as there are threads.
    pub(super) fn split(bytes: &'a mut [u8], threads: usize) -> impl Iterator<Item = Self> {
        let part = bytes.len() / threads;
        bytes.chunks_exact_mut(part.max(1)).map(|bytes| Self { bytes })
    }

    /// The next `count` values.
    pub(super) fn take<T: bytemuck::Pod>(&mut self, count: usize) -> TractResult<&'a mut [T]> {
        let bytes = std::mem::take(&mut self.bytes);
        let (own, rest) = bytes.split_at_mut_checked(Self::bytes::<T>(count)).context("scratch memory ends")?;
        self.bytes = rest;
        let values = bytemuck::try_cast_slice_mut(own).map_err(|_| format_err!("scratch memory is not aligned"))?;
        Ok(&mut values[..count])
    }

    /// Bytes that `count` values take.
    pub(super) fn bytes<T>(count: usize) -> usize {
        (count * size_of::<T>()).next_multiple_of(64)
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
    fn bytes(floats: usize, depth: usize) -> usize {
        Scratch::bytes::<f32>(ROWS * floats) + Scratch::bytes::<u8>(ROWS * depth) + 2 * Scratch::bytes::<f32>(ROWS)
    }

    fn new(scratch: &mut Scratch<'a>, floats: usize, depth: usize) -> TractResult<Self> {
        Ok(Self {
            floats: scratch.take(ROWS * floats)?,
            values: scratch.take(ROWS * depth)?,
            scales: scratch.take(ROWS)?,
            sums: scratch.take(ROWS)?,
        })
    }

    fn signed(&mut self, rows: usize, depth: usize) -> (QuantRows<'_>, &mut [f32]) {
        let values = bytemuck::cast_slice_mut(&mut *self.values);
        (QuantRows::new(values, self.scales, self.sums, rows, depth), self.floats)
    }
}

/// Calls `work` with each thread's rows of `out`, `width` wide, and what it may scribble on.
pub(super) fn for_rows<'s>(
    context: &Context,
    out: &mut [f32],
    width: usize,
    scratch: &'s mut [u8],
    work: impl Fn(usize, &mut [f32], &mut Scratch<'s>) -> TractResult<()> + Sync,
) -> TractResult<()> {
    use ossicle_engine::pool::MAX_THREADS;
    struct Part<'a, 's> {
        start: usize,
        out: &'a mut [f32],
        scratch: Scratch<'s>,
    }
    let rows = context.tokens();
    let mut rest = &mut out[..rows * width];
    let mut parts = [const { None }; MAX_THREADS];
    let scratch = Scratch::split(scratch, context.pool.threads());
    for ((part, range), scratch) in parts.iter_mut().zip(context.pool.split(rows, 4)).zip(scratch) {
        let out = rest.split_off_mut(..range.len() * width).context("rows")?;
        *part = Some(Part { start: range.start, out, scratch });
    }
    let failed = std::sync::Mutex::new(None);
    context.pool.each(parts, |_, mut part| {
        if let Err(error) = work(part.start, part.out, &mut part.scratch)
            && let Ok(mut failed) = failed.lock()
        {
            *failed = Some(error);
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Tokens i32 `[max_tokens]` to rows: word, position and type embedding, then normalisation.
#[derive(Debug)]
pub(super) struct Embed {
    context: Arc<Context>,
    words: LinearSpan,
    positions: Span,
    norm: Norm,
}

impl Embed {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, FolderError> {
        let config = context.config();
        Ok(Self {
            words: context.folder.linear_span("embed.words", config.vocab_size, config.hidden_size, false)?,
            positions: context.folder.f32_span("embed.positions", &[config.max_tokens, config.hidden_size])?,
            norm: Norm::new(context, "embed.norm")?,
            context: Arc::clone(context),
        })
    }
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "Embed"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map(&self.context, self.context.config().hidden_size)
    }

    fn scratch(&self) -> Option<TypedFact> {
        Some(f32::fact([self.context.config().hidden_size]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (context, width) = (&self.context, self.context.config().hidden_size);
        let words = context.folder.linear(&self.words);
        let positions = context.folder.f32s(&self.positions);
        let ids = &io.input::<i32>(0)?[..context.tokens()];
        let (row, out) = (io.scratch::<f32>()?, io.output::<f32>(0)?);
        for ((&id, position), out) in ids.iter().zip(positions.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
            let id = usize::try_from(id)?;
            let scale = *words.scales.get(id).with_context(|| format!("token {id} is beyond the vocabulary"))?;
            for (group, (row, position)) in row.chunks_exact_mut(4).zip(position.chunks_exact(4)).enumerate() {
                let values = words.weights.values(id / LANES, group, id % LANES);
                for ((x, q), position) in row.iter_mut().zip(values).zip(position) {
                    *x = f32::from(q) * scale + position;
                }
            }
            self.norm.rows(context, row, out);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_rows(&self.context, results, record)
    }
}

/// Rows to queries, keys and values: `[max_tokens][3][heads][head]`.
#[derive(Debug)]
pub(super) struct Qkv {
    context: Arc<Context>,
    smoothing: Smoothing,
    layer: LinearSpan,
}

impl Qkv {
    pub(super) fn new(context: &Arc<Context>, name: &str) -> Result<Self, FolderError> {
        let width = context.config().hidden_size;
        let layer = context.folder.linear_span(name, 3 * width, width, true)?;
        Ok(Self { smoothing: Smoothing::new(context, name)?, layer, context: Arc::clone(context) })
    }
}

impl Layer for Qkv {
    fn name(&self) -> &'static str {
        "Qkv"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map(&self.context, 3 * self.context.config().hidden_size)
    }

    fn scratch(&self) -> Option<TypedFact> {
        let width = self.context.config().hidden_size;
        Some(u8::fact([self.context.pool.threads() * RowScratch::bytes(width, width)]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (context, width) = (&self.context, self.context.config().hidden_size);
        let (x, layer) = (io.input::<f32>(0)?, context.folder.linear(&self.layer));
        let scratch = io.scratch::<u8>()?;
        for_rows(context, io.output::<f32>(0)?, 3 * width, scratch, |start, out, scratch| {
            let mut scratch = RowScratch::new(scratch, width, width)?;
            for (out, x) in out.chunks_mut(ROWS * 3 * width).zip(x[start * width..].chunks(ROWS * width)) {
                let rows = out.len() / (3 * width);
                let (mut quantized, smooth) = scratch.signed(rows, width);
                self.smoothing.quantize(context, &x[..rows * width], smooth, &mut quantized);
                linear(context.isa, quantized.as_rows(), quantized.scales, &layer, Finish::Store, out);
            }
            Ok(())
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_rows(&self.context, results, record)
    }
}

/// `norm(x + layer(attention))`.
#[derive(Debug)]
pub(super) struct AttentionOutput {
    context: Arc<Context>,
    layer: LinearSpan,
    norm: Norm,
}

impl AttentionOutput {
    pub(super) fn new(context: &Arc<Context>, name: &str) -> Result<Self, FolderError> {
        let width = context.config().hidden_size;
        let layer = context.folder.linear_span(name, width, width, true)?;
        Ok(Self { layer, norm: Norm::new(context, &format!("{name}.norm"))?, context: Arc::clone(context) })
    }
}

impl Layer for AttentionOutput {
    fn name(&self) -> &'static str {
        "AttentionOutput"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map(&self.context, self.context.config().hidden_size)
    }

    fn scratch(&self) -> Option<TypedFact> {
        let width = self.context.config().hidden_size;
        Some(u8::fact([self.context.pool.threads() * RowScratch::bytes(width, width)]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (context, width) = (&self.context, self.context.config().hidden_size);
        let (attention, x) = (io.input::<f32>(0)?, io.input::<f32>(1)?);
        let layer = context.folder.linear(&self.layer);
        let scratch = io.scratch::<u8>()?;
        for_rows(context, io.output::<f32>(0)?, width, scratch, |start, out, scratch| {
            let mut scratch = RowScratch::new(scratch, width, width)?;
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let first = (start + block * ROWS) * width;
                let rows = out.len() / width;
                let (mut quantized, sum) = scratch.signed(rows, width);
                quantize_rows(context.isa, &attention[first..][..out.len()], width, width, &mut quantized);
                let sum = &mut sum[..out.len()];
                sum.copy_from_slice(&x[first..][..out.len()]);
                linear(context.isa, quantized.as_rows(), quantized.scales, &layer, Finish::Add, sum);
                self.norm.rows(context, sum, out);
            }
            Ok(())
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_rows(&self.context, results, record)
    }
}

/// `norm(x + down(gelu(up(x))))`.
#[derive(Debug)]
pub(super) struct FeedForward {
    context: Arc<Context>,
    smoothing: Smoothing,
    up: LinearSpan,
    down: LinearSpan,
    /// Sums of the weights of `down`, whose rows are u8.
    sums: Arc<[i32]>,
    norm: Norm,
}

impl FeedForward {
    pub(super) fn new(context: &Arc<Context>, name: &str) -> Result<Self, FolderError> {
        let (width, inner) = (context.config().hidden_size, context.config().intermediate_size);
        let (up, down) = (format!("{name}.up"), format!("{name}.down"));
        let down_span = context.folder.linear_span(&down, width, inner, true)?;
        Ok(Self {
            smoothing: Smoothing::new(context, &up)?,
            up: context.folder.linear_span(&up, inner, width, true)?,
            sums: context.folder.weight_sums(&down, &down_span)?,
            down: down_span,
            norm: Norm::new(context, &format!("{name}.norm"))?,
            context: Arc::clone(context),
        })
    }

    /// `up` of smoothed rows, and `down` of what the activation makes of them, into `out`.
    fn rows(&self, x: &[f32], scratch: &mut FeedForwardScratch<'_>, out: &mut [f32]) {
        let Context { isa, folder, .. } = &*self.context;
        let (width, inner) = (self.context.config().hidden_size, self.context.config().intermediate_size);
        let rows = x.len() / width;
        let (mut quantized, smooth) = scratch.up.signed(rows, width);
        self.smoothing.quantize(&self.context, x, smooth, &mut quantized);
        let RowScratch { floats, values, scales, .. } = &mut scratch.down;
        let hidden = &mut floats[..rows * inner];
        linear(*isa, quantized.as_rows(), quantized.scales, &folder.linear(&self.up), Finish::Gelu, hidden);
        let mut unsigned = UnsignedRows::new(values, scales, rows, inner);
        quantize_offset_rows(*isa, hidden, inner, gelu_depth(), &mut unsigned);
        down(*isa, &unsigned, &folder.linear(&self.down), &self.sums, out);
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

    fn outputs(&self) -> TVec<TypedFact> {
        map(&self.context, self.context.config().hidden_size)
    }

    fn scratch(&self) -> Option<TypedFact> {
        let (width, inner) = (self.context.config().hidden_size, self.context.config().intermediate_size);
        Some(u8::fact([self.context.pool.threads() * (RowScratch::bytes(width, width) + RowScratch::bytes(inner, inner))]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let (context, x) = (&self.context, io.input::<f32>(0)?);
        let (width, inner) = (context.config().hidden_size, context.config().intermediate_size);
        let scratch = io.scratch::<u8>()?;
        for_rows(context, io.output::<f32>(0)?, width, scratch, |start, out, scratch| {
            let mut scratch =
                FeedForwardScratch { up: RowScratch::new(scratch, width, width)?, down: RowScratch::new(scratch, inner, inner)? };
            for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
                let x = &x[(start + block * ROWS) * width..][..out.len()];
                self.rows(x, &mut scratch, out);
                let sum = &mut scratch.up.floats[..out.len()];
                add(context.isa, x, out, sum);
                self.norm.rows(context, sum, out);
            }
            Ok(())
        })
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> TractResult<()> {
        record_rows(&self.context, results, record)
    }
}
