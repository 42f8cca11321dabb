//! File formats that checkpoints come in.

pub(crate) mod checkpoint;
pub mod pickle;
pub mod safetensors;
pub(crate) mod taken;
pub(crate) mod yaml;
