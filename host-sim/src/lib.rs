//! The host simulator: what a board computes, repeated or foretold on another machine.
//!
//! Everything here stands on the crates that run on the device; nothing on the device depends on this crate.
//!
//! [`replay`](replay::replay) repeats a traced run and names the first tensor that differs; [`diff`](diff::diff) compares two traces;
//! [`report`] says it in words; [`plan`] predicts memory and times. `docs/trace.md` describes traces, `docs/debugging-a-mismatch.md` what to do with them.

#![forbid(unsafe_code)]

pub mod check;
pub mod diff;
pub mod finding;
pub mod plan;
pub mod replay;
pub mod report;
pub mod spread;
pub mod subject;
