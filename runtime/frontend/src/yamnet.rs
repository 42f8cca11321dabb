//! YAMNet's log-mel features: `ln(mel + 0.001)` of 64 bands, a frame of 25 ms every 10 ms.
//!
//! Frame `t` sees samples `160 t .. 160 t + 400`, under a periodic Hann window, zeros behind them up to 512. The bands (125 to 7500 Hz on the
//! HTK scale, triangles of height 1) are taken over the magnitude, not the power. Nothing is normalised; 96 frames in a row are one patch.
//! As in YAMNet's own `features.py`.
//!
//! ```
//! use ossicle_frontend::yamnet::{BINS, YamnetMel, YamnetScratch};
//! use ossicle_kernels::simd::Isa;
//!
//! let mel = YamnetMel::new(Isa::detect());
//! let mut scratch = Box::new(YamnetScratch::new());
//! let silence = [0.0; 720];
//! let mut frames = [1.0; 3 * BINS];
//! mel.frames(&silence, &mut frames, &mut scratch)?;
//! assert!(frames.iter().all(|x| (x - 0.001f32.ln()).abs() < 1e-6));
//! # Ok::<(), ossicle_frontend::mel::MelError>(())
//! ```

use ossicle_kernels::math;
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use crate::arith::{Lanes, One, Wide};
use crate::fft::FFT_SAMPLES;
use crate::fft512::{POINTS, POWER_BINS, power_spectrum};
use crate::mel::{BATCH_HOPS, Batch, Filters, MelError, fill_hop};
use crate::tables::mel64;

pub use crate::mel::HOP_SAMPLES;

/// Samples one frame sees: 25 ms.
pub const FRAME_SAMPLES: usize = FFT_SAMPLES;
/// Bands of a frame.
pub const BINS: usize = 64;
/// Frames of the network's input.
pub const PATCH_FRAMES: usize = 96;
/// Samples of the network's input: 0.975 s.
pub const PATCH_SAMPLES: usize = samples_of(PATCH_FRAMES);

/// Added to each band in front of the logarithm.
const OFFSET: f32 = 0.001;
/// Spectrum bins rounded up to whole vectors.
const PADDED_BINS: usize = POWER_BINS.next_multiple_of(LANES);

const FILTERS: Filters = Filters { first: &mel64::FIRST, length: &mel64::LENGTH, weights: &mel64::WEIGHTS };

/// Samples that `frames` frames in a row see.
pub const fn samples_of(frames: usize) -> usize {
    if frames == 0 { 0 } else { (frames - 1) * HOP_SAMPLES + FRAME_SAMPLES }
}

/// Whole frames of `samples` samples.
pub const fn frames_of(samples: usize) -> usize {
    if samples < FRAME_SAMPLES { 0 } else { (samples - FRAME_SAMPLES) / HOP_SAMPLES + 1 }
}

/// Sixteen frames in work, about 64 KiB; lives where the caller puts it.
pub struct YamnetScratch {
    hops: [[f32; BATCH_HOPS]; HOP_SAMPLES],
    points: [[Lanes; 2]; POINTS],
    spectrum: [Lanes; POWER_BINS],
    bands: [Lanes; BINS],
}

impl YamnetScratch {
    /// Empty scratch.
    pub const fn new() -> Self {
        const ZERO: Lanes = Lanes([0.0; LANES]);
        Self { hops: [[0.0; BATCH_HOPS]; HOP_SAMPLES], points: [[ZERO; 2]; POINTS], spectrum: [ZERO; POWER_BINS], bands: [ZERO; BINS] }
    }
}

impl Default for YamnetScratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Computes YAMNet's features. A frame's bits depend on nothing but its 400 samples.
#[derive(Clone, Copy)]
pub struct YamnetMel {
    isa: Isa,
}

impl YamnetMel {
    /// On an instruction set.
    pub const fn new(isa: Isa) -> Self {
        Self { isa }
    }

    /// Fills `out`, `[frames][64]`, from the frames that start at samples 0, 160, ... of `samples` (finite, 16 kHz). Sixteen frames at a time
    /// are fastest.
    ///
    /// # Errors
    /// [`MelError::Output`] unless `out` holds whole frames, [`MelError::Samples`] if there are fewer than [`samples_of`] them.
    pub fn frames(&self, samples: &[f32], out: &mut [f32], scratch: &mut YamnetScratch) -> Result<(), MelError> {
        let (frames, rest) = out.as_chunks_mut::<BINS>();
        if !rest.is_empty() {
            return Err(MelError::Output { len: frames.len() * BINS + rest.len(), bins: BINS });
        }
        let need = samples_of(frames.len());
        if samples.len() < need {
            return Err(MelError::Samples { have: samples.len(), need });
        }
        self.isa.dispatch(Batches { samples, frames, scratch });
        Ok(())
    }

    /// One frame, with the bits of [`frames`](Self::frames), without memory for sixteen: about 4 KiB on the stack.
    pub fn frame(&self, samples: &[f32; FRAME_SAMPLES], out: &mut [f32; BINS]) {
        self.isa.dispatch(Single { samples, out });
    }
}

#[inline(always)]
fn log_offset<S: Simd>(s: S, x: S::F32) -> S::F32 {
    math::log(s, s.add(x, s.splat(OFFSET)))
}

struct Batches<'a> {
    samples: &'a [f32],
    frames: &'a mut [[f32; BINS]],
    scratch: &'a mut YamnetScratch,
}

impl SimdOp for Batches<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let YamnetScratch { hops, points, spectrum, bands } = self.scratch;
        let mut at = 0;
        for batch in self.frames.chunks_mut(LANES) {
            for hop in 0..BATCH_HOPS {
                fill_hop(self.samples, at + (hop * HOP_SAMPLES) as isize, hops, hop);
            }
            at += (LANES * HOP_SAMPLES) as isize;
            power_spectrum(Wide(s), &Batch(hops), points, spectrum);
            for bin in spectrum.iter_mut() {
                let magnitude = s.sqrt(s.load(&bin.0));
                s.store(magnitude, &mut bin.0);
            }
            FILTERS.apply(Wide(s), spectrum, bands);
            for (b, band) in bands.iter().enumerate() {
                let mut logs = [0.0; LANES];
                s.store(log_offset(s, s.load(&band.0)), &mut logs);
                for (frame, log) in batch.iter_mut().zip(logs) {
                    frame[b] = log;
                }
            }
        }
    }
}

struct Single<'a> {
    samples: &'a [f32; FRAME_SAMPLES],
    out: &'a mut [f32; BINS],
}

impl SimdOp for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (mut points, mut power) = ([[0.0; 2]; POINTS], [0.0; POWER_BINS]);
        power_spectrum(One, self.samples, &mut points, &mut power);
        let mut spectrum = [0.0; PADDED_BINS];
        spectrum[..POWER_BINS].copy_from_slice(&power);
        for bins in spectrum.as_chunks_mut().0 {
            s.store(s.sqrt(s.load(bins)), bins);
        }
        FILTERS.apply(One, &spectrum, self.out);
        for bands in self.out.as_chunks_mut().0 {
            s.store(log_offset(s, s.load(bands)), bands);
        }
    }
}
