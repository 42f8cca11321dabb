//! Kernels over any instruction set, and what runs them.

use crate::dot::Products;

/// A kernel written over any instruction set.
pub trait SimdOp {
    /// What the kernel returns.
    type Output;

    /// Runs the kernel. Mark the implementation `#[inline(always)]`, so that it is compiled with the token's instructions.
    fn eval<S: Products>(self, simd: S) -> Self::Output;
}

/// An instruction set's token.
pub trait Token: Products {
    /// Runs `op` compiled with this token's instructions.
    fn run<O: SimdOp>(self, op: O) -> O::Output;
}
