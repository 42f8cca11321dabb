//! ONNX: a layer of ours written as standard operators, and files read for YAMNet.

mod layer;
pub(crate) mod builder;
pub(crate) mod proto;
pub(crate) mod read;

pub use layer::{INPUT, OUTPUT, linear};
