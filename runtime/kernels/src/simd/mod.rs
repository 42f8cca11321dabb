//! Sixteen-lane vectors behind token types.
//!
//! A token (`Scalar`, `Avx2`, `Avx512Vnni`, `Neon`, `NeonDotprod`, `NeonI8mm`) can only be made on a CPU that has the instructions, so holding one is the proof that
//! its operations may run. Kernels are written once over [`Simd`], as a [`SimdOp`], and instantiated for each token; every operation is
//! exact or correctly rounded, so each instantiation produces the same bits.
//!
//! The methods of [`Simd`] are `#[inline(always)]` and carry no `#[target_feature]` themselves: they become vector instructions by being
//! inlined into the token's `run`, which does. Calling them outside of `run` is correct but slow. Closures are not always inlined: hot code
//! uses functions.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

mod isa;
mod token;
pub(crate) mod vector;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{Aarch64, Dotprod, I8mm, Multiply, Neon, NeonDotprod, NeonI8mm, Widening};
pub use isa::{Isa, IsaError};
pub use scalar::Scalar;
pub use token::{SimdOp, Token};
pub use vector::{LANES, Simd};
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512Vnni};
