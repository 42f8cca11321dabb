//! The source: harmonics of a pitch, and their spectra.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::FloatLinear;
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::math;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::simd::{LANES, Simd, SimdOp};
use ossicle_trace::Values;

use super::head::{BINS, FRAME, HOP, SPECTRUM};
use super::rows::Rows;

/// Harmonics of the pitch, itself included.
pub const HARMONICS: usize = 9;

/// Values of a row of real parts, then of imaginary ones, each rounded up to whole vectors.
pub const PARTS: usize = 2 * LANES;

/// Pitch in hertz above which there is a voice.
const VOICED: f32 = 10.0;

/// How loud a harmonic is.
const AMPLITUDE: f32 = 0.1;

/// Rows to one value each, in f32: `[rows][width]` to `[rows][1]`.
#[derive(Debug)]
pub(super) struct ToValue {
    pub(super) flow: Flow,
    pub(super) layer: FloatLinear,
    pub(super) width: usize,
}

impl Layer for ToValue {
    fn name(&self) -> &'static str {
        "ToValue"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), 1])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(ROWS * LANES)
    }

    fn work(&self) -> Work {
        Work::default().and(self.flow.rows(), Units { float_mac: (self.width * LANES) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let x = io.input::<f32>(0)?;
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end];
        session.for_rows(&io.thread_scratch(), out, 1, |scratch, start, out| {
            let values = &mut scratch.take::<f32>(ROWS * LANES)[..out.len() * LANES];
            self.layer.rows(session, &x[start * self.width..][..out.len() * self.width], values);
            out.iter_mut().zip(values.chunks_exact(LANES)).for_each(|(out, values)| *out = values[0]);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        Rows::new(&self.flow, 0).record(results, record)
    }
}

/// Pitch and energy of half frames, each through a convolution of three taps and stride 2: inputs `[2 * frames][1]` twice, to `[frames][16]`, of
/// which the first two are not zero.
#[derive(Debug)]
pub(super) struct Curves {
    pub(super) flow: Flow,
    /// `[2][16]`: three taps and the bias of each.
    pub(super) filters: Span,
}

impl Layer for Curves {
    fn name(&self) -> &'static str {
        "Curves"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), LANES])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (filters, frames) = (session.weights().f32s(&self.filters), self.flow.inside().end);
        let out = &mut io.output::<f32>(0)?[..frames * LANES];
        out.fill(0.0);
        for (curve, filter) in filters.chunks_exact(LANES).enumerate() {
            let x = &io.input::<f32>(curve)?[..2 * frames];
            for (frame, out) in out.chunks_exact_mut(LANES).enumerate() {
                let before = if frame == 0 { 0.0 } else { x[2 * frame - 1] };
                out[curve] = filter[3] + before * filter[0] + x[2 * frame] * filter[1] + x[2 * frame + 1] * filter[2];
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        Rows::new(&self.flow, 0).record(results, record)
    }
}

/// Spectra of the harmonics of a pitch: `[2 * frames][1]` hertz to `[rows + 1][22]`, magnitudes and phases of eleven bins, a row every five samples.
///
/// A harmonic's phase goes in a straight line from the middle of one half frame to that of the next, and stands still before the first and after the
/// last.
#[derive(Debug)]
pub(super) struct Source {
    /// Half frames.
    flow: Flow,
    /// Samples of a half frame.
    samples: usize,
    rate: f32,
    /// What each harmonic is worth, and the sum's bias: `[16]`.
    mix: Span,
    /// `[20][32]`: window and transform.
    basis: Span,
}

impl Source {
    pub(super) fn new(weights: &Weights, name: &str, flow: &Flow, samples: usize, rate: usize) -> Result<Self, FolderError> {
        Ok(Self {
            flow: flow.clone(),
            samples,
            rate: rate as f32,
            mix: weights.f32_span(&format!("{name}.mix"), &[LANES])?,
            basis: weights.f32_span(&format!("{name}.basis"), &[FRAME, PARTS])?,
        })
    }

    fn rows(&self) -> Rows {
        Rows::new(&self.flow.repeated(self.samples / HOP), 1)
    }

    /// Samples of a half frame, rounded up to whole vectors of each half.
    fn padded(&self) -> usize {
        2 * (self.samples / 2).next_multiple_of(LANES)
    }

    /// Phases of harmonics in the middle of half frames, in turns, `[half frames][9]`.
    fn phases(&self, pitch: &[f32], out: &mut [f32]) {
        let mut phases = [0.0_f64; HARMONICS];
        for (pitch, out) in pitch.iter().zip(out.chunks_exact_mut(HARMONICS)) {
            for (harmonic, (phase, out)) in phases.iter_mut().zip(out).enumerate() {
                let turns = *phase + f64::from(self.step(*pitch, harmonic)) * self.samples as f64;
                *phase = turns - turns.floor();
                *out = *phase as f32;
            }
        }
    }

    /// Turns of a harmonic in a sample.
    fn step(&self, pitch: f32, harmonic: usize) -> f32 {
        let turns = pitch * (harmonic + 1) as f32 / self.rate;
        turns - turns.floor()
    }

    /// The samples of a half frame.
    fn half_frame(&self, session: &Session, (pitch, phases): (&[f32], &[f32]), at: usize, padded: &mut [f32], out: &mut [f32]) {
        let half = self.samples / 2;
        let mix = session.weights().f32s(&self.mix);
        for (side, (out, padded)) in out.chunks_exact_mut(half).zip(padded.chunks_exact_mut(self.padded() / 2)).enumerate() {
            // From the middle of the half frame before, or of this one.
            let from = (at + side).checked_sub(1);
            let mut starts = [[0.0; 2]; HARMONICS];
            for (harmonic, start) in starts.iter_mut().enumerate() {
                let phase = |i: usize| phases[i * HARMONICS + harmonic];
                let step = |i: usize| self.step(pitch[i], harmonic);
                *start = match from {
                    None => [phase(0), 0.0],
                    Some(from) if from + 1 < pitch.len() => [phase(from), step(from + 1)],
                    Some(from) => [phase(from), 0.0],
                };
            }
            let first = if side == 0 { half as f32 } else { 0.0 };
            session.isa().dispatch(Sines { starts: &starts, first, mix, voiced: pitch[at] > VOICED, out: padded });
            out.copy_from_slice(&padded[..half]);
        }
    }
}

/// `tanh(bias + sum of mixed sines)` at `first`, `first + 1` and so on, half a sample later each.
struct Sines<'a> {
    /// Phase and step of each harmonic.
    starts: &'a [[f32; 2]; HARMONICS],
    first: f32,
    mix: &'a [f32],
    voiced: bool,
    out: &'a mut [f32],
}

impl SimdOp for Sines<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let places: [f32; LANES] = std::array::from_fn(|i| i as f32 + 0.5);
        for (vector, out) in self.out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let at = s.add(s.load(&places), s.splat(self.first + (vector * LANES) as f32));
            let mut sum = s.splat(self.mix[HARMONICS]);
            if self.voiced {
                for ([phase, step], mix) in self.starts.iter().zip(self.mix) {
                    let turns = s.fma(at, s.splat(*step), s.splat(*phase));
                    let sine = s.mul(math::sin_cos_turns(s, turns).0, s.splat(AMPLITUDE));
                    sum = s.fma(sine, s.splat(*mix), sum);
                }
            }
            s.store(math::tanh(s, sum), out);
        }
    }
}

/// Magnitudes and phases of rows of real and imaginary parts; each may be over the row that it is made of.
struct Polar<'a> {
    /// `[rows][32]`
    parts: &'a mut [f32],
}

impl SimdOp for Polar<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for [real, imaginary] in self.parts.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0 {
            let (x, y) = (s.load(real), s.load(imaginary));
            s.store(s.sqrt(s.fma(x, x, s.mul(y, y))), real);
            s.store(math::angle(s, y, x), imaginary);
        }
    }
}

/// Sample `at` of `x` mirrored at its ends.
fn mirrored(x: &[f32], at: isize) -> f32 {
    let last = x.len() as isize - 1;
    let at = if at < 0 { -at } else { at };
    x[(if at > last { 2 * last - at } else { at }).clamp(0, last).cast_unsigned()]
}

impl Layer for Source {
    fn name(&self) -> &'static str {
        "Source"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows().most(), SPECTRUM])]
    }

    fn scratch(&self) -> Need {
        let halves = self.flow.chunk();
        let need = Need::default().shared::<f32>(halves * HARMONICS).shared::<f32>(halves * self.samples).shared::<f32>(PARTS);
        need.thread::<f32>(self.padded()).thread::<f32>(ROWS * FRAME).thread::<f32>(ROWS * PARTS)
    }

    fn work(&self) -> Work {
        let sample = Units { gelu: (HARMONICS + 1) as f64, ..Units::default() };
        let row = Units { float_mac: (FRAME * PARTS) as f64, gelu: PARTS as f64, ..Units::default() };
        Work::default().and(self.flow.rows() * self.samples, sample).and(self.rows().count(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (halves, length) = (self.flow.inside().end, self.samples);
        let pitch = &io.input::<f32>(0)?[..halves];
        let phases = &mut io.scratch::<f32>(self.flow.chunk() * HARMONICS)[..halves * HARMONICS];
        let samples = &mut io.scratch::<f32>(self.flow.chunk() * length)[..halves * length];
        let zeros = io.scratch::<f32>(PARTS);
        zeros.fill(0.0);
        self.phases(pitch, phases);
        let (phases, zeros, threads) = (&*phases, &*zeros, io.thread_scratch());
        session.for_parts(&threads, samples, length, |scratch, start, out| {
            let padded = scratch.again().take::<f32>(self.padded());
            for (i, out) in out.chunks_exact_mut(length).enumerate() {
                self.half_frame(session, (pitch, phases), start + i, padded, out);
            }
        });
        let (samples, basis) = (&*samples, session.weights().f32s(&self.basis));
        let out = &mut io.output::<f32>(0)?[..self.rows().count() * SPECTRUM];
        session.for_rows(&threads, out, SPECTRUM, |scratch, start, out| {
            let rows = out.len() / SPECTRUM;
            let _: &mut [f32] = scratch.take(self.padded());
            let frames = &mut scratch.take::<f32>(ROWS * FRAME)[..rows * FRAME];
            let parts = &mut scratch.take::<f32>(ROWS * PARTS)[..rows * PARTS];
            for (i, frame) in frames.chunks_exact_mut(FRAME).enumerate() {
                let first = ((start + i) * HOP) as isize - (FRAME / 2) as isize;
                frame.iter_mut().zip(first..).for_each(|(value, at)| *value = mirrored(samples, at));
            }
            multiply_rows(session.isa(), frames, basis, zeros, parts);
            session.isa().dispatch(Polar { parts });
            for (out, parts) in out.chunks_exact_mut(SPECTRUM).zip(parts.chunks_exact(PARTS)) {
                out[..BINS].copy_from_slice(&parts[..BINS]);
                out[BINS..].copy_from_slice(&parts[LANES..][..BINS]);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let (rows, values) = (self.rows().count(), results.output::<f32>(0)?);
        record.tensor("", &[rows, SPECTRUM], Values::F32(&values[..rows * SPECTRUM]));
        Ok(())
    }
}

/// A convolution of the source's spectra in f32: `[rows][22]` to `[rows of the generator][outputs]`.
#[derive(Debug)]
pub(super) struct SourceConv {
    /// What comes out.
    rows: Rows,
    /// What goes in.
    source: Rows,
    layer: FloatLinear,
    outputs: usize,
    window: usize,
    stride: usize,
    /// Rows of zeros before the first.
    before: usize,
}

impl SourceConv {
    /// Tensors `NAME.weight`, `[window * 22][outputs]`, and `NAME.bias`. A window of twice the stride, or of one row.
    pub(super) fn new(
        weights: &Weights,
        name: &str,
        [source, rows]: [&Rows; 2],
        outputs: usize,
        stride: usize,
    ) -> Result<Self, FolderError> {
        let (window, before) = if stride == 1 { (1, 0) } else { (2 * stride, stride / 2) };
        let layer = FloatLinear::new(weights, name, window * SPECTRUM, outputs)?;
        Ok(Self { rows: rows.clone(), source: source.clone(), layer, outputs, window, stride, before })
    }
}

impl Layer for SourceConv {
    fn name(&self) -> &'static str {
        "SourceConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows.most(), self.outputs])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(ROWS * self.window * SPECTRUM)
    }

    fn work(&self) -> Work {
        let row = Units { float_mac: (self.window * SPECTRUM * self.outputs) as f64, ..Units::default() };
        Work::default().and(self.rows.count(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, depth) = (&io.input::<f32>(0)?[..self.source.count() * SPECTRUM], self.window * SPECTRUM);
        let out = &mut io.output::<f32>(0)?[..self.rows.count() * self.outputs];
        session.for_rows(&io.thread_scratch(), out, self.outputs, |scratch, start, out| {
            let rows = out.len() / self.outputs;
            let windows = &mut scratch.take::<f32>(ROWS * depth)[..rows * depth];
            for (i, window) in windows.chunks_exact_mut(depth).enumerate() {
                for (tap, to) in window.chunks_exact_mut(SPECTRUM).enumerate() {
                    let at = ((start + i) * self.stride + tap).checked_sub(self.before);
                    match at.and_then(|at| x.get(at * SPECTRUM..(at + 1) * SPECTRUM)) {
                        Some(row) => to.copy_from_slice(row),
                        None => to.fill(0.0),
                    }
                }
            }
            self.layer.rows(session, windows, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        self.rows.record(results, record)
    }
}
