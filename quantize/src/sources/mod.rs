//! File formats that checkpoints come in.

pub(crate) mod checkpoint;
pub mod pickle;
