//! How to compute.

use ossicle_kernels::simd::Isa;

/// How to compute. No choice changes a bit of any result.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instruction set.
    pub isa: Isa,
    /// Threads, the caller included; held to 1..=8.
    pub threads: usize,
}
