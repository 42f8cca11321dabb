//! Any sample rate to 16 kHz, chunk by chunk, in fixed memory.
//!
//! A polyphase filter: a Kaiser-windowed sinc of 64 zero-crossing spacings to each side at the lower of the two rates. Its pass band ends at
//! 91 % of that rate's half (7.28 kHz for inputs of 16 kHz and more), its stop band begins at the half itself and lies at least 80 dB down,
//! aliases and images alike. The delay is compensated: output 0 lies at input 0, and `n` samples become `round(n * 16000 / rate)`.
//!
//! Ratios with few phases (48, 44.1, 32, 24, 22.05, 8 kHz ...) have a filter for each phase; for others two neighbouring filters of a dense
//! set are interpolated. Every output is one sum in the order of numerics rule 3, so no bit depends on how the input is cut.
//!
//! ```
//! use ossicle_frontend::resample::Resampler;
//! use ossicle_kernels::simd::Isa;
//!
//! let memory = vec![0.0; Resampler::<Vec<f32>>::memory_len(48_000)?];
//! let mut resampler = Resampler::new(Isa::detect(), 48_000, memory)?;
//! let (mut input, mut output, mut block) = (&[0.5; 4800][..], Vec::new(), [0.0; 256]);
//! while !input.is_empty() {
//!     let done = resampler.process(input, &mut block);
//!     input = &input[done.read..];
//!     output.extend_from_slice(&block[..done.written]);
//! }
//! loop {
//!     match resampler.finish(&mut block) {
//!         0 => break,
//!         written => output.extend_from_slice(&block[..written]),
//!     }
//! }
//! assert_eq!(output.len(), 1600);
//! # Ok::<(), ossicle_frontend::resample::ResampleError>(())
//! ```

use core::fmt;

use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use crate::SAMPLE_RATE;
use crate::tables::lowpass::{DENSITY, HALF_WIDTH, LOWPASS};

/// Lowest input rate, in hertz.
pub const MIN_RATE: u32 = 8_000;
/// Highest input rate, in hertz.
pub const MAX_RATE: u32 = 192_000;

/// Filters per sample of the lower rate when phases are interpolated: a straight line between neighbours is then off by -94 dB at most.
const PHASE_DENSITY: u32 = 256;
/// Input samples taken at a time.
const BLOCK: usize = 1024;
/// Values skipped at most so that filters start on a cache line.
const ALIGN: usize = LANES;

/// Why there is no resampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResampleError {
    /// The rate lies outside of [`MIN_RATE`] to [`MAX_RATE`].
    Rate {
        /// The rate asked for, in hertz.
        rate: u32,
    },
    /// The memory is smaller than [`Resampler::memory_len`].
    MemoryTooSmall {
        /// Values needed.
        need: usize,
        /// Values given.
        have: usize,
    },
}

impl fmt::Display for ResampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResampleError::Rate { rate } => write!(f, "a sample rate of {rate} Hz is outside of {MIN_RATE} to {MAX_RATE} Hz"),
            ResampleError::MemoryTooSmall { need, have } => write!(f, "the resampler needs {need} values of memory, not {have}"),
        }
    }
}

impl core::error::Error for ResampleError {}

/// What one call of [`Resampler::process`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    /// Input samples taken.
    pub read: usize,
    /// Output samples made.
    pub written: usize,
}

/// Samples that `input` samples at `rate` become: `round(input * 16000 / rate)`, halves up.
pub fn output_len(rate: u32, input: u64) -> u64 {
    let scaled = u128::from(input) * u128::from(SAMPLE_RATE) + u128::from(rate / 2);
    (scaled / u128::from(rate.max(1))) as u64
}

/// A rate's geometry. One output is `step / denominator` input samples after the one before it.
#[derive(Clone, Copy)]
struct Shape {
    rate: u32,
    step: u32,
    denominator: u32,
    /// Filters between one input sample and the next.
    phases: u32,
    /// Whether output positions fall between filters.
    interpolated: bool,
    /// Input samples a filter sees behind its output's position.
    ahead: usize,
    /// Values of one filter, a multiple of sixteen, zeros first.
    taps: usize,
}

impl Shape {
    fn new(rate: u32) -> Result<Self, ResampleError> {
        if !(MIN_RATE..=MAX_RATE).contains(&rate) {
            return Err(ResampleError::Rate { rate });
        }
        let common = gcd(rate, SAMPLE_RATE);
        let (step, denominator) = (rate / common, SAMPLE_RATE / common);
        let lower = rate.min(SAMPLE_RATE);
        let dense = (PHASE_DENSITY * lower).div_ceil(rate);
        let interpolated = denominator > 2 * dense;
        let ahead = (HALF_WIDTH * rate).div_ceil(lower) as usize;
        Ok(Self {
            rate,
            step,
            denominator,
            phases: if interpolated { dense } else { denominator },
            interpolated,
            ahead,
            taps: (2 * ahead).next_multiple_of(LANES),
        })
    }

    /// Whether there is nothing to do.
    fn is_identity(&self) -> bool {
        self.rate == SAMPLE_RATE
    }

    fn filters_len(&self) -> usize {
        self.taps * (self.phases as usize + usize::from(self.interpolated))
    }

    fn history_len(&self) -> usize {
        self.taps + BLOCK
    }

    fn memory_len(&self) -> usize {
        if self.is_identity() { 0 } else { ALIGN + self.filters_len() + self.history_len() }
    }

    /// Writes the filters, phase after phase. Positions are exact integers until the last step, so each phase of each rate is the prototype
    /// at the right place.
    fn fill(&self, filters: &mut [f32]) {
        let lower = self.rate.min(SAMPLE_RATE);
        let gain = lower as f32 / self.rate as f32;
        let unit = u64::from(self.phases) * u64::from(self.rate);
        for (phase, filter) in filters.chunks_exact_mut(self.taps).enumerate() {
            for (tap, value) in filter.iter_mut().enumerate() {
                // Distance from the output's position, in 1 / phases of an input sample.
                let whole = (tap + 1 + self.ahead) as i64 - self.taps as i64;
                let distance = (whole * i64::from(self.phases) - phase as i64).unsigned_abs();
                *value = gain * lowpass(distance * u64::from(lower * DENSITY), unit);
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The prototype at table position `numerator / unit` from its centre, by the cubic through the four nearest entries.
fn lowpass(numerator: u64, unit: u64) -> f32 {
    let index = numerator / unit;
    if index >= u64::from(HALF_WIDTH * DENSITY) {
        return 0.0;
    }
    let Some(&[a, b, c, d]) = LOWPASS[index as usize..].first_chunk() else { return 0.0 };
    let t = (numerator % unit) as f32 / unit as f32;
    let (before, after, beyond) = (t + 1.0, t - 1.0, t - 2.0);
    let outer = d * before * t * after - a * t * after * beyond;
    let inner = b * before * after * beyond - c * before * t * beyond;
    outer / 6.0 + inner / 2.0
}

/// Resamples mono audio to 16 kHz in memory `M` of [`memory_len`](Resampler::memory_len) values (a `Vec<f32>`, a `&mut [f32]` ...).
/// Input of 16 kHz passes through untouched.
pub struct Resampler<M> {
    isa: Isa,
    shape: Shape,
    memory: M,
    /// Where the filters start in the memory.
    offset: usize,
    /// Samples in the history, zeros before the recording included.
    filled: usize,
    /// First sample in the history that the next output sees.
    next: usize,
    /// The next output's distance from an input sample, in 1 / denominator.
    fraction: u32,
    received: u64,
    produced: u64,
}

impl<M: AsMut<[f32]>> Resampler<M> {
    /// Values of memory for input at `rate` hertz: at most 72 Ki, 0 for 16 kHz.
    ///
    /// # Errors
    /// [`ResampleError::Rate`] for a rate that cannot be resampled.
    pub fn memory_len(rate: u32) -> Result<usize, ResampleError> {
        Ok(Shape::new(rate)?.memory_len())
    }

    /// Fills the memory with the filters for input at `rate` hertz.
    ///
    /// # Errors
    /// [`ResampleError::Rate`] for a rate that cannot be resampled, [`ResampleError::MemoryTooSmall`] for too little memory.
    pub fn new(isa: Isa, rate: u32, mut memory: M) -> Result<Self, ResampleError> {
        let shape = Shape::new(rate)?;
        let (need, values) = (shape.memory_len(), memory.as_mut());
        if values.len() < need {
            return Err(ResampleError::MemoryTooSmall { need, have: values.len() });
        }
        let mut offset = 0;
        if need > 0 {
            offset = values.as_ptr().align_offset(LANES * size_of::<f32>()).min(ALIGN);
            shape.fill(&mut values[offset..offset + shape.filters_len()]);
        }
        let mut resampler = Self { isa, shape, memory, offset, filled: 0, next: 0, fraction: 0, received: 0, produced: 0 };
        resampler.reset();
        crate::log::debug!("resampler from {} Hz: {} filters of {} taps", rate, resampler.shape.phases, resampler.shape.taps);
        Ok(resampler)
    }

    /// Forgets all input: the next sample is the first of a new recording.
    pub fn reset(&mut self) {
        self.filled = 0;
        if !self.shape.is_identity() {
            self.filled = self.shape.taps - self.shape.ahead - 1;
            let filled = self.filled;
            self.parts().1[..filled].fill(0.0);
        }
        (self.next, self.fraction, self.received, self.produced) = (0, 0, 0, 0);
    }

    /// Takes finite samples from `input` until it is used up or `output` is full.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) -> Progress {
        let done = if self.shape.is_identity() {
            let len = input.len().min(output.len());
            output[..len].copy_from_slice(&input[..len]);
            Progress { read: len, written: len }
        } else {
            self.advance(input, output)
        };
        self.received += done.read as u64;
        self.produced += done.written as u64;
        done
    }

    /// Ends the recording: writes what silence behind it completes and returns how much that was. Call until it returns 0, then the
    /// resampler is ready for a new recording.
    pub fn finish(&mut self, output: &mut [f32]) -> usize {
        let missing = output_len(self.shape.rate, self.received) - self.produced;
        if missing == 0 {
            self.reset();
            return 0;
        }
        let len = usize::try_from(missing).unwrap_or(usize::MAX).min(output.len());
        let output = &mut output[..len];
        let mut written = 0;
        while written < len {
            written += self.advance(&[0.0; 64], &mut output[written..]).written;
        }
        self.produced += written as u64;
        written
    }

    fn advance(&mut self, input: &[f32], output: &mut [f32]) -> Progress {
        let (mut read, mut written) = (0, 0);
        loop {
            written += self.convolve(&mut output[written..]);
            if read == input.len() || written == output.len() {
                return Progress { read, written };
            }
            let (next, filled) = (self.next, self.filled);
            let history = self.parts().1;
            history.copy_within(next..filled, 0);
            let kept = filled - next;
            let len = (history.len() - kept).min(input.len() - read);
            history[kept..kept + len].copy_from_slice(&input[read..read + len]);
            read += len;
            (self.next, self.filled) = (0, kept + len);
        }
    }

    /// Makes outputs while the history holds their samples and there is room.
    fn convolve(&mut self, output: &mut [f32]) -> usize {
        let (isa, shape, filled, next, fraction) = (self.isa, self.shape, self.filled, self.next, self.fraction);
        let (filters, history) = self.parts();
        let op = Convolve { shape, filters, history: &history[..filled], next, fraction, output };
        let (written, next, fraction) = isa.dispatch(op);
        (self.next, self.fraction) = (next, fraction);
        written
    }

    fn parts(&mut self) -> (&[f32], &mut [f32]) {
        let (filters, history) = self.memory.as_mut()[self.offset..].split_at_mut(self.shape.filters_len());
        (filters, &mut history[..self.shape.history_len()])
    }
}

struct Convolve<'a> {
    shape: Shape,
    filters: &'a [f32],
    history: &'a [f32],
    next: usize,
    fraction: u32,
    output: &'a mut [f32],
}

impl SimdOp for Convolve<'_> {
    type Output = (usize, usize, u32);

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Self::Output {
        let Shape { step, denominator, phases, taps, .. } = self.shape;
        let (whole_step, part_step) = ((step / denominator) as usize, step % denominator);
        let (mut next, mut fraction, mut written) = (self.next, self.fraction, 0);
        for out in self.output {
            let Some(window) = self.history.get(next..next + taps) else { break };
            let filter = |phase: usize| &self.filters[phase * taps..(phase + 1) * taps];
            *out = if self.shape.interpolated {
                let position = fraction * phases;
                let phase = (position / denominator) as usize;
                let between = (position % denominator) as f32 / denominator as f32;
                let (low, high) = (dot(s, filter(phase), window), dot(s, filter(phase + 1), window));
                low + between * (high - low)
            } else {
                dot(s, filter(fraction as usize), window)
            };
            written += 1;
            next += whole_step;
            fraction += part_step;
            if fraction >= denominator {
                fraction -= denominator;
                next += 1;
            }
        }
        (written, next, fraction)
    }
}

/// Numerics rule 3; both slices have the same length, a multiple of sixteen.
#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = s.splat(0.0);
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        sum = s.add(sum, s.mul(s.load(a), s.load(b)));
    }
    s.reduce_add(sum)
}
