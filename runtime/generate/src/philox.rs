//! Random numbers that count instead of remembering.

/// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): each block of four words is a function
/// of the key and of where it stands, so neither the order of draws nor threads matter.
///
/// ```
/// use ossicle_generate::Philox;
///
/// let random = Philox::new(7);
/// let draw = random.uniform(2, 40);
/// assert!((0.0..1.0).contains(&draw));
/// assert_eq!(draw, Philox::new(7).uniform(2, 40));
/// assert_ne!(draw, random.uniform(2, 41));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// Numbers that belong to a seed: its low word is the key's first.
    pub fn new(seed: u64) -> Self {
        Self { key: words(seed) }
    }

    /// The four words of a counter.
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        ossicle_kernels::philox::philox(counter, self.key)
    }

    /// A number in 0.0..1.0, a multiple of 2^-32: that of `position` in `stream`.
    pub fn uniform(&self, stream: u32, position: u64) -> f64 {
        let [low, high] = words(position);
        let [word, ..] = self.block([low, high, stream, 0]);
        f64::from(word) / 4_294_967_296.0
    }
}

/// The low and the high word.
fn words(value: u64) -> [u32; 2] {
    // Cut to their 32 bits on purpose.
    [value as u32, (value >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123, `kat_vectors`, philox4x32 with 10 rounds.
    #[test]
    fn blocks_are_those_of_random123() {
        let cases = [
            ([0, 0], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 2], [u32::MAX; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (key, counter, want) in cases {
            assert_eq!(Philox { key }.block(counter), want);
        }
    }

    #[test]
    fn seed_stream_and_position_each_count() {
        let draws = [
            Philox::new(1).uniform(0, 0),
            Philox::new(1 << 32).uniform(0, 0),
            Philox::new(1).uniform(1, 0),
            Philox::new(1).uniform(0, 1),
            Philox::new(1).uniform(0, 1 << 32),
        ];
        for (i, draw) in draws.iter().enumerate() {
            assert!((0.0..1.0).contains(draw) && !draws[..i].contains(draw), "{draws:?}");
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let random = Philox::new(99);
        let mut tenths = [0; 10];
        for position in 0..10_000 {
            tenths[(10.0 * random.uniform(3, position)) as usize] += 1;
        }
        // A binomial's deviation is 30.
        assert!(tenths.iter().all(|&count| (880..1120).contains(&count)), "{tenths:?}");
    }
}
