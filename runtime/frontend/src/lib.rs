//! Audio front end: from samples of any rate to Whisper's and YAMNet's log-mel features.
//!
//! The promise: memory is fixed and belongs to the caller, nothing allocates, nothing panics on any audio, and the same samples give the same
//! bits on every instruction set, however they are cut into chunks. Audio enters through [`samples`] (finite, mono f32), becomes
//! 16 kHz in [`resample`] and features in [`mel`] or [`yamnet`]; [`vad`] and [`endpoint`] find who speaks when. [`vocoder`] and [`spectral`] go
//! the other way, from spectra to samples.
//!
//! All constants are committed tables, computed in f64 by `scripts/tables.py`. Outside of the kernels' logarithm no operation is fused:
//! every product and every sum is rounded by itself, so one frame in plain f32 equals the same frame in one lane of a vector.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod arith;
pub mod endpoint;
mod fft;
mod fft1200;
mod fft512;
mod log;
pub mod mel;
pub mod resample;
pub mod samples;
pub mod spectral;
mod stream;
mod tables;
pub mod vad;
pub mod vocoder;
pub mod yamnet;

/// Samples per second of everything behind the resampler.
pub const SAMPLE_RATE: u32 = 16_000;
