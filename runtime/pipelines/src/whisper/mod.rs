//! Whisper: recordings to text.
//!
//! [`Pipeline`](pipeline::Pipeline) moves a window over the recording, computes log-mel features, lets an [`Engine`](engine::Engine)
//! encode them and decodes text under Whisper's rules, with the fallbacks and silence checks of [`options::Quality`].

pub mod align;
pub mod attempt;
mod attempts;
pub mod config;
pub mod decode;
mod emit;
pub mod encode_text;
pub mod engine;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
mod graph_engine;
pub mod hotwords;
pub mod language;
pub mod languages;
pub mod memory;
pub mod options;
pub mod pipeline;
pub mod quality;
mod reconsider;
mod recording;
pub mod refine;
pub mod repetition;
pub mod rules;
pub mod sampling;
pub mod scores;
mod second_choice;
pub mod segments;
pub mod short_windows;
mod slider;
pub mod specials;
mod speech;
pub mod tokenizer;
pub mod transcriber;
pub mod transcript;
mod transcription;
pub mod window;
mod word_times;
pub mod words;

pub use transcription::Transcription;
