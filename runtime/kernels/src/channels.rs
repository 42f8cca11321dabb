//! Normalisation of maps `[positions][channels]`, each channel over all positions (Ulyanov, Vedaldi and Lempitsky 2016, "Instance
//! normalization"), and the activations that decoders of speech have after it.

use crate::fault;
use crate::math::sin_squared;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// What is applied to a normalised value.
#[derive(Clone, Copy, Debug)]
pub enum Bend<'a> {
    /// What is below zero times this.
    Leaky(f32),
    /// `y + inverse * sin(pi * turns * y)^2`, each channel with figures of its own (Ziyin, Hartwig and Ueda 2020, "Snake").
    Snake {
        /// `[channels]`
        turns: &'a [f32],
        /// `[channels]`
        inverse: &'a [f32],
    },
}

/// Of each channel of `map` the mean and the sum of squared deviations from it, `[2][channels]`.
///
/// # Panics
/// If the channels are not a multiple of 16, or `map` is not whole positions, at least one.
pub fn channel_moments(isa: Isa, map: &[f32], out: &mut [f32]) {
    isa.dispatch(Moments { map, out: &mut *out });
    fault::f32s("channel_moments", isa.name(), out);
}

struct Moments<'a> {
    map: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let channels = self.out.len() / 2;
        let (map, rest) = self.map.as_chunks::<LANES>();
        let (out, more) = self.out.as_chunks_mut::<LANES>();
        let vectors = channels / LANES;
        assert!(rest.is_empty() && more.is_empty() && out.len() == 2 * vectors && vectors > 0, "{channels} channels");
        assert!(!map.is_empty() && map.len().is_multiple_of(vectors), "{} values of {channels} channels", self.map.len());
        let count = s.splat((map.len() / vectors) as f32);
        for vector in 0..vectors {
            let mut sum = s.splat(0.0);
            for x in map[vector..].iter().step_by(vectors) {
                sum = s.add(sum, s.load(x));
            }
            let mean = s.div(sum, count);
            let mut squares = s.splat(0.0);
            for x in map[vector..].iter().step_by(vectors) {
                let deviation = s.sub(s.load(x), mean);
                squares = s.fma(deviation, deviation, squares);
            }
            s.store(mean, &mut out[vector]);
            s.store(squares, &mut out[vectors + vector]);
        }
    }
}

/// `bend(fma(x - mean, factor, shift))` of each value, with the mean, factor and shift of its channel: `affine` is `[3][channels]`.
///
/// # Panics
/// If the channels are not a multiple of 16, `map` and `out` differ in length or are not whole positions, or a snake has other channels.
pub fn normalize_channels(isa: Isa, map: &[f32], affine: &[f32], bend: Bend<'_>, out: &mut [f32]) {
    isa.dispatch(Normalize { map, affine, bend, out: &mut *out });
    fault::f32s("normalize_channels", isa.name(), out);
}

struct Normalize<'a> {
    map: &'a [f32],
    affine: &'a [f32],
    bend: Bend<'a>,
    out: &'a mut [f32],
}

impl SimdOp for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let channels = self.affine.len() / 3;
        let (affine, rest) = self.affine.as_chunks::<LANES>();
        let vectors = channels / LANES;
        assert!(rest.is_empty() && affine.len() == 3 * vectors && vectors > 0, "{channels} channels");
        assert!(self.map.len() == self.out.len() && self.map.len().is_multiple_of(channels), "{} values", self.map.len());
        let ((means, rest), map) = (affine.split_at(vectors), self.map.as_chunks::<LANES>().0);
        let ((factors, shifts), out) = (rest.split_at(vectors), self.out.as_chunks_mut::<LANES>().0);
        let affine = Affine { means, factors, shifts };
        match self.bend {
            Bend::Leaky(slope) => {
                let (zero, slope) = (s.splat(0.0), s.splat(slope));
                for (x, out) in map.chunks_exact(vectors).zip(out.chunks_exact_mut(vectors)) {
                    for (c, (x, out)) in x.iter().zip(out).enumerate() {
                        let y = affine.of(s, x, c);
                        s.store(s.select(s.lt(zero, y), y, s.mul(slope, y)), out);
                    }
                }
            }
            Bend::Snake { turns, inverse } => {
                assert!(turns.len() == channels && inverse.len() == channels, "a snake of {} channels", turns.len());
                let (turns, inverse) = (turns.as_chunks::<LANES>().0, inverse.as_chunks::<LANES>().0);
                for (x, out) in map.chunks_exact(vectors).zip(out.chunks_exact_mut(vectors)) {
                    for (c, (x, out)) in x.iter().zip(out).enumerate() {
                        let y = affine.of(s, x, c);
                        s.store(s.fma(s.load(&inverse[c]), sin_squared(s, s.mul(y, s.load(&turns[c]))), y), out);
                    }
                }
            }
        }
    }
}

/// Figures of channels, by vectors.
struct Affine<'a> {
    means: &'a [[f32; LANES]],
    factors: &'a [[f32; LANES]],
    shifts: &'a [[f32; LANES]],
}

impl Affine<'_> {
    /// Vector `c` of a position, normalised.
    #[inline(always)]
    fn of<S: Simd>(&self, s: S, x: &[f32; LANES], c: usize) -> S::F32 {
        s.fma(s.sub(s.load(x), s.load(&self.means[c])), s.load(&self.factors[c]), s.load(&self.shifts[c]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::angle;

    /// Angles of pairs, in place of the second of each.
    struct Angles<'a>(&'a [f32], &'a mut [f32]);

    impl SimdOp for Angles<'_> {
        type Output = ();

        fn eval<S: Simd>(self, s: S) {
            for (x, y) in self.0.as_chunks::<LANES>().0.iter().zip(self.1.as_chunks_mut::<LANES>().0) {
                s.store(angle(s, s.load(y), s.load(x)), y);
            }
        }
    }

    #[test]
    fn angles_are_those_of_f64_and_the_same_everywhere() {
        let (mut x, mut y) = (values(1024, 3), values(1024, 9));
        x[..8].copy_from_slice(&[0.0, 0.0, 0.0, 1.0, -1.0, 1e-30, -1e-30, -3.0]);
        y[..8].copy_from_slice(&[0.0, 2.0, -2.0, 0.0, 0.0, 1e-30, -1e-30, -0.0]);
        let of = |isa: Isa| {
            let mut out = y.clone();
            isa.dispatch(Angles(&x, &mut out));
            out
        };
        let scalar = of(Isa::Scalar(crate::simd::Scalar));
        assert_eq!((scalar[0], scalar[4], scalar[7]), (0.0, std::f32::consts::PI, std::f32::consts::PI));
        for ((x, y), found) in x.iter().zip(&y).zip(&scalar).take(7).chain(x.iter().zip(&y).zip(&scalar).skip(8)) {
            let wanted = f64::from(*y).atan2(f64::from(*x));
            assert!((f64::from(*found) - wanted).abs() < 6e-7, "({x}, {y}): {found} {wanted}");
        }
        assert!(Isa::available().all(|isa| of(isa) == scalar));
    }

    /// Values without a pattern, about -3 to 3.
    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 * 3.0 - 3.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn moments_are_those_of_f64_and_the_same_everywhere() {
        for (rows, channels) in [(1, 16), (7, 48), (256, 128)] {
            let map: Vec<f32> = values(rows * channels, 7).iter().enumerate().map(|(i, x)| x + (i % channels) as f32).collect();
            let mut scalar = vec![f32::NAN; 2 * channels];
            channel_moments(Isa::Scalar(crate::simd::Scalar), &map, &mut scalar);
            for c in 0..channels {
                let own = || map.iter().skip(c).step_by(channels).map(|x| f64::from(*x));
                let mean = own().sum::<f64>() / rows as f64;
                let squares: f64 = own().map(|x| (x - mean) * (x - mean)).sum();
                assert!((f64::from(scalar[c]) - mean).abs() < 2e-5 * mean.abs().max(1.0), "{rows} {channels} {c}");
                assert!((f64::from(scalar[channels + c]) - squares).abs() <= 1e-4 * squares.max(1e-3), "{rows} {channels} {c}");
            }
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; 2 * channels];
                channel_moments(isa, &map, &mut out);
                assert_eq!(out, scalar, "{}", isa.name());
            }
        }
    }

    #[test]
    fn normalised_values_are_those_of_f64_and_the_same_everywhere() {
        let (rows, channels) = (5, 32);
        let (map, affine) = (values(rows * channels, 3), values(3 * channels, 5));
        let turns: Vec<f32> = values(channels, 11).iter().map(|x| x.abs() * 4.0 + 0.1).collect();
        let inverse: Vec<f32> = turns.iter().map(|x| 1.0 / x).collect();
        for bend in [Bend::Leaky(0.2), Bend::Snake { turns: &turns, inverse: &inverse }] {
            let mut scalar = vec![f32::NAN; map.len()];
            normalize_channels(Isa::Scalar(crate::simd::Scalar), &map, &affine, bend, &mut scalar);
            for (i, (x, found)) in map.iter().zip(&scalar).enumerate() {
                let c = i % channels;
                let [mean, factor, shift] = [0, 1, 2].map(|part| f64::from(affine[part * channels + c]));
                let y = (f64::from(*x) - mean) * factor + shift;
                let wanted = match bend {
                    Bend::Leaky(_) if y > 0.0 => y,
                    Bend::Leaky(slope) => f64::from(slope) * y,
                    Bend::Snake { .. } => {
                        let sine = (std::f64::consts::PI * f64::from(turns[c]) * y).sin();
                        y + f64::from(inverse[c]) * sine * sine
                    }
                };
                assert!((f64::from(*found) - wanted).abs() < 4e-4, "{bend:?} {i}: {found} {wanted}");
            }
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; map.len()];
                normalize_channels(isa, &map, &affine, bend, &mut out);
                assert_eq!(out, scalar, "{}", isa.name());
            }
        }
    }
}
