//! Model families (Whisper, YAMNet, MiniLM, CLIP, EnCodec, a codec of spectra, AudioGen, T5, VITS, Kokoro, networks from ONNX)
//! as graphs of integer layers, on [`ossicle_engine`].
//!
//! A [`folder::ModelFolder`] maps a model's weights; [`whisper::WhisperGraph`], [`yamnet::YamnetGraph`] and
//! [`network::NetworkGraph`] wire layers to graphs, plan every buffer beforehand, and then run without touching the heap.

#![forbid(unsafe_code)]

pub mod audiogen;
pub mod clip;
pub mod encodec;
pub mod hibari;
pub mod kokoro;
pub mod minilm;
pub mod network;
pub mod spectral;
pub mod t5;
pub mod vits;
pub mod whisper;
pub mod whisper_events;
pub mod yamnet;

mod codebooks;
mod graph;
mod limits;

pub use graph::Graph;

pub use ossicle_engine::work::{Units, Work};
pub use ossicle_engine::{GraphError, MAX_THREADS, MOST_DEFAULT_THREADS, MemoryPlan, Options, default_threads};

/// A session over a folder's weights, for graphs that are made in one; its threads start here.
pub fn session(weights: &std::sync::Arc<folder::Weights>, options: Options) -> std::sync::Arc<ossicle_engine::Session> {
    ossicle_engine::Session::new(weights, options)
}

/// Model folders: the configuration and the memory-mapped weights.
pub mod folder {
    pub use ossicle_engine::weights::*;

    pub use crate::whisper::WhisperConfig;
}
