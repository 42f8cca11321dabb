//! Turns float Whisper and YAMNet checkpoints into the int8 model folders the Ossicle runtime maps into memory.
//!
//! Runs on a host, never on the device. A source is read into one [`FloatModel`], whatever its file
//! format was; every shape is checked there. [`folder::write`] quantises and packs it tensor by
//! tensor. Sources are untrusted: a wrong byte is an [`Error`] that names file, place and reason,
//! never a panic.
//!
//! ```no_run
//! use ossicle_quantize::{folder, import};
//!
//! let source = import::open("whisper-tiny.en-ct2".as_ref())?;
//! folder::write(&source, "models-int8/whisper-tiny.en".as_ref(), &folder::Options::default())?;
//! # Ok::<(), ossicle_quantize::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod audiogen;
pub mod calibration;
pub mod captions;
mod card;
mod check;
pub mod clip;
mod codebook;
pub mod cost;
pub mod ct2;
mod ct2_model;
pub mod dense;
pub mod efficientnet;
pub mod encodec;
mod error;
pub mod events;
pub mod float;
pub mod float_folder;
pub mod floats;
pub mod folder;
pub mod generation;
pub mod head;
pub mod hf;
pub mod hibari;
pub mod import;
pub mod kokoro;
pub mod layout;
pub mod minilm;
pub mod network;
mod norm;
pub mod onnx;
pub mod pack;
pub mod phonemes;
pub mod piper;
pub mod reference;
pub mod report;
pub mod signal;
pub mod source;
pub mod sources;
pub mod spectral;
pub mod store;
pub mod t5;
mod tensors;
pub mod vectors;
pub mod yamnet;

pub(crate) use error::refusal;
pub use error::{Error, TensorProblem};
pub use float::FloatModel;
pub use source::Source;
