//! Whisper's log-mel features, as openai-whisper's `log_mel_spectrogram` defines them.
//!
//! Frame `t` is centred on sample `160 t`: it sees the 200 samples before and the 200 samples from there on. Before the recording the
//! samples are mirrored, behind it there is silence. Features are frame-major, `[frames][bins]`: first log10 of the mel power, then
//! normalised over a window by [`normalise`].
//!
//! ```
//! use ossicle_frontend::mel::{LogMel, MelScratch};
//! use ossicle_kernels::simd::Isa;
//!
//! let mel = LogMel::new(Isa::detect(), 80)?;
//! let mut scratch = Box::new(MelScratch::new());
//! let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.1).sin()).collect();
//! let mut window = vec![0.0; 3000 * 80];
//! let audible = mel.window(&tone, 0, &mut window, &mut scratch)?;
//! assert_eq!(audible, 102);
//! # Ok::<(), ossicle_frontend::mel::MelError>(())
//! ```

use core::fmt;

use ossicle_kernels::math;
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use crate::arith::{Arith, Lanes, One, Wide};
use crate::fft::{FFT_SAMPLES, POINTS, POWER_BINS, Source, power_spectrum};
use crate::tables::{mel80, mel128};

pub use crate::stream::LogMelStream;

/// Samples from one frame to the next: 10 ms.
pub const HOP_SAMPLES: usize = 160;
/// Samples one frame sees: 25 ms.
pub const FRAME_SAMPLES: usize = FFT_SAMPLES;
/// Samples a frame sees before its centre.
pub const LEAD_SAMPLES: usize = FRAME_SAMPLES / 2;
/// Most bins of a frame.
pub const MAX_BINS: usize = 128;
/// Frames of Whisper's 30 s window.
pub const WINDOW_FRAMES: usize = 3000;

/// Mel power below this counts as this.
const FLOOR: f32 = 1e-10;
/// Hops that sixteen frames touch: 15 between the first and the last centre, and 400 samples rounded up.
pub(crate) const BATCH_HOPS: usize = LANES - 1 + FRAME_SAMPLES.div_ceil(HOP_SAMPLES);

/// Why no features were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MelError {
    /// There are filters for 80 and for 128 bins only.
    Bins {
        /// The bins asked for.
        asked: usize,
    },
    /// Too few samples for the frames asked for.
    Samples {
        /// Samples there are.
        have: usize,
        /// Samples needed.
        need: usize,
    },
    /// The output does not hold a whole number of frames.
    Output {
        /// Values in the output.
        len: usize,
        /// Values in one frame.
        bins: usize,
    },
}

impl fmt::Display for MelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MelError::Bins { asked } => write!(f, "no mel filters for {asked} bins, only for 80 and 128"),
            MelError::Samples { have, need } => write!(f, "{have} samples, {need} are needed"),
            MelError::Output { len, bins } => write!(f, "an output of {len} values is not a whole number of frames of {bins} bins"),
        }
    }
}

impl core::error::Error for MelError {}

/// A bank of triangular filters, stored without its zeros.
#[derive(Clone, Copy)]
pub(crate) struct Filters {
    pub(crate) first: &'static [u8],
    pub(crate) length: &'static [u8],
    pub(crate) weights: &'static [f32],
}

impl Filters {
    /// Each band's value: weights times spectrum, summed by ascending frequency.
    #[inline(always)]
    pub(crate) fn apply<A: Arith>(&self, a: A, spectrum: &[A::Cell], bands: &mut [A::Cell]) {
        let mut weights = self.weights;
        for ((&first, &length), band) in self.first.iter().zip(self.length).zip(bands) {
            let (own, rest) = weights.split_at(usize::from(length));
            weights = rest;
            let mut sum = a.splat(0.0);
            for (&weight, cell) in own.iter().zip(&spectrum[usize::from(first)..]) {
                sum = a.add(sum, a.mul(a.splat(weight), a.load(cell)));
            }
            a.store(sum, band);
        }
    }
}

#[inline(always)]
fn log10_floored<S: Simd>(s: S, x: S::F32) -> S::F32 {
    math::log10(s, s.max(x, s.splat(FLOOR)))
}

/// Sixteen frames in work, about 52 KiB; lives where the caller puts it.
pub struct MelScratch {
    /// `hops[j][b]` is sample `j` of hop `b`: three neighbouring loads give sixteen frames their samples `j`, `160 + j` and `320 + j`.
    hops: [[f32; BATCH_HOPS]; HOP_SAMPLES],
    points: [[Lanes; 2]; POINTS],
    power: [Lanes; POWER_BINS],
    bands: [Lanes; MAX_BINS],
}

impl MelScratch {
    /// Empty scratch.
    pub const fn new() -> Self {
        const ZERO: Lanes = Lanes([0.0; LANES]);
        Self { hops: [[0.0; BATCH_HOPS]; HOP_SAMPLES], points: [[ZERO; 2]; POINTS], power: [ZERO; POWER_BINS], bands: [ZERO; MAX_BINS] }
    }
}

impl Default for MelScratch {
    fn default() -> Self {
        Self::new()
    }
}

/// One frame in work, about 3 KiB; lives where the caller puts it.
pub struct FrameScratch {
    points: [[f32; 2]; POINTS],
    power: [f32; POWER_BINS],
    bands: [f32; MAX_BINS],
}

impl FrameScratch {
    /// Empty scratch.
    pub const fn new() -> Self {
        Self { points: [[0.0; 2]; POINTS], power: [0.0; POWER_BINS], bands: [0.0; MAX_BINS] }
    }
}

impl Default for FrameScratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Computes log-mel features with the filters for 80 or 128 bins. A frame's bits depend on nothing but its 400 samples.
#[derive(Clone, Copy)]
pub struct LogMel {
    isa: Isa,
    filters: Filters,
}

impl LogMel {
    /// Picks the filters.
    ///
    /// # Errors
    /// [`MelError::Bins`] unless `bins` is 80 or 128.
    pub fn new(isa: Isa, bins: usize) -> Result<Self, MelError> {
        let filters = match bins {
            80 => return Ok(Self::with_80_bins(isa)),
            128 => Filters { first: &mel128::FIRST, length: &mel128::LENGTH, weights: &mel128::WEIGHTS },
            asked => return Err(MelError::Bins { asked }),
        };
        Ok(Self { isa, filters })
    }

    /// The filters for 80 bins.
    pub(crate) const fn with_80_bins(isa: Isa) -> Self {
        Self { isa, filters: Filters { first: &mel80::FIRST, length: &mel80::LENGTH, weights: &mel80::WEIGHTS } }
    }

    /// Values in one frame.
    pub fn bins(&self) -> usize {
        self.filters.first.len()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Fills `out` with log10 mel power, in [-10, 11), of the frames centred on samples `start`, `start + 160`, ... of `samples`
    /// (finite, 16 kHz). Returns how many frames see any sample; those behind them are silence and cost next to nothing.
    ///
    /// A caller that holds only part of a recording keeps [`LEAD_SAMPLES`] before `start`, or the slice's own start is mirrored, and as
    /// many behind the last centre, or silence follows.
    ///
    /// # Errors
    /// [`MelError::Output`] unless `out` holds a whole number of frames.
    pub fn log10_frames(&self, samples: &[f32], start: usize, out: &mut [f32], scratch: &mut MelScratch) -> Result<usize, MelError> {
        let bins = self.bins();
        if !out.len().is_multiple_of(bins) {
            return Err(MelError::Output { len: out.len(), bins });
        }
        let audible = audible_frames(samples.len(), start).min(out.len() / bins);
        let (frames, silence) = out.split_at_mut(audible * bins);
        self.isa.dispatch(Batches { filters: self.filters, samples, start, out: frames, scratch });
        self.isa.dispatch(Silence(silence));
        Ok(audible)
    }

    /// [`log10_frames`](Self::log10_frames), then [`normalise`] by the window's own maximum: the model's input.
    ///
    /// # Errors
    /// [`MelError::Output`] unless `out` holds a whole number of frames.
    pub fn window(&self, samples: &[f32], start: usize, out: &mut [f32], scratch: &mut MelScratch) -> Result<usize, MelError> {
        let audible = self.log10_frames(samples, start, out, scratch)?;
        normalise(self.isa, out, maximum(self.isa, out));
        Ok(audible)
    }

    /// Log10 mel power of one frame, with the bits of [`log10_frames`](Self::log10_frames).
    ///
    /// # Errors
    /// [`MelError::Output`] unless `out` holds exactly one frame.
    pub fn log10_frame(&self, frame: &[f32; FRAME_SAMPLES], out: &mut [f32], scratch: &mut FrameScratch) -> Result<(), MelError> {
        if out.len() != self.bins() {
            return Err(MelError::Output { len: out.len(), bins: self.bins() });
        }
        self.isa.dispatch(Single { filters: self.filters, frame, out, scratch });
        Ok(())
    }
}

/// Frames from sample `start` on that see any of `len` samples: `ceil((len + 200 - start) / 160)`.
pub fn audible_frames(len: usize, start: usize) -> usize {
    if len == 0 { 0 } else { (len + LEAD_SAMPLES).saturating_sub(start).div_ceil(HOP_SAMPLES) }
}

/// The largest value; the floor of -10 for none.
pub fn maximum(isa: Isa, log_mel: &[f32]) -> f32 {
    isa.dispatch(Maximum(log_mel))
}

/// Whisper's scaling in place: values more than 8 below `max` are raised to that, then `(x + 4) / 4`. openai-whisper takes `max` over the
/// whole recording, Hugging Face over each window.
pub fn normalise(isa: Isa, log_mel: &mut [f32], max: f32) {
    isa.dispatch(Normalise { log_mel, max });
}

/// Sample `at` of a recording that is mirrored at its start and silent behind its end.
#[inline(always)]
fn sample_at(samples: &[f32], at: isize) -> f32 {
    samples.get(at.unsigned_abs()).copied().unwrap_or(0.0)
}

/// Lane `f` is frame `f` of a batch.
pub(crate) struct Batch<'a>(pub(crate) &'a [[f32; BATCH_HOPS]; HOP_SAMPLES]);

impl<S: Simd> Source<Wide<S>> for Batch<'_> {
    #[inline(always)]
    fn sample(&self, a: Wide<S>, n: usize) -> S::F32 {
        let hop = n / HOP_SAMPLES;
        match self.0[n % HOP_SAMPLES][hop..].first_chunk() {
            Some(lanes) => a.0.load(lanes),
            None => unreachable!("sixteen frames span BATCH_HOPS hops"),
        }
    }
}

impl Source<One> for [f32; FRAME_SAMPLES] {
    #[inline(always)]
    fn sample(&self, _: One, n: usize) -> f32 {
        self[n]
    }
}

struct Batches<'a> {
    filters: Filters,
    samples: &'a [f32],
    start: usize,
    out: &'a mut [f32],
    scratch: &'a mut MelScratch,
}

impl SimdOp for Batches<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let MelScratch { hops, points, power, bands } = self.scratch;
        let bins = self.filters.first.len();
        // A frame is only computed when it sees a sample, so its position is within a slice's length of the start.
        let mut at = self.start as isize - LEAD_SAMPLES as isize;
        for batch in self.out.chunks_mut(LANES * bins) {
            for hop in 0..BATCH_HOPS {
                fill_hop(self.samples, at + (hop * HOP_SAMPLES) as isize, hops, hop);
            }
            at += (LANES * HOP_SAMPLES) as isize;
            power_spectrum(Wide(s), &Batch(hops), points, power);
            self.filters.apply(Wide(s), power, bands);
            for band in &mut bands[..bins] {
                let logs = log10_floored(s, s.load(&band.0));
                s.store(logs, &mut band.0);
            }
            for (lane, frame) in batch.chunks_mut(bins).enumerate() {
                for (value, band) in frame.iter_mut().zip(&*bands) {
                    *value = band.0[lane];
                }
            }
        }
    }
}

/// Writes the hop's 160 samples from position `at` into column `hop`.
#[inline(always)]
pub(crate) fn fill_hop(samples: &[f32], at: isize, hops: &mut [[f32; BATCH_HOPS]; HOP_SAMPLES], hop: usize) {
    let inside = usize::try_from(at).ok().and_then(|at| samples.get(at..at.checked_add(HOP_SAMPLES)?));
    match inside {
        Some(samples) => {
            for (row, &sample) in hops.iter_mut().zip(samples) {
                row[hop] = sample;
            }
        }
        None => {
            for (j, row) in hops.iter_mut().enumerate() {
                row[hop] = sample_at(samples, at + j as isize);
            }
        }
    }
}

struct Single<'a> {
    filters: Filters,
    frame: &'a [f32; FRAME_SAMPLES],
    out: &'a mut [f32],
    scratch: &'a mut FrameScratch,
}

impl SimdOp for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let FrameScratch { points, power, bands } = self.scratch;
        power_spectrum(One, self.frame, points, power);
        self.filters.apply(One, power, bands);
        for (out, bands) in self.out.chunks_mut(LANES).zip(bands.as_chunks().0) {
            s.store_partial(log10_floored(s, s.load(bands)), out);
        }
    }
}

struct Silence<'a>(&'a mut [f32]);

impl SimdOp for Silence<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.0.fill(s.reduce_max(log10_floored(s, s.splat(0.0))));
    }
}

struct Maximum<'a>(&'a [f32]);

impl SimdOp for Maximum<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let floor = -10.0;
        let max = self.0.chunks(LANES).fold(s.splat(floor), |max, values| s.max(max, s.load_partial(values, floor)));
        s.reduce_max(max)
    }
}

struct Normalise<'a> {
    log_mel: &'a mut [f32],
    max: f32,
}

impl SimdOp for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (floor, four, quarter) = (s.splat(self.max - 8.0), s.splat(4.0), s.splat(0.25));
        for values in self.log_mel.chunks_mut(LANES) {
            let x = s.max(s.load_partial(values, 0.0), floor);
            s.store_partial(s.mul(s.add(x, four), quarter), values);
        }
    }
}
