//! Seeded inputs and the instruction sets to compare.

use ossicle_kernels::simd::Isa;

/// A 64-bit generator by Marsaglia (xorshift, 2003): the same inputs in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in [-1, 1).
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// In [-127, 127].
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| ((self.next() % 255) as i32 - 127) as i8).collect()
    }
}

/// All instruction sets of this CPU; the ones it lacks are printed.
pub(crate) fn isas() -> Vec<Isa> {
    for name in Isa::NAMES {
        if Isa::from_name(name).is_err() {
            println!("SKIPPED: this CPU lacks {name}");
        }
    }
    Isa::available().collect()
}

pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}
