//! From a frame's curves to what the pulse train's spectrum is multiplied by and what is added to it.

use ossicle_kernels::math::{exp, sin_cos_turns, tanh};
use ossicle_kernels::philox::{normal_pairs, philox_lanes};
use ossicle_kernels::simd::{LANES, Simd};

use super::{CURVE, FRAME_VALUES, HOP_SAMPLES};
use crate::arith::Lanes;

/// Logarithms of magnitudes above this count as this.
const LOUDEST: f32 = 7.0;
/// The spectrum comes doubled, and a unit cosine peaks at half the window's sum in it, which is one when divided by this.
const HARMONIC: f32 = 1.0 / (2 * HOP_SAMPLES) as f32;
/// Vectors of a curve, and of its half: two bins share a draw of four words.
const VECTORS: usize = CURVE / LANES;
const HALF: usize = VECTORS / 2;
const _: () = assert!(VECTORS == 2 * HALF);
/// Which draw each lane's noise is.
static COUNTERS: [[u32; LANES]; HALF] = {
    let (mut counters, mut i) = ([[0; LANES]; HALF], 0);
    while i < HALF * LANES {
        counters[i / LANES][i % LANES] = i as u32;
        i += 1;
    }
    counters
};

/// Whose noise a frame has.
#[derive(Clone, Copy)]
pub(super) struct Noise {
    pub(super) key: [u32; 2],
    pub(super) stream: u32,
    pub(super) frame: u32,
}

/// Computes a frame and puts it into its lane.
#[inline(always)]
pub(super) fn put<S: Simd>(
    s: S,
    frame: &[f32; FRAME_VALUES],
    noise: Noise,
    lane: usize,
    filter: &mut [[Lanes; 2]; CURVE],
    rest: &mut [[Lanes; 2]; CURVE],
) {
    let (vectors, _) = frame.as_chunks::<LANES>();
    for (pair, counter) in COUNTERS.iter().enumerate() {
        let words = philox_lanes([*counter, [noise.frame; LANES], [noise.stream; LANES], [0; LANES]], noise.key);
        put_vector(s, vectors, pair, normal_pairs(s, &words[0], &words[1]), lane, filter, rest);
        put_vector(s, vectors, pair + HALF, normal_pairs(s, &words[2], &words[3]), lane, filter, rest);
    }
}

#[inline(always)]
fn put_vector<S: Simd>(
    s: S,
    vectors: &[[f32; LANES]],
    at: usize,
    normal: (S::F32, S::F32),
    lane: usize,
    filter: &mut [[Lanes; 2]; CURVE],
    rest: &mut [[Lanes; 2]; CURVE],
) {
    let curve = |i: usize| s.load(&vectors[i * VECTORS + at]);
    let harmonic = s.mul(magnitude(s, curve(0)), s.splat(HARMONIC));
    let (sin, cos) = sin_cos_turns(s, s.mul(tanh(s, curve(1)), s.splat(0.5)));
    let (noise, free) = (magnitude(s, curve(2)), magnitude(s, curve(3)));
    // Far beyond any phase there is, and within what can be reduced to a turn.
    let turns = s.mul(curve(4), s.splat(0.5 * core::f32::consts::FRAC_1_PI));
    let turns = s.min(s.max(turns, s.splat(-524_288.0)), s.splat(524_288.0));
    let (free_sin, free_cos) = sin_cos_turns(s, turns);
    let values = [
        s.mul(harmonic, cos),
        s.mul(harmonic, sin),
        s.add(s.mul(noise, normal.0), s.mul(free, free_cos)),
        s.add(s.mul(noise, normal.1), s.mul(free, free_sin)),
    ];
    let mut lanes = [[0.0; LANES]; 4];
    for (value, lanes) in values.into_iter().zip(&mut lanes) {
        s.store(value, lanes);
    }
    let bins = at * LANES..(at + 1) * LANES;
    for (i, (filter, rest)) in filter[bins.clone()].iter_mut().zip(&mut rest[bins]).enumerate() {
        filter[0].0[lane] = lanes[0][i];
        filter[1].0[lane] = lanes[1][i];
        rest[0].0[lane] = lanes[2][i];
        rest[1].0[lane] = lanes[3][i];
    }
}

#[inline(always)]
fn magnitude<S: Simd>(s: S, log: S::F32) -> S::F32 {
    exp(s, s.min(log, s.splat(LOUDEST)))
}
