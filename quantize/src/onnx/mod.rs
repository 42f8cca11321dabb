//! ONNX: a layer of ours written as standard operators, and files read for YAMNet.

pub(crate) mod builder;
mod layer;
pub(crate) mod proto;
pub(crate) mod read;

pub use layer::{INPUT, OUTPUT, linear};
