//! Layers that only Whisper has.

mod alignment;
mod conv_stem;
mod decoder;
mod lanes;
mod logits;
mod store;

pub(crate) use alignment::Alignment;
pub(crate) use conv_stem::ConvStem;
pub(crate) use decoder::{CrossAttention, Embed, StepRows};
pub use lanes::{Branch, LANE_TOKENS, MAX_LANES};
pub(crate) use lanes::{Lanes, Rows};
pub(crate) use logits::{LogitRows, Logits};
pub(crate) use store::Store;

/// Widest residual stream, for rows kept on the stack.
pub(crate) const MAX_WIDTH: usize = 2048;
