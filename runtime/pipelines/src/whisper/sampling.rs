//! Random choice with a fixed seed.

/// SplitMix64: a 64-bit counter stepped by the golden ratio and mixed. The same seed gives the same choices on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn next_unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An index with probability proportional to its weight (not negative, not all zero), summed in order in f64.
    ///
    /// # Panics
    /// If no weight is positive.
    pub fn choose(&mut self, weights: &[f32]) -> usize {
        let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let mut left = self.next_unit() * total;
        let mut last = None;
        for (i, &w) in weights.iter().enumerate().filter(|&(_, &w)| w > 0.0) {
            last = Some(i);
            left -= f64::from(w);
            if left < 0.0 {
                break;
            }
        }
        last.expect("a positive weight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequence() {
        // First outputs of SplitMix64 from seed 1234567 as published with the algorithm.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn frequencies_follow_the_weights_and_zeros_are_never_chosen() {
        let mut rng = Rng::new(1);
        let mut counts = [0u32; 4];
        for _ in 0..40_000 {
            counts[rng.choose(&[1.0, 0.0, 3.0, 0.0])] += 1;
        }
        assert_eq!((counts[1], counts[3]), (0, 0));
        assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    }
}
