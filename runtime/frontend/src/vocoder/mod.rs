//! Speech from spectra: harmonics of a pitch, shaped noise and a part with phases of its own, joined by an inverse short-time transform.
//!
//! Frames are 12.5 ms apart. Of each a network gives the pitch and five curves over 601 bins: with E the spectrum of a pulse train of that pitch
//! and Z complex normal noise, the frame's spectrum is
//! `exp(harmonic) e^(i pi tanh(turn)) E + exp(noise) Z + exp(free) e^(i phase)`.
//! Windows of 1200 samples are added up 300 samples apart and divided by the sum of their squared windows. Noise is drawn by counter, so the
//! same seed gives the same samples, however frames are cut into batches.
//!
//! ```
//! use ossicle_frontend::vocoder::{FRAME_VALUES, HOP_SAMPLES, Vocoder};
//! use ossicle_kernels::simd::Isa;
//!
//! let mut vocoder = Box::new(Vocoder::new());
//! vocoder.start(16, 7, 0)?;
//! vocoder.push_pitch(&[200.0; 16])?;
//! let (spectra, mut samples) = (vec![-2.0; 16 * FRAME_VALUES], vec![0.0; 16 * HOP_SAMPLES]);
//! assert_eq!(vocoder.run(Isa::detect(), &spectra, &mut samples)?, samples.len());
//! # Ok::<(), ossicle_frontend::vocoder::VocoderError>(())
//! ```

mod curves;
mod pulses;

use core::fmt;

use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use crate::arith::{Arith, Lanes, Wide};
use crate::fft::{Complex, load, store};
use crate::fft1200::{BINS, Exchanged, POINTS, Packed, SAMPLES, join, place, separate, transform};
use crate::tables::fft1200::HANN;
use pulses::{Pulses, mirror_end, mirror_start};

/// Samples per second.
pub const SAMPLE_RATE: u32 = 24_000;
/// Samples from one frame to the next.
pub const HOP_SAMPLES: usize = 300;
/// Values of one curve of a frame: 601 bins and 7 that are not read.
pub const CURVE: usize = 608;
/// Curves of a frame: harmonic, turn, noise, free, phase.
pub const CURVES: usize = 5;
/// Values of a frame.
pub const FRAME_VALUES: usize = CURVES * CURVE;
/// Frames that are computed at once.
pub const BATCH: usize = LANES;
/// Pitches that can be given ahead of their frames.
pub const MAX_AHEAD: usize = 256;
/// Fewest frames: shorter ones could not be mirrored at their ends.
pub const MIN_FRAMES: usize = 4;

/// Hops that a frame's window spans.
const WINDOW_HOPS: usize = SAMPLES / HOP_SAMPLES;
/// Hops that sixteen frames touch, and one for even rows.
const COLUMNS: usize = LANES + WINDOW_HOPS;

/// Why no samples were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VocoderError {
    /// Fewer than [`MIN_FRAMES`] frames.
    Short {
        /// Frames asked for.
        frames: usize,
    },
    /// Too few pitches have been given for these frames, or more than the frames there are, or than [`MAX_AHEAD`].
    Pitch {
        /// Pitches given.
        have: usize,
        /// Pitches needed, or possible.
        need: usize,
    },
    /// Not whole frames, more than [`BATCH`], more than there are, or fewer than that before the last.
    Frames {
        /// Values given.
        values: usize,
    },
    /// The output is too small.
    Output {
        /// Samples it holds.
        have: usize,
        /// Samples there are.
        need: usize,
    },
}

impl fmt::Display for VocoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { frames } => write!(f, "{frames} frames, at least {MIN_FRAMES} are needed"),
            Self::Pitch { have, need } => write!(f, "{have} pitches for {need}"),
            Self::Frames { values } => write!(f, "{values} values are not the next {BATCH} frames, nor the last ones"),
            Self::Output { have, need } => write!(f, "{need} samples into {have}"),
        }
    }
}

impl core::error::Error for VocoderError {}

/// Hops by sample: `[j][b]` is sample `j` of hop `b`, so that neighbouring values belong to neighbouring frames.
type Hops = [[f32; COLUMNS]; HOP_SAMPLES];

/// What turns frames into samples, about 370 KiB; lives where the caller puts it.
pub struct Vocoder {
    frames: usize,
    /// Frames computed so far.
    done: usize,
    key: [u32; 2],
    stream: u32,
    pulses: Pulses,
    /// The pulse train: column `c` is hop `done - 2 + c`.
    source: Hops,
    /// Frames added up: column `c` is the hop that frame `done + c` starts with.
    sums: Hops,
    points: [[Lanes; 2]; POINTS],
    spectrum: [[Lanes; 2]; BINS],
    /// What the pulse train's spectrum is multiplied by.
    filter: [[Lanes; 2]; CURVE],
    /// What is added to it.
    rest: [[Lanes; 2]; CURVE],
}

impl Vocoder {
    /// One that has no frames to compute yet.
    pub const fn new() -> Self {
        const ZERO: [Lanes; 2] = [Lanes([0.0; LANES]); 2];
        Self {
            frames: 0,
            done: 0,
            key: [0; 2],
            stream: 0,
            pulses: Pulses::new(),
            source: [[0.0; COLUMNS]; HOP_SAMPLES],
            sums: [[0.0; COLUMNS]; HOP_SAMPLES],
            points: [ZERO; POINTS],
            spectrum: [ZERO; BINS],
            filter: [ZERO; CURVE],
            rest: [ZERO; CURVE],
        }
    }

    /// Begins an utterance of so many frames. Its noise belongs to `seed` and to `stream`, its number among those of this seed.
    ///
    /// # Errors
    /// [`VocoderError::Short`] for fewer than [`MIN_FRAMES`].
    pub fn start(&mut self, frames: usize, seed: u64, stream: u32) -> Result<(), VocoderError> {
        if frames < MIN_FRAMES {
            return Err(VocoderError::Short { frames });
        }
        (self.frames, self.done, self.stream) = (frames, 0, stream);
        self.key = [seed as u32, (seed >> 32) as u32];
        self.pulses.start(frames);
        self.source.as_flattened_mut().fill(0.0);
        self.sums.as_flattened_mut().fill(0.0);
        Ok(())
    }

    /// Gives the next frames' pitches in Hz; up to 40 is unvoiced. Frames are computed once the pitches of the two after them are known.
    ///
    /// # Errors
    /// [`VocoderError::Pitch`] if there are more than frames, or more than [`MAX_AHEAD`] not used yet.
    pub fn push_pitch(&mut self, pitches: &[f32]) -> Result<(), VocoderError> {
        self.pulses.push(pitches)
    }

    /// Frames of the utterance that have not been computed yet.
    pub fn left(&self) -> usize {
        self.frames - self.done
    }

    /// Computes the next [`BATCH`] frames, or the last ones, from `[frames][5][608]`; returns how many samples there are now. They come two
    /// frames late, those at the end with the last frame: all together 300 for each frame.
    ///
    /// # Errors
    /// [`VocoderError`] if the frames are not the next ones, their pitches are not known, or `out` is too small (18 hops always do).
    pub fn run(&mut self, isa: Isa, spectra: &[f32], out: &mut [f32]) -> Result<usize, VocoderError> {
        let (count, expected) = (spectra.len() / FRAME_VALUES, self.left().min(BATCH));
        if count == 0 || count != expected || !spectra.len().is_multiple_of(FRAME_VALUES) {
            return Err(VocoderError::Frames { values: spectra.len() });
        }
        let (have, need) = (self.pulses.known(), self.frames.min(self.done + count + 2));
        if have < need {
            return Err(VocoderError::Pitch { have, need });
        }
        let last = self.done + count == self.frames;
        // The first two hops lie before the utterance.
        let from = 2usize.saturating_sub(self.done);
        let to = if last { count + 2 } else { count };
        let samples = (to - from) * HOP_SAMPLES;
        let Some(out) = out.get_mut(..samples) else {
            return Err(VocoderError::Output { have: out.len(), need: samples });
        };
        isa.dispatch(Batch { vocoder: self, spectra, count });
        for (hop, column) in out.chunks_exact_mut(HOP_SAMPLES).zip(from..) {
            self.finish_hop(column, hop);
        }
        for row in &mut self.sums {
            row.copy_within(count..count + WINDOW_HOPS - 1, 0);
            row[WINDOW_HOPS - 1..].fill(0.0);
        }
        self.done += count;
        Ok(samples)
    }

    /// The samples of a hop whose frames are all there: their sum, divided by that of the squared windows.
    fn finish_hop(&self, column: usize, out: &mut [f32]) {
        let hop = self.done + column;
        if hop + 1 >= WINDOW_HOPS && hop < self.frames {
            for ((out, sums), windows) in out.iter_mut().zip(&self.sums).zip(&SQUARES) {
                *out = sums[column] / f32::max(*windows, 1e-11);
            }
            return;
        }
        for (j, (out, sums)) in out.iter_mut().zip(&self.sums).enumerate() {
            let mut windows = 0.0;
            for part in (0..WINDOW_HOPS).rev().filter(|&part| part <= hop && hop - part < self.frames) {
                let window = HANN[part * HOP_SAMPLES + j];
                windows += window * window;
            }
            *out = sums[column] / f32::max(windows, 1e-11);
        }
    }
}

impl Default for Vocoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Vocoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocoder").field("frames", &self.frames).field("done", &self.done).finish_non_exhaustive()
    }
}

/// The sum of the squared windows over each sample of a hop, the last first.
static SQUARES: [f32; HOP_SAMPLES] = {
    let (mut squares, mut j) = ([0.0; HOP_SAMPLES], 0);
    while j < HOP_SAMPLES {
        let mut part = WINDOW_HOPS;
        while part > 0 {
            part -= 1;
            let window = HANN[part * HOP_SAMPLES + j];
            squares[j] += window * window;
        }
        j += 1;
    }
    squares
};

struct Batch<'a> {
    vocoder: &'a mut Vocoder,
    spectra: &'a [f32],
    count: usize,
}

impl SimdOp for Batch<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { vocoder, spectra, count } = self;
        let Vocoder { frames, done, key, stream, pulses, source, sums, points, spectrum, filter, rest } = vocoder;
        advance(s, pulses, source, *done, *frames, count);
        for lane in 0..LANES {
            match spectra.as_chunks::<FRAME_VALUES>().0.get(lane) {
                Some(frame) => {
                    let noise = curves::Noise { key: *key, stream: *stream, frame: (*done + lane) as u32 };
                    curves::put(s, frame, noise, lane, filter, rest);
                }
                // No frame: silence is added.
                None => filter.iter_mut().chain(rest.iter_mut()).flatten().for_each(|cell| cell.0[lane] = 0.0),
            }
        }
        let a = Wide(s);
        transform(a, &Windowed(source), points);
        separate(a, points, spectrum);
        for ((cell, filter), rest) in spectrum.iter_mut().zip(&*filter).zip(&*rest) {
            let (x, f, r) = (load(a, cell), load(a, filter), load(a, rest));
            let re = a.sub(a.mul(x.0, f.0), a.mul(x.1, f.1));
            let im = a.add(a.mul(x.0, f.1), a.mul(x.1, f.0));
            store(a, (a.add(re, r.0), a.add(im, r.1)), cell);
        }
        join(a, spectrum);
        transform(a, &Exchanged::<Wide<S>>(spectrum), points);
        overlap_add(s, points, sums);
    }
}

/// Brings the pulse train's columns to the hops of this batch.
#[inline(always)]
fn advance<S: Simd>(s: S, pulses: &mut Pulses, source: &mut Hops, done: usize, frames: usize, count: usize) {
    // Hops `done - 2 ..= done` are there from the batch before; the first has hop 0 to compute, and what is mirrored before it.
    let first = if done == 0 { 2 } else { WINDOW_HOPS - 1 };
    if done > 0 {
        for row in &mut *source {
            row.copy_within(LANES..LANES + WINDOW_HOPS - 1, 0);
        }
    }
    for column in first..count + WINDOW_HOPS - 1 {
        let hop = done + column - 2;
        if hop < frames {
            pulses.next(s, source, column);
        } else {
            mirror_end(source, column);
        }
    }
    if done == 0 {
        mirror_start(source);
    }
}

/// The pulse train's frames under the window; lane `f` is frame `f` of a batch.
struct Windowed<'a>(&'a Hops);

impl<S: Simd> Packed<Wide<S>> for Windowed<'_> {
    #[inline(always)]
    fn point(&self, a: Wide<S>, n: usize) -> Complex<Wide<S>> {
        let sample = |n: usize| match self.0[n % HOP_SAMPLES][n / HOP_SAMPLES..].first_chunk() {
            Some(lanes) => a.mul(a.0.load(lanes), a.splat(HANN[n])),
            None => unreachable!("sixteen frames span COLUMNS hops"),
        };
        (sample(2 * n), sample(2 * n + 1))
    }
}

/// Adds the frames' samples under the window; each sum takes frames in their order.
#[inline(always)]
fn overlap_add<S: Simd>(s: S, points: &[[Lanes; 2]; POINTS], sums: &mut Hops) {
    let scale = s.splat(1.0 / SAMPLES as f32);
    for part in (0..WINDOW_HOPS).rev() {
        for (j, row) in sums.iter_mut().enumerate() {
            let n = part * HOP_SAMPLES + j;
            let sample = s.load(&points[place(n / 2)][1 - n % 2].0);
            let Some(sum) = row[part..].first_chunk_mut() else { unreachable!("sixteen frames span COLUMNS hops") };
            s.store(s.add(s.load(sum), s.mul(s.mul(sample, scale), s.splat(HANN[n]))), sum);
        }
    }
}
