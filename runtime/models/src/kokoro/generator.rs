//! The generator's own layers: upsampling, and spectra to samples.

use std::ops::Range;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{BLOCK, TapBuffers, add, leaky_relu};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, LinearSpan, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;

use super::rows::Rows;

/// Row `row` of the mean of maps of `width` values a row, below zero times `slope`.
pub(super) fn mean_rows(inputs: &[&[f32]], first: usize, slope: f32, out: &mut [f32], width: usize) {
    let own = first * width..first * width + out.len();
    let Some((one, others)) = inputs.split_first() else { return };
    out.copy_from_slice(&one[own.clone()]);
    for other in others {
        add(out, &other[own.clone()]);
    }
    if !others.is_empty() {
        let count = inputs.len() as f32;
        out.iter_mut().for_each(|value| *value /= count);
    }
    leaky_relu(out, slope);
}

/// A transposed convolution of `leaky(x)`, `x` the mean of the first inputs, `[rows][width]` each: a window of twice the stride, of whose results half a
/// stride is trimmed at each end. Where the source has a row more than that, its second row comes before the first. It is added to the last
/// input, the source, which is taken over.
#[derive(Debug)]
pub(super) struct Grow {
    input: Rows,
    output: Rows,
    /// As [`Upsample`](ossicle_engine::layers::Upsample)'s.
    layer: LinearSpan,
    inputs: usize,
    width: usize,
    wide: usize,
    stride: usize,
    /// Rows before the first.
    more: usize,
    slope: f32,
}

impl Grow {
    /// Tensors `NAME.weight`, `NAME.weight_scale` and `NAME.bias`, over the mean of `inputs` inputs of `width` values a row, to rows of `wide`.
    pub(super) fn new(
        weights: &Weights,
        name: &str,
        [input, output]: [&Rows; 2],
        (inputs, width, wide): (usize, usize, usize),
        (stride, slope): (usize, f32),
    ) -> Result<Self, FolderError> {
        let layer = weights.linear_span(name, 2 * stride * wide, width, true)?;
        let more = output.most() - stride * input.most();
        Ok(Self { input: input.clone(), output: output.clone(), layer, inputs, width, wide, stride, more, slope })
    }

    /// Adds the results of rows `first ..` to `out`.
    fn rows(&self, session: &Session, x: &[&[f32]], first: usize, buffers: &mut TapBuffers<'_>, out: &mut [f32], finish: Finish) {
        let (width, all) = (self.width, self.stride * self.wide);
        let (rows, count) = (self.input.count(), out.len() / all);
        let (from, to) = (first.saturating_sub(1), rows.min(first + count + 1));
        let lead = from + 1 - first;
        buffers.clear(0..lead);
        buffers.put(session, lead, to - from, |at, out| mean_rows(x, from + at, self.slope, out, width));
        buffers.clear(lead + to - from..count + 2);
        let (layer, half) = (session.weights().linear(&self.layer), all / 2);
        let part = |range: Range<usize>| layer.slice(range.start / LANES..range.end / LANES);
        buffers.multiply(session, 1, &part(0..all), finish, all, out);
        buffers.multiply(session, 0, &part(all..all + half), Finish::Add, all, out);
        buffers.multiply(session, 2, &part(all + half..2 * all), Finish::Add, all, &mut out[half..]);
    }
}

impl Layer for Grow {
    fn name(&self) -> &'static str {
        "Grow"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.output.most(), self.wide])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(self.inputs)
    }

    fn scratch(&self) -> Need {
        let before = if self.more > 0 { self.stride * self.wide } else { 0 };
        TapBuffers::need(Need::default(), BLOCK + 2, self.width).shared::<f32>(before)
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.width as f64, ..Units::default() };
        Work::product(self.input.count(), self.width, 2 * self.stride * self.wide).and(self.input.count(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (rows, all) = (self.input.count(), self.stride * self.wide);
        let mut inputs: [&[f32]; MOST] = [&[]; MOST];
        let inputs = inputs.get_mut(..self.inputs).ok_or(GraphError::Layer("a mean of too many inputs"))?;
        for (at, input) in inputs.iter_mut().enumerate() {
            *input = &io.input::<f32>(at)?[..rows * self.width];
        }
        let (inputs, threads) = (&*inputs, io.thread_scratch());
        let first = io.scratch::<f32>(if self.more > 0 { all } else { 0 });
        let (before, out) = io.output::<f32>(0)?[..self.output.count() * self.wide].split_at_mut(self.more * self.wide);
        if self.more > 0 {
            let mut memory = threads.of(0);
            let mut buffers = TapBuffers::take(&mut memory.take_all(), BLOCK + 2, self.width);
            self.rows(session, inputs, 0, &mut buffers, first, Finish::Store);
            add(before, &first[self.wide..2 * self.wide]);
        }
        session.for_parts(&threads, out, all, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * all).enumerate() {
                let mut buffers = TapBuffers::take(&mut scratch.again(), BLOCK + 2, self.width);
                self.rows(session, inputs, start + block * BLOCK, &mut buffers, out, Finish::Add);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        self.output.record(results, record)
    }
}

/// Most inputs whose mean is taken.
pub(super) const MOST: usize = 8;
