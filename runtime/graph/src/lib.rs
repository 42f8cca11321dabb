//! Whisper, YAMNet and networks from ONNX as graphs of integer kernels on tract's plan.
//!
//! A [`folder::ModelFolder`] maps a model's weights; [`whisper::WhisperGraph`], [`yamnet::YamnetGraph`] and
//! [`network::NetworkGraph`] build tract models whose
//! operators are ours, plan every buffer beforehand, and then run without touching the heap.

pub mod folder;
pub mod network;
pub mod whisper;
pub mod whisper_events;
pub mod yamnet;

mod error;
mod ops;
mod options;
mod plan;
mod pool;
mod scoring;
mod taps;
mod verify;

pub use error::GraphError;
pub use options::Options;
pub use pool::{MAX_THREADS, MOST_DEFAULT_THREADS, default_threads};
