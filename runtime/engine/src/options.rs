//! How to compute.

use ossicle_kernels::simd::Isa;

/// How to compute. No choice changes a bit of any result.
///
/// ```
/// let options = ossicle_engine::Options::default().threads(4);
/// assert_eq!(options.threads, 4);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instruction set.
    pub isa: Isa,
    /// Threads, the caller included; held to 1..=8.
    pub threads: usize,
}

/// The best instruction set, one thread.
impl Default for Options {
    fn default() -> Self {
        Self { isa: Isa::detect(), threads: 1 }
    }
}

impl Options {
    /// With so many threads, the caller included; held to 1..=8.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// With another instruction set, one that this machine has.
    #[must_use]
    pub fn isa(self, isa: Isa) -> Self {
        Self { isa, ..self }
    }
}
