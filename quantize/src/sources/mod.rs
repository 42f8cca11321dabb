//! File formats that checkpoints come in.

pub mod pickle;
