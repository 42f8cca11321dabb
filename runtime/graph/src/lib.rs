//! Whisper as graphs of integer kernels on tract's plan.
//!
//! A [`folder::ModelFolder`] maps a model's weights; [`whisper::WhisperGraph`] builds the encoder and decoder as tract models whose
//! operators are ours, plans every buffer beforehand, and then runs without touching the heap.

pub mod folder;
pub mod whisper;

mod error;
mod ops;
mod plan;
mod pool;
mod taps;

pub use error::GraphError;
pub use pool::{MAX_THREADS, MOST_DEFAULT_THREADS, default_threads};
