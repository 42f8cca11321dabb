//! The host simulator: what a board computes, repeated or foretold on another machine.
//!
//! Everything here stands on the crates that run on the device; nothing on the device depends on this crate.

#![forbid(unsafe_code)]
