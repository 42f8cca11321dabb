//! The Wyoming protocol: events of one JSON line each, with more JSON and a payload behind it where the line says so.
//!
//! Written from <https://github.com/OHF-Voice/wyoming> (README of 1.10).

pub mod audio;
pub(crate) mod client;
pub mod event;
mod info;
mod refusal;
mod session;
mod speak;
mod spoken;
