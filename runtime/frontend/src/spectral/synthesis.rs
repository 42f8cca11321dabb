//! From magnitudes to samples.

use core::fmt;

use ossicle_kernels::math::{exp, sin_cos_turns};
use ossicle_kernels::philox::{normal_pairs, philox, philox_lanes};
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use super::overlap::{Overlap, REACH};
use super::phases::Phases;
use super::refine::{Frame, LATE, Refine};
use super::spectrum::{FULL, NOISE, Spectrum, magnitude};
use super::{BEFORE, BINS, CURVE, FRAME_VALUES, STEP, WINDOW};

/// Logarithms of magnitudes below and above these count as these.
const FAINTEST: f32 = -12.0;
const LOUDEST: f32 = 2.0;
/// How often phases are made to fit each other.
const ROUNDS: usize = 3;
/// Blocks after the last frame until all its samples are there.
const TAIL: usize = BEFORE.div_ceil(STEP);
/// Most samples that [`Synthesis::finish`] gives.
pub const MOST_LEFT: usize = (ROUNDS * LATE + TAIL) * STEP;
/// Vectors of normal values for a step, two at a time.
const DRAWS: usize = STEP.div_ceil(2 * LANES);

/// What turns frames into samples, about 30 KiB; lives where the caller puts it.
pub struct Synthesis {
    key: [u32; 2],
    frames: u32,
    phases: Phases,
    /// White noise that the next frame sees.
    white: [f32; WINDOW],
    rounds: [Refine; ROUNDS],
    last: Overlap,
}

impl Default for Synthesis {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Synthesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synthesis").field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Synthesis {
    /// One that waits for [`start`](Self::start).
    pub const fn new() -> Self {
        Self {
            key: [0; 2],
            frames: 0,
            phases: Phases::new(),
            white: [0.0; WINDOW],
            rounds: [const { Refine::new() }; ROUNDS],
            last: Overlap::new(),
        }
    }

    /// Begins a sound with the noise of `seed`.
    pub fn start(&mut self, seed: u64) {
        self.key = [seed as u32, (seed >> 32) as u32];
        self.frames = 0;
        self.white.fill(0.0);
        self.rounds.iter_mut().for_each(Refine::start);
        self.last.start();
        let key = self.key;
        self.phases.start((0..BINS as u32).map(|bin| philox([bin, 0, 1, 0], key)[0]));
    }

    /// Takes the next frame, `[2][144]`; writes the samples that are there then, at most [`STEP`], and returns how many.
    ///
    /// # Panics
    /// If there is no room for them in `out`.
    pub fn push(&mut self, isa: Isa, frame: &[f32; FRAME_VALUES], out: &mut [f32]) -> usize {
        let frame = isa.dispatch(Draw { levels: frame, synthesis: self });
        self.frames += 1;
        self.refine(isa, 0, frame, out)
    }

    /// Ends the sound: writes the samples that are left, at most [`MOST_LEFT`], and returns how many. All together they are [`STEP`] for each
    /// frame.
    ///
    /// # Panics
    /// If there is no room for them in `out`.
    pub fn finish(&mut self, isa: Isa, out: &mut [f32]) -> usize {
        let mut count = 0;
        for round in 0..ROUNDS {
            for _ in 0..LATE {
                if let Some(frame) = self.rounds[round].flush(isa) {
                    count += self.refine(isa, round + 1, frame, &mut out[count..]);
                }
            }
        }
        for _ in 0..TAIL {
            let number = self.last.blocks();
            let block = self.last.take();
            count += self.put(number, &block, &mut out[count..]);
        }
        count
    }

    /// Passes a frame through the rounds from `first` on, and writes what comes out.
    fn refine(&mut self, isa: Isa, first: usize, frame: Frame, out: &mut [f32]) -> usize {
        let mut frame = frame;
        for round in &mut self.rounds[first..] {
            let Some(next) = round.push(isa, &frame) else { return 0 };
            frame = next;
        }
        let number = self.last.blocks();
        let block = self.last.push(&frame.spectrum.samples());
        self.put(number, &block, out)
    }

    /// Writes the samples of a block that lie within the sound.
    fn put(&self, number: usize, block: &[f32; STEP], out: &mut [f32]) -> usize {
        let mut count = 0;
        for (_, sample) in block.iter().enumerate().filter(|(j, _)| self.last.within(number, *j)) {
            out[count] = *sample;
            count += 1;
        }
        count
    }
}

/// Draws a frame.
struct Draw<'a> {
    levels: &'a [f32; FRAME_VALUES],
    synthesis: &'a mut Synthesis,
}

impl SimdOp for Draw<'_> {
    type Output = Frame;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Frame {
        let Synthesis { key, frames, phases, white, .. } = self.synthesis;
        let (tonal, noise) = self.levels.split_at(CURVE);
        let Some(logs) = tonal.first_chunk::<BINS>() else { unreachable!("a curve has more values than bins") };
        let turns = phases.next(logs);
        if *frames == 0 {
            (1..=REACH as u32).for_each(|back| advance(s, white, u32::MAX - back, *key));
        }
        advance(s, white, *frames, *key);
        let mut frame = Frame { magnitudes: [0.0; CURVE], spectrum: Spectrum::of(white) };
        let level = |values: &[f32; LANES]| exp(s, s.max(s.min(s.load(values), s.splat(LOUDEST)), s.splat(FAINTEST)));
        let curves = tonal.as_chunks::<LANES>().0.iter().zip(noise.as_chunks::<LANES>().0);
        let parts = frame.spectrum.re.as_chunks_mut::<LANES>().0.iter_mut().zip(frame.spectrum.im.as_chunks_mut::<LANES>().0);
        let out = parts.zip(frame.magnitudes.as_chunks_mut::<LANES>().0);
        let noise_unit = s.div(s.splat(FULL), s.sqrt(s.splat(NOISE)));
        for (vector, ((tonal, noise), ((re, im), magnitudes))) in curves.zip(out).enumerate() {
            let mut own = [0; LANES];
            for (lane, own) in own.iter_mut().enumerate() {
                *own = turns.get(vector * LANES + lane).map_or(0, |turns| turns.cast_signed());
            }
            let (sin, cos) = sin_cos_turns(s, s.mul(s.from_i32(s.load_i32(&own)), s.splat(1.0 / 4_294_967_296.0)));
            let (tonal, noise) = (s.mul(level(tonal), s.splat(FULL)), s.mul(level(noise), noise_unit));
            let x = s.add(s.mul(tonal, cos), s.mul(noise, s.load(re)));
            let y = s.add(s.mul(tonal, sin), s.mul(noise, s.load(im)));
            s.store(x, re);
            s.store(y, im);
            s.store(magnitude(s, x, y), magnitudes);
        }
        frame
    }
}

/// Moves white noise on by a step.
#[inline(always)]
fn advance<S: Simd>(s: S, white: &mut [f32; WINDOW], frame: u32, key: [u32; 2]) {
    white.copy_within(STEP.., 0);
    let mut at = WINDOW - STEP;
    for draw in 0..DRAWS {
        let mut counter = [0; LANES];
        for (lane, counter) in counter.iter_mut().enumerate() {
            *counter = (draw * LANES + lane) as u32;
        }
        let words = philox_lanes([counter, [frame; LANES], [0; LANES], [0; LANES]], key);
        let (a, b) = normal_pairs(s, &words[0], &words[1]);
        for values in [a, b] {
            let mut lanes = [0.0; LANES];
            s.store(values, &mut lanes);
            let count = LANES.min(WINDOW - at);
            white[at..at + count].copy_from_slice(&lanes[..count]);
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::analyze;

    /// Samples of frames with one seed.
    fn sound(isa: Isa, frames: &[[f32; FRAME_VALUES]], seed: u64) -> Vec<f32> {
        let mut synthesis = Box::new(Synthesis::new());
        synthesis.start(seed);
        let (mut samples, mut count) = (vec![0.0; frames.len() * STEP], 0);
        for frame in frames {
            count += synthesis.push(isa, frame, &mut samples[count..]);
        }
        count += synthesis.finish(isa, &mut samples[count..]);
        assert_eq!(count, samples.len());
        samples
    }

    /// Logarithms of the magnitudes of all frames.
    fn frames_of(samples: &[f32]) -> Vec<[f32; CURVE]> {
        let padded: Vec<f32> =
            std::iter::repeat_n(0.0, BEFORE).chain(samples.iter().copied()).chain(std::iter::repeat_n(0.0, WINDOW)).collect();
        let frame = |t: usize| {
            let mut out = [0.0; CURVE];
            analyze(Isa::detect(), padded[t * STEP..].first_chunk().unwrap(), &mut out);
            out
        };
        (0..samples.len() / STEP).map(frame).collect()
    }

    fn power(samples: &[f32]) -> f64 {
        samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn a_tone_comes_back_as_a_tone() {
        for hertz in [233.0f64, 1000.0, 3333.0] {
            let tone: Vec<f32> = (0..8000).map(|n| 0.5 * (std::f64::consts::TAU * hertz * f64::from(n) / 16_000.0).sin() as f32).collect();
            let frames: Vec<[f32; FRAME_VALUES]> = frames_of(&tone)
                .iter()
                .map(|logs| std::array::from_fn(|i| if i < CURVE { (logs[i].exp() - 3e-4).max(1e-6).ln() } else { -12.0 }))
                .collect();
            let made = sound(Isa::detect(), &frames, 1);
            // Nearly all of its power is at its frequency, to within the few hertz that peaks are off.
            let middle = &made[2000..2400];
            let (mut re, mut im) = (0.0, 0.0);
            for (n, x) in middle.iter().enumerate() {
                let phase = std::f64::consts::TAU * hertz * n as f64 / 16_000.0;
                re += f64::from(*x) * phase.cos();
                im += f64::from(*x) * phase.sin();
            }
            let at = 2.0 * (re * re + im * im) / (middle.len() as f64).powi(2);
            assert!((at / power(middle) - 1.0).abs() < 0.03, "{hertz} Hz: {at} of {}", power(middle));
            assert!((power(middle) / 0.125 - 1.0).abs() < 0.1, "{hertz} Hz: {}", power(middle));
        }
    }

    #[test]
    fn noise_has_the_magnitude_that_is_asked_for() {
        let mut frame = [-12.0; FRAME_VALUES];
        frame[CURVE..].fill((0.01f32).ln());
        let made = sound(Isa::detect(), &[frame; 800], 3);
        let logs = frames_of(&made);
        let own = |bin: usize| logs[10..790].iter().map(|frame| f64::from(frame[bin].exp()).powi(2)).sum::<f64>() / 780.0;
        let mean = (4..124).map(own).sum::<f64>() / 120.0;
        assert!((mean.sqrt() / 0.01 - 1.0).abs() < 0.06, "{}", mean.sqrt());
        // No bin stands out.
        assert!((4..124).all(|bin| (0.4..2.2).contains(&(own(bin) / mean))));
    }

    #[test]
    fn phases_that_fit_leave_more_of_the_magnitudes() {
        // Magnitudes of two tones and noise: as they come back, with all rounds, against what was asked for.
        let samples: Vec<f32> = (0..16_000)
            .map(|n| {
                let t = f64::from(n) / 16_000.0;
                let tones = (t * 440.0 * std::f64::consts::TAU).sin() + (t * (900.0 + 300.0 * t) * std::f64::consts::TAU).sin();
                (0.2 * tones) as f32 + 0.05 * ((n * n % 997) as f32 / 498.5 - 1.0)
            })
            .collect();
        let wanted = frames_of(&samples);
        let frames: Vec<[f32; FRAME_VALUES]> =
            wanted.iter().map(|logs| std::array::from_fn(|i| if i < CURVE { logs[i] } else { -12.0 })).collect();
        let made = frames_of(&sound(Isa::detect(), &frames, 1));
        let apart = wanted[20..180].iter().zip(&made[20..180]).flat_map(|(a, b)| a[..BINS].iter().zip(&b[..BINS]));
        let (sum, count) = apart.fold((0.0, 0), |(sum, count), (a, b)| (sum + f64::from((a - b).abs()), count + 1));
        // 0.21; without a round 0.34.
        assert!(sum / f64::from(count) < 0.25, "{}", sum / f64::from(count));
    }

    #[test]
    fn all_instruction_sets_give_the_same_samples_and_seeds_others() {
        let frames: Vec<[f32; FRAME_VALUES]> =
            (0..29).map(|t| std::array::from_fn(|i| -4.0 + 3.0 * ((t * 7 + i * i % 31) as f32 * 0.37).sin())).collect();
        let first = Isa::available().next().unwrap();
        let wanted = sound(first, &frames, 5);
        for isa in Isa::available() {
            assert_eq!(sound(isa, &frames, 5), wanted, "{isa}");
        }
        assert_ne!(sound(first, &frames, 6), wanted);
        assert!(wanted.iter().all(|x| x.is_finite()) && power(&wanted) > 0.0);
    }

    #[test]
    fn short_sounds_are_whole() {
        for count in 0..16 {
            assert_eq!(sound(Isa::detect(), &vec![[-3.0; FRAME_VALUES]; count], 1).len(), count * STEP);
        }
    }

    #[test]
    fn what_is_not_a_number_or_far_too_loud_stays_bounded() {
        let mut frame = [f32::INFINITY; FRAME_VALUES];
        frame[7] = f32::NAN;
        let made = sound(Isa::detect(), &[frame; 3], 1);
        assert!(made.iter().all(|x| x.is_finite()), "clamped");
    }
}
