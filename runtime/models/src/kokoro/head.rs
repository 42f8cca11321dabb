//! Rows to spectra, and spectra to samples.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{FloatLinear, add};
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

use super::generator::{MOST, mean_rows};
use super::rows::Rows;

/// Samples of a window of the source and of the result.
pub const FRAME: usize = 20;
/// Samples from one window to the next.
pub const HOP: usize = 5;
/// Bins of a window's spectrum.
pub const BINS: usize = FRAME / 2 + 1;
/// Values of a spectrum: magnitudes, or their logarithms, and phases.
pub const SPECTRUM: usize = 2 * BINS;
/// Taps of the last convolution.
pub const TAPS: usize = 7;

/// Values of a row at all taps, rounded up.
pub const PRODUCTS: usize = (TAPS * SPECTRUM).next_multiple_of(LANES);
/// Samples of a window, rounded up.
pub const WINDOW: usize = FRAME.next_multiple_of(LANES);
/// Windows over a sample.
const OVER: usize = FRAME / HOP;
/// What is multiplied below zero before the last convolution.
const SLOPE: f32 = 0.01;
/// Logarithms of magnitudes above this count as this, so that a broken model's samples are finite.
const MOST_LOG: f32 = 16.0;
/// Rows on each side of one that the last convolution sees.
const REACH: usize = TAPS / 2;
/// Hops that are computed at once.
const HOPS: usize = ROWS;
/// Windows of these hops, and rows that those see.
const FRAMES: usize = HOPS + OVER - 1;
const SEEN: usize = FRAMES + TAPS - 1;

/// The mean of the inputs, `[rows][width]` each, to samples `[rows - 1][5]`: a convolution gives the logarithm of a magnitude and a phase of each
/// bin, `exp(m) e^(i sin(p))`, windows of which are added up.
#[derive(Debug)]
pub(super) struct Head {
    rows: Rows,
    layer: FloatLinear,
    /// `[22]`, rounded up.
    bias: Span,
    /// `[32][32]`: real parts, then imaginary ones, to samples of a window.
    basis: Span,
    inputs: usize,
    width: usize,
}

impl Head {
    /// Tensors `NAME.weight`, `[width][160]` with all taps of a value next to one another, `NAME.bias`, `NAME.spectrum_bias` and `NAME.basis`.
    pub(super) fn new(weights: &Weights, name: &str, rows: &Rows, inputs: usize, width: usize) -> Result<Self, FolderError> {
        Ok(Self {
            rows: rows.clone(),
            layer: FloatLinear::new(weights, name, width, PRODUCTS)?,
            bias: weights.f32_span(&format!("{name}.spectrum_bias"), &[2 * LANES])?,
            basis: weights.f32_span(&format!("{name}.basis"), &[2 * LANES, WINDOW])?,
            inputs,
            width,
        })
    }

    fn hops(&self) -> usize {
        self.rows.count() - 1
    }
}

/// `exp(m) e^(i sin(p))` of rows `[2][16]`, in place: real parts, then imaginary ones.
struct Spectra<'a>(&'a mut [f32]);

impl SimdOp for Spectra<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let turn = s.splat(std::f32::consts::FRAC_1_PI / 2.0);
        let most = s.splat((1 << 18) as f32);
        for [real, imaginary] in self.0.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0 {
            let magnitude = math::exp(s, s.min(s.load(real), s.splat(MOST_LOG)));
            let phase = s.mul(s.load(imaginary), turn);
            let phase = s.min(s.max(phase, s.neg(most)), most);
            let angle = math::sin_cos_turns(s, phase).0;
            let (sine, cosine) = math::sin_cos_turns(s, s.mul(angle, turn));
            s.store(s.mul(magnitude, cosine), real);
            s.store(s.mul(magnitude, sine), imaginary);
        }
    }
}

impl Layer for Head {
    fn name(&self) -> &'static str {
        "Head"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows.most() - 1, HOP])]
    }

    fn scratch(&self) -> Need {
        let need = Need::default().shared::<f32>(WINDOW).thread::<f32>(SEEN * self.width).thread::<f32>(SEEN * PRODUCTS);
        need.thread::<f32>(FRAMES * 2 * LANES).thread::<f32>(FRAMES * WINDOW)
    }

    fn work(&self) -> Work {
        let macs = self.width * PRODUCTS + 2 * LANES * WINDOW;
        let row = Units { float_mac: macs as f64, gelu: (3 * LANES) as f64, ..Units::default() };
        Work::default().and(self.rows.count(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (rows, width, hops, isa) = (self.rows.count(), self.width, self.hops(), session.isa());
        let mut inputs: [&[f32]; MOST] = [&[]; MOST];
        let inputs = inputs.get_mut(..self.inputs).ok_or(GraphError::Layer("a mean of too many inputs"))?;
        for (at, input) in inputs.iter_mut().enumerate() {
            *input = &io.input::<f32>(at)?[..rows * width];
        }
        let (inputs, zeros) = (&*inputs, io.scratch::<f32>(WINDOW));
        zeros.fill(0.0);
        let (bias, basis, zeros) = (session.weights().f32s(&self.bias), session.weights().f32s(&self.basis), &*zeros);
        let out = &mut io.output::<f32>(0)?[..hops * HOP];
        session.for_rows(&io.thread_scratch(), out, HOP, |scratch, start, out| {
            let active = scratch.take::<f32>(SEEN * width);
            let products = scratch.take::<f32>(SEEN * PRODUCTS);
            let spectra = scratch.take::<f32>(FRAMES * 2 * LANES);
            let windows = scratch.take::<f32>(FRAMES * WINDOW);
            // Half a window is trimmed: hop `start` begins in the middle of window `start`, and the window two before it reaches it too.
            let first = start as isize - (OVER / 2 - 1) as isize;
            let frames = out.len() / HOP + OVER - 1;
            let seen = first - REACH as isize;
            // Rows that there are not stay out: they count as zeros.
            let (from, to) = (seen.max(0).cast_unsigned(), rows.min((seen + (frames + TAPS - 1) as isize).cast_unsigned()));
            let active = &mut active[..(to - from) * width];
            mean_rows(inputs, from, SLOPE, active, width);
            let products = &mut products[..(to - from) * PRODUCTS];
            self.layer.rows(session, active, products);
            for (i, spectrum) in spectra.chunks_exact_mut(2 * LANES).take(frames).enumerate() {
                spectrum.copy_from_slice(bias);
                for tap in 0..TAPS {
                    let row = first + (i + tap) as isize - REACH as isize;
                    if row < from as isize || row >= to as isize {
                        continue;
                    }
                    let values = &products[(row.cast_unsigned() - from) * PRODUCTS + tap * SPECTRUM..][..SPECTRUM];
                    let (magnitudes, phases) = spectrum.split_at_mut(LANES);
                    add(&mut magnitudes[..BINS], &values[..BINS]);
                    add(&mut phases[..BINS], &values[BINS..]);
                }
            }
            let spectra = &mut spectra[..frames * 2 * LANES];
            isa.dispatch(Spectra(spectra));
            let windows = &mut windows[..frames * WINDOW];
            multiply_rows(isa, spectra, basis, zeros, windows);
            for (i, out) in out.chunks_exact_mut(HOP).enumerate() {
                out.fill(0.0);
                for over in 0..OVER {
                    // From the earliest window on, of which the hop is the last part.
                    let frame = first + (i + over) as isize;
                    if (0..rows as isize).contains(&frame) {
                        add(out, &windows[(i + over) * WINDOW + (OVER - 1 - over) * HOP..][..HOP]);
                    }
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let samples = self.hops() * HOP;
        record.tensor("", &[samples], Values::F32(&results.output::<f32>(0)?[..samples]));
        Ok(())
    }
}
