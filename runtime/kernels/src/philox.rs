//! Random numbers by counter: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
//!
//! A number belongs to a key and a place, not to the one before it, so neither the order of work nor the number of threads changes it.

use crate::math::{log, sin_cos_turns};
use crate::simd::{Isa, LANES, Simd, SimdOp};

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// Four random words for a counter and a key.
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let lanes = philox_lanes(counter.map(|word| [word]), key);
    lanes.map(|[word]| word)
}

/// The same for `N` counters at once, word by word.
#[inline(always)]
#[must_use]
pub fn philox_lanes<const N: usize>(mut words: [[u32; N]; 4], mut key: [u32; 2]) -> [[u32; N]; 4] {
    for _ in 0..ROUNDS {
        let mut next = [[0; N]; 4];
        for lane in 0..N {
            // Exact in 64 bits.
            let a = u64::from(words[0][lane]) * u64::from(MULTIPLIERS[0]);
            let b = u64::from(words[2][lane]) * u64::from(MULTIPLIERS[1]);
            next[0][lane] = (b >> 32) as u32 ^ words[1][lane] ^ key[0];
            next[1][lane] = b as u32;
            next[2][lane] = (a >> 32) as u32 ^ words[3][lane] ^ key[1];
            next[3][lane] = a as u32;
        }
        words = next;
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    words
}

/// Pairs of independent normal values of mean 0 and variance 1 from pairs of random words (Box and Muller 1958).
#[inline(always)]
pub fn normal_pairs<S: Simd>(s: S, radius: &[u32; LANES], angle: &[u32; LANES]) -> (S::F32, S::F32) {
    const STEP: f32 = 1.0 / 16_777_216.0;
    let (mut upper, mut turns) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        // 24 bits, which f32 holds; and a signed fraction of a turn.
        upper[lane] = (radius[lane] >> 8).cast_signed();
        turns[lane] = angle[lane].cast_signed();
    }
    // Between the steps: never 0, whose logarithm there is none of.
    let uniform = s.fma(s.from_i32(s.load_i32(&upper)), s.splat(STEP), s.splat(0.5 * STEP));
    let radius = s.sqrt(s.max(s.mul(log(s, uniform), s.splat(-2.0)), s.splat(0.0)));
    let (sin, cos) = sin_cos_turns(s, s.mul(s.from_i32(s.load_i32(&turns)), s.splat(1.0 / 4_294_967_296.0)));
    (s.mul(radius, cos), s.mul(radius, sin))
}

/// Fills `out` with independent normal values of mean 0 and variance 1, which belong to the key and to the place alone.
pub fn normal_row(isa: Isa, key: [u32; 2], place: [u32; 3], out: &mut [f32]) {
    isa.dispatch(NormalRow { key, place, out });
}

struct NormalRow<'a> {
    key: [u32; 2],
    place: [u32; 3],
    out: &'a mut [f32],
}

impl SimdOp for NormalRow<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { key, place: [a, b, c], out } = self;
        // Four words of each lane's counter are four values.
        for (block, out) in out.chunks_mut(4 * LANES).enumerate() {
            let counter = core::array::from_fn(|lane| (block * LANES + lane) as u32);
            let words = philox_lanes([counter, [a; LANES], [b; LANES], [c; LANES]], key);
            let (first, second) = (normal_pairs(s, &words[0], &words[1]), normal_pairs(s, &words[2], &words[3]));
            for (out, values) in out.chunks_mut(LANES).zip([first.0, first.1, second.0, second.1]) {
                s.store_partial(values, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_paper() {
        // The known answers that the authors' library checks itself with.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    struct Draw<'a>(&'a mut Vec<f32>);

    impl SimdOp for Draw<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            for block in 0..1 << 12 {
                let counter = core::array::from_fn(|lane| block * LANES as u32 + lane as u32);
                let words = philox_lanes([counter, [1; LANES], [2; LANES], [3; LANES]], [4, 5]);
                for (radius, angle) in [(&words[0], &words[1]), (&words[2], &words[3])] {
                    let (re, im) = normal_pairs(s, radius, angle);
                    for v in [re, im] {
                        let mut lanes = [0.0; LANES];
                        s.store(v, &mut lanes);
                        self.0.extend(lanes);
                    }
                }
            }
        }
    }

    #[test]
    fn normal_values_are_normal_and_the_same_everywhere() {
        let mut first: Option<Vec<u32>> = None;
        for isa in Isa::available() {
            let mut values = vec![];
            isa.dispatch(Draw(&mut values));
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{isa}");
            let count = values.len() as f64;
            let moment = |n: i32| values.iter().map(|&x| f64::from(x).powi(n)).sum::<f64>() / count;
            for (n, want, tolerance) in [(1, 0.0, 0.008), (2, 1.0, 0.012), (3, 0.0, 0.03), (4, 3.0, 0.1)] {
                assert!((moment(n) - want).abs() < tolerance, "moment {n} is {}", moment(n));
            }
            let beyond = |limit: f32| values.iter().filter(|x| x.abs() > limit).count() as f64 / count;
            assert!((beyond(1.0) - 0.3173).abs() < 0.005 && (beyond(3.0) - 0.0027).abs() < 0.0004);
        }
    }

    #[test]
    fn rows_belong_to_their_place() {
        let row = |isa, place, count| {
            let mut row = vec![0.0; count];
            normal_row(isa, [4, 5], place, &mut row);
            row.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        let scalar = Isa::available().next().expect("scalar code");
        let wanted = row(scalar, [1, 2, 3], 201);
        for isa in Isa::available() {
            assert_eq!(row(isa, [1, 2, 3], 201), wanted, "{isa}");
            assert_eq!(row(isa, [1, 2, 3], 70), wanted[..70], "{isa}");
        }
        let distinct = |other: Vec<u32>| other.iter().zip(&wanted).all(|(a, b)| a != b);
        assert!([[0, 2, 3], [1, 0, 3], [1, 2, 0]].into_iter().all(|place| distinct(row(scalar, place, 201))));
    }

    #[test]
    fn extreme_words_give_finite_values() {
        struct Extremes;
        impl SimdOp for Extremes {
            type Output = ();

            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                for word in [0, 1, 255, 256, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
                    for angle in [0, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                        let (re, im) = normal_pairs(s, &[word; LANES], &[angle; LANES]);
                        for v in [re, im] {
                            assert!(s.reduce_max(s.abs(v)) < 6.0);
                        }
                    }
                }
            }
        }
        Isa::available().for_each(|isa| isa.dispatch(Extremes));
    }
}
