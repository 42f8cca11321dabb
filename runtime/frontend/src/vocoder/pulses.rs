//! A pulse train of a given pitch: all harmonics below 11 kHz at unit amplitude, `sin((h + 1/2) t) / (2 sin(t / 2)) - 1/2` at phase `t`.

use ossicle_kernels::math::sin_cos_turns;
use ossicle_kernels::simd::{LANES, Simd};

use super::{HOP_SAMPLES, Hops, MAX_AHEAD, SAMPLE_RATE, VocoderError};

/// Frames up to this pitch are unvoiced.
const LOWEST: f32 = 40.0;
/// No harmonic lies above this.
const HIGHEST: f32 = 11_000.0;
/// Below the smallest sine that is not zero: there the quotient's limit is taken.
const ZERO: f32 = 1e-9;
const VECTORS: usize = HOP_SAMPLES.div_ceil(LANES);

/// How far each sample of a hop lies between the middles of two frames.
static BETWEEN: [f32; HOP_SAMPLES] = {
    let (mut between, mut j) = ([0.0; HOP_SAMPLES], 0);
    while j < HOP_SAMPLES {
        between[j] = (j as f32 + 0.5) / HOP_SAMPLES as f32 + if j < HOP_SAMPLES / 2 { 0.5 } else { -0.5 };
        j += 1;
    }
    between
};

/// The pulse train so far.
pub(super) struct Pulses {
    frames: usize,
    /// Pitches given.
    known: usize,
    /// Hops computed.
    done: usize,
    /// Of frame `n` at `n % MAX_AHEAD`.
    pitches: [f32; MAX_AHEAD],
    /// In 2^64 parts of a turn.
    phase: u64,
}

impl Pulses {
    pub(super) const fn new() -> Self {
        Self { frames: 0, known: 0, done: 0, pitches: [0.0; MAX_AHEAD], phase: 0 }
    }

    pub(super) fn start(&mut self, frames: usize) {
        *self = Self { frames, ..Self::new() };
    }

    pub(super) fn known(&self) -> usize {
        self.known
    }

    pub(super) fn push(&mut self, pitches: &[f32]) -> Result<(), VocoderError> {
        // The hop before the next is still read.
        let most = self.frames.min(self.done.saturating_sub(1) + MAX_AHEAD);
        if self.known + pitches.len() > most {
            return Err(VocoderError::Pitch { have: self.known + pitches.len(), need: most });
        }
        for &pitch in pitches {
            self.pitches[self.known % MAX_AHEAD] = pitch;
            self.known += 1;
        }
        Ok(())
    }

    /// Computes the next hop into a column.
    #[inline(always)]
    pub(super) fn next<S: Simd>(&mut self, s: S, source: &mut Hops, column: usize) {
        let pitch = |frame: usize| self.pitches[frame.min(self.frames - 1) % MAX_AHEAD];
        let frame = self.done;
        let curve = [pitch(frame.saturating_sub(1)), pitch(frame), pitch(frame + 1)];
        self.done += 1;
        // Half the phase in 2^32 parts of a turn, signed, so that it is most exact where both sines are zero; and twice the harmonics plus
        // one, none of what is unvoiced.
        let (mut half, mut odd) = ([[0; LANES]; VECTORS], [[0; LANES]; VECTORS]);
        let mut steps = [0i64; HOP_SAMPLES];
        // Between the middles of frames, in a straight line.
        for (part, (a, b)) in [(curve[0], curve[1]), (curve[1], curve[2])].into_iter().enumerate() {
            let samples = part * HOP_SAMPLES / 2..(part + 1) * HOP_SAMPLES / 2;
            let odd = &mut odd.as_flattened_mut()[samples.clone()];
            for ((at, step), odd) in BETWEEN[samples.clone()].iter().zip(&mut steps[samples]).zip(odd) {
                let hertz = a * (1.0 - at) + b * at;
                let voiced = hertz > LOWEST;
                let hertz = if voiced { hertz.min(HIGHEST) } else { LOWEST };
                // Exact enough in f64, and the same everywhere; below half a turn, so it has no sign.
                *step = (f64::from(hertz) * (18_446_744_073_709_551_616.0 / f64::from(SAMPLE_RATE))) as i64;
                *odd = if voiced { 2 * (HIGHEST / hertz) as i32 + 1 } else { 0 };
            }
        }
        for (step, half) in steps.iter().zip(half.as_flattened_mut()) {
            self.phase = self.phase.wrapping_add(step.cast_unsigned());
            *half = (self.phase.cast_signed() >> 33) as i32;
        }
        for (vector, (half, odd)) in half.iter().zip(&odd).enumerate() {
            let mut samples = [0.0; LANES];
            s.store(train(s, s.load_i32(half), s.load_i32(odd)), &mut samples);
            for (row, sample) in source[vector * LANES..].iter_mut().zip(samples) {
                row[column] = sample;
            }
        }
    }
}

#[inline(always)]
fn train<S: Simd>(s: S, half: S::I32, odd: S::I32) -> S::F32 {
    let turn = s.splat(1.0 / 4_294_967_296.0);
    let (below, _) = sin_cos_turns(s, s.mul(s.from_i32(half), turn));
    // Whole turns fall away in the product's upper bits.
    let (above, _) = sin_cos_turns(s, s.mul(s.from_i32(s.mul_i32(half, odd)), turn));
    let (below, limit) = (s.add(below, below), s.mul(s.from_i32(odd), s.splat(0.5)));
    let near = s.lt(s.abs(below), s.splat(ZERO));
    let quotient = s.div(above, s.select(near, s.splat(1.0), below));
    let sum = s.sub(s.select(near, limit, quotient), s.splat(0.5));
    s.select(s.lt(limit, s.splat(0.25)), s.splat(0.0), sum)
}

/// The two hops before the first: the samples after it, mirrored around sample 0.
pub(super) fn mirror_start(source: &mut Hops) {
    for j in 1..HOP_SAMPLES {
        source[j][1] = source[HOP_SAMPLES - j][2];
        source[j][0] = source[HOP_SAMPLES - j][3];
    }
    source[0][1] = source[0][3];
    source[0][0] = source[0][4];
}

/// The hop behind the last: the samples before it, mirrored around the last one.
pub(super) fn mirror_end(source: &mut Hops, column: usize) {
    let last = HOP_SAMPLES - 1;
    for j in 0..last {
        source[j][column] = source[last - 1 - j][column - 1];
    }
    source[last][column] = source[last][column - 2];
}
