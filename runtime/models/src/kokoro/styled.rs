//! Convolutions after a normalisation whose factors and shifts come from a style (Huang and Belongie 2017, "Adaptive instance normalization").
//!
//! Channels are normalised over all rows of a piece: it has to be there as a whole.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{BLOCK, TapBuffers, Taps};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::channels::{Bend, channel_moments, normalize_channels};
use ossicle_kernels::rows::EPSILON;

use super::rows::Rows;
use super::text::Styling;

/// Rows whose moments are taken at once: few enough for a cache, always the same ones.
const MOMENT_ROWS: usize = 256;

/// Rows that are quantised at once: many, as a convolution sees those around them too.
const QUANTIZED: usize = 4 * BLOCK;

/// Mean, factor and shift of each channel: inputs rows `[rows][width]` and `[style]`, to `[3][width]`.
#[derive(Debug)]
pub(super) struct Affine {
    pub(super) rows: Rows,
    pub(super) styling: Styling,
    pub(super) width: usize,
    pub(super) style: usize,
}

impl Layer for Affine {
    fn name(&self) -> &'static str {
        "Affine"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([3, self.width])]
    }

    fn scratch(&self) -> Need {
        let parts = self.rows.most().div_ceil(MOMENT_ROWS);
        self.styling.need(Need::default().shared::<f32>(parts * 2 * self.width))
    }

    fn work(&self) -> Work {
        Work::default().and(self.rows.count(), Units { normalize: self.width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (width, count) = (self.width, self.rows.count());
        let (x, style) = (&io.input::<f32>(0)?[..count * width], &io.input::<f32>(1)?[..self.style]);
        let most = self.rows.most().div_ceil(MOMENT_ROWS);
        let parts = &mut io.scratch::<f32>(most * 2 * width)[..count.div_ceil(MOMENT_ROWS) * 2 * width];
        let (threads, out) = (io.thread_scratch(), io.output::<f32>(0)?);
        session.for_parts(&threads, parts, 2 * width, |_, start, parts| {
            let blocks = x.chunks(MOMENT_ROWS * width).skip(start);
            parts.chunks_exact_mut(2 * width).zip(blocks).for_each(|(part, block)| channel_moments(session.isa(), block, part));
        });
        let (means, rest) = out.split_at_mut(width);
        self.styling.run(session, &threads, style, rest);
        for (c, (mean, factor)) in means.iter_mut().zip(rest).enumerate() {
            // As Chan, Golub and LeVeque (1979) join the moments of parts.
            let (mut all, mut squares, mut before) = (0.0, 0.0, 0.0);
            for (i, part) in parts.chunks_exact(2 * width).enumerate() {
                let own = MOMENT_ROWS.min(count - i * MOMENT_ROWS) as f64;
                let (rows, delta) = (before + own, f64::from(part[c]) - all);
                all += delta * (own / rows);
                squares += f64::from(part[width + c]) + delta * delta * (before * own / rows);
                before = rows;
            }
            *mean = all as f32;
            *factor = (f64::from(*factor) / (squares / before + f64::from(EPSILON)).sqrt()) as f32;
        }
        Ok(())
    }
}

/// What is applied after a normalisation.
#[derive(Clone, Debug)]
pub(super) enum Activation {
    Leaky(f32),
    Snake { turns: Span, inverse: Span },
}

impl Activation {
    /// Tensors `NAME.turns` and `NAME.inverse`, `[width]`.
    pub(super) fn snake(weights: &Weights, name: &str, width: usize) -> Result<Self, FolderError> {
        let span = |part: &str| weights.f32_span(&format!("{name}.{part}"), &[width]);
        Ok(Self::Snake { turns: span("turns")?, inverse: span("inverse")? })
    }

    fn bend<'s>(&self, session: &'s Session) -> Bend<'s> {
        match self {
            Self::Leaky(slope) => Bend::Leaky(*slope),
            Self::Snake { turns, inverse } => {
                Bend::Snake { turns: session.weights().f32s(turns), inverse: session.weights().f32s(inverse) }
            }
        }
    }
}

/// What a convolution's result is added to: the last input, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residual {
    None,
    /// It is read later too.
    Kept,
    /// It is not, and its memory is taken over.
    TakenOver,
}

/// `factor * (residual + convolution(activation(normalised x)))`: inputs rows `[rows][inputs]`, then `[3][inputs]` if they are normalised, then the
/// residual `[rows][outputs]`; to `[rows][outputs]`.
#[derive(Debug)]
pub(super) struct StyledConv {
    pub(super) rows: Rows,
    pub(super) taps: Taps,
    /// None of rows that are taken as they are.
    pub(super) activation: Option<Activation>,
    pub(super) residual: Residual,
    pub(super) factor: f32,
}

impl StyledConv {
    fn residual_input(&self) -> usize {
        1 + usize::from(self.activation.is_some())
    }
}

impl Layer for StyledConv {
    fn name(&self) -> &'static str {
        "StyledConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows.most(), self.taps.shape().outputs])]
    }

    fn in_place(&self) -> Option<usize> {
        (self.residual == Residual::TakenOver).then(|| self.residual_input())
    }

    fn scratch(&self) -> Need {
        TapBuffers::need(Need::default(), QUANTIZED + 2 * self.taps.reach(), self.taps.shape().inputs)
    }

    fn work(&self) -> Work {
        let (rows, inputs) = (self.rows.count(), self.taps.shape().inputs as f64);
        let normalized = if self.activation.is_some() { inputs } else { 0.0 };
        self.taps.work(rows).and(rows, Units { normalize: normalized, gelu: normalized, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (width, wide, reach, rows) = (self.taps.shape().inputs, self.taps.shape().outputs, self.taps.reach(), self.rows.count());
        let x = io.input::<f32>(0)?;
        let normal = match &self.activation {
            Some(activation) => Some((io.input::<f32>(1)?, activation.bend(session))),
            None => None,
        };
        let kept = if self.residual == Residual::Kept { Some(io.input::<f32>(self.residual_input())?) } else { None };
        let out = &mut io.output::<f32>(0)?[..rows * wide];
        session.for_parts(&io.thread_scratch(), out, wide, |scratch, start, out| {
            for (block, out) in out.chunks_mut(QUANTIZED * wide).enumerate() {
                let (first, count) = (start + block * QUANTIZED, out.len() / wide);
                let mut buffers = TapBuffers::take(&mut scratch.again(), QUANTIZED + 2 * reach, width);
                let (from, to) = (first.saturating_sub(reach), rows.min(first + count + reach));
                let lead = from + reach - first;
                buffers.clear(0..lead);
                buffers.put(session, lead, to - from, |at, rows| {
                    let x = &x[(from + at) * width..][..rows.len()];
                    match normal {
                        Some((affine, bend)) => normalize_channels(session.isa(), x, affine, bend, rows),
                        None => rows.copy_from_slice(x),
                    }
                });
                buffers.clear(lead + to - from..count + 2 * reach);
                for (part, out) in out.chunks_mut(BLOCK * wide).enumerate() {
                    if let Some(kept) = kept {
                        out.copy_from_slice(&kept[(first + part * BLOCK) * wide..][..out.len()]);
                    }
                    self.taps.run(session, &buffers, part * BLOCK, self.residual != Residual::None, out);
                    if self.factor != 1.0 {
                        out.iter_mut().for_each(|value| *value *= self.factor);
                    }
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        self.rows.record(results, record)
    }
}

/// Taps of a channel's own transposed convolution.
const POOL: usize = 3;

/// A transposed convolution of stride 2, each channel by itself, of normalised rows: inputs rows `[rows][width]` and `[3][width]`, to
/// `[2 * rows][width]`.
#[derive(Debug)]
pub(super) struct Pool {
    rows: Rows,
    /// `[3][width]`
    filters: Span,
    bias: Span,
    width: usize,
    slope: f32,
}

impl Pool {
    pub(super) fn new(weights: &Weights, name: &str, rows: &Rows, width: usize, slope: f32) -> Result<Self, FolderError> {
        let filters = weights.f32_span(&format!("{name}.weight"), &[POOL, width])?;
        Ok(Self { rows: rows.clone(), filters, bias: weights.f32_span(&format!("{name}.bias"), &[width])?, width, slope })
    }
}

impl Layer for Pool {
    fn name(&self) -> &'static str {
        "Pool"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([2 * self.rows.most(), self.width])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(2 * self.width)
    }

    fn work(&self) -> Work {
        let row = Units { filter_mac: (POOL * self.width) as f64, normalize: 2.0 * self.width as f64, ..Units::default() };
        Work::default().and(self.rows.count(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (width, rows) = (self.width, self.rows.count());
        let (x, affine) = (&io.input::<f32>(0)?[..rows * width], io.input::<f32>(1)?);
        let (filters, bias) = (session.weights().f32s(&self.filters), session.weights().f32s(&self.bias));
        let [first, second, third] = [0, 1, 2].map(|tap| &filters[tap * width..][..width]);
        let out = &mut io.output::<f32>(0)?[..2 * rows * width];
        session.for_parts(&io.thread_scratch(), out, 2 * width, |scratch, start, out| {
            let (mut own, mut next) = scratch.again().take::<f32>(2 * width).split_at_mut(width);
            let row = |i: usize, to: &mut [f32]| match x.get(i * width..(i + 1) * width) {
                Some(x) => normalize_channels(session.isa(), x, affine, Bend::Leaky(self.slope), to),
                None => to.fill(0.0),
            };
            row(start, own);
            for (i, out) in out.chunks_exact_mut(2 * width).enumerate() {
                row(start + i + 1, next);
                let (even, odd) = out.split_at_mut(width);
                for c in 0..width {
                    even[c] = own[c] * second[c] + bias[c];
                    odd[c] = own[c] * third[c] + next[c] * first[c] + bias[c];
                }
                std::mem::swap(&mut own, &mut next);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        Rows::record(&self.rows.twice(), results, record)
    }
}

/// Each row twice: `[rows][width]` to `[2 * rows][width]`.
#[derive(Debug)]
pub(super) struct Twice {
    pub(super) rows: Rows,
    pub(super) width: usize,
}

impl Layer for Twice {
    fn name(&self) -> &'static str {
        "Twice"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([2 * self.rows.most(), self.width])]
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = &io.input::<f32>(0)?[..self.rows.count() * self.width];
        for (x, out) in x.chunks_exact(self.width).zip(io.output::<f32>(0)?.chunks_exact_mut(2 * self.width)) {
            let (first, second) = out.split_at_mut(self.width);
            first.copy_from_slice(x);
            second.copy_from_slice(x);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        Rows::record(&self.rows.twice(), results, record)
    }
}

/// Rows of several inputs next to one another: `[rows][width]` each, to `[rows][sum of widths]`.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) rows: Rows,
    pub(super) widths: Vec<usize>,
}

impl Layer for Join {
    fn name(&self) -> &'static str {
        "Join"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows.most(), self.widths.iter().sum()])]
    }

    fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let wide: usize = self.widths.iter().sum();
        let out = &mut io.output::<f32>(0)?[..self.rows.count() * wide];
        let mut at = 0;
        for (input, &width) in self.widths.iter().enumerate() {
            let x = io.input::<f32>(input)?;
            for (out, x) in out.chunks_exact_mut(wide).zip(x.chunks_exact(width)) {
                out[at..at + width].copy_from_slice(x);
            }
            at += width;
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        self.rows.record(results, record)
    }
}
