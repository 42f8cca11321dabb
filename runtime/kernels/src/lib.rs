//! Kernels of the Ossicle runtime: integer matrix products, row quantisation, attention, normalisation and elementary functions.
//!
//! The promise: the same inputs give the same bits on every instruction set. Each kernel is written once over [`simd::Simd`]; its scalar
//! instantiation is the definition, the others are tested against it with `==`. Nothing here allocates, reads the clock or starts a thread.

#![cfg_attr(not(any(test, feature = "std")), no_std)]

pub mod activation;
pub mod attention;
pub mod bytes;
pub mod channels;
pub mod conv;
pub mod dot;
pub mod elementwise;
#[cfg(feature = "fault-injection")]
pub mod fault;
#[cfg(not(feature = "fault-injection"))]
#[path = "no_fault.rs"]
mod fault;
pub mod linear;
pub mod math;
pub mod multiply;
pub mod patches;
pub mod philox;
pub mod rows;
pub mod search;
pub mod simd;
pub mod window;
