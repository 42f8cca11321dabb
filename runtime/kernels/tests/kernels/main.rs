//! Every kernel against its definition, on every instruction set of this CPU.

#![allow(clippy::needless_range_loop, reason = "oracles index as the formulas do")]

mod activations;
mod attention;
mod bytes;
mod common;
mod convolutions;
mod guarded;
mod isa;
mod layers;
mod patches;
mod products;
mod search;
mod windows;
