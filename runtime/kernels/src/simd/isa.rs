//! Choosing an instruction set.

use core::fmt;

#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512Vnni};
#[cfg(target_arch = "aarch64")]
use super::{Neon, NeonDotprod, NeonI8mm};
use super::{Scalar, Simd, SimdOp, Token};

/// An instruction set that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Portable Rust.
    Scalar(Scalar),
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 (F, BW, DQ, VL) with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// NEON without dot products.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// NEON with `sdot`.
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(NeonDotprod),
    /// NEON with `smmla`.
    #[cfg(target_arch = "aarch64")]
    NeonI8mm(NeonI8mm),
}

/// Why a name gave no [`Isa`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// No instruction set of that name exists for this architecture.
    Unknown,
    /// The name is known, but this CPU lacks the instructions.
    Unsupported,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IsaError::Unknown => "unknown instruction set",
            IsaError::Unsupported => "this CPU lacks the instruction set",
        })
    }
}

impl core::error::Error for IsaError {}

impl Isa {
    /// Names of all instruction sets of this architecture, slowest first, whether or not this CPU has them.
    #[cfg(target_arch = "x86_64")]
    pub const NAMES: &'static [&'static str] = &[Scalar::NAME, Avx2::NAME, Avx512Vnni::NAME];
    /// Names of all instruction sets of this architecture, slowest first, whether or not this CPU has them.
    #[cfg(target_arch = "aarch64")]
    pub const NAMES: &'static [&'static str] = &[Scalar::NAME, Neon::NAME, NeonDotprod::NAME, NeonI8mm::NAME];
    /// Names of all instruction sets of this architecture, slowest first, whether or not this CPU has them.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub const NAMES: &'static [&'static str] = &[Scalar::NAME];

    /// The fastest one this CPU has.
    ///
    /// ```
    /// let isa = ossicle_kernels::simd::Isa::detect();
    /// assert!(ossicle_kernels::simd::Isa::available().any(|known| known.name() == isa.name()));
    /// ```
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Isa::Scalar(Scalar))
    }

    /// All that this CPU has, slowest first.
    ///
    /// ```
    /// assert_eq!(ossicle_kernels::simd::Isa::available().next().map(|isa| isa.name()), Some("scalar"));
    /// ```
    pub fn available() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().filter_map(|name| Self::from_name(name).ok())
    }

    /// The instruction set that `--isa` and `OSSICLE_ISA` call `name`.
    ///
    /// ```
    /// assert!(ossicle_kernels::simd::Isa::from_name("scalar").is_ok());
    /// assert!(ossicle_kernels::simd::Isa::from_name("abacus").is_err());
    /// ```
    ///
    /// # Errors
    /// [`IsaError::Unknown`] for a name outside [`NAMES`](Isa::NAMES), [`IsaError::Unsupported`] when this CPU lacks it.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        match name {
            Scalar::NAME => Ok(Isa::Scalar(Scalar)),
            #[cfg(target_arch = "x86_64")]
            Avx2::NAME => Avx2::new().map(Isa::Avx2).ok_or(IsaError::Unsupported),
            #[cfg(target_arch = "x86_64")]
            Avx512Vnni::NAME => Avx512Vnni::new().map(Isa::Avx512Vnni).ok_or(IsaError::Unsupported),
            #[cfg(target_arch = "aarch64")]
            Neon::NAME => Neon::new().map(Isa::Neon).ok_or(IsaError::Unsupported),
            #[cfg(target_arch = "aarch64")]
            NeonDotprod::NAME => NeonDotprod::new().map(Isa::NeonDotprod).ok_or(IsaError::Unsupported),
            #[cfg(target_arch = "aarch64")]
            NeonI8mm::NAME => NeonI8mm::new().map(Isa::NeonI8mm).ok_or(IsaError::Unsupported),
            _ => Err(IsaError::Unknown),
        }
    }

    /// The name [`from_name`](Isa::from_name) takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar(_) => Scalar::NAME,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(_) => Avx512Vnni::NAME,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => Neon::NAME,
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod(_) => NeonDotprod::NAME,
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm(_) => NeonI8mm::NAME,
        }
    }

    /// Runs `op` compiled for this instruction set.
    #[inline]
    pub fn dispatch<O: SimdOp>(self, op: O) -> O::Output {
        match self {
            Isa::Scalar(token) => token.run(op),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => token.run(op),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) => token.run(op),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(token) => token.run(op),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod(token) => token.run(op),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm(token) => token.run(op),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
