//! Layers that only Whisper has.

mod alignment;
mod conv_stem;
mod cross_keys_values;
mod decoder;
mod lanes;
mod logits;
mod store;

pub(crate) use alignment::Alignment;
pub(crate) use conv_stem::ConvStem;
pub(crate) use cross_keys_values::CrossKeysValues;
pub(crate) use decoder::{CausalAttention, CrossAttention, Embed, TokenAttention};
pub use lanes::{Branch, LANE_TOKENS, MAX_LANES};
pub(crate) use lanes::{Lanes, Rows};
pub(crate) use logits::{LogitRows, Logits};
pub(crate) use store::Store;

/// Widest residual stream, for rows kept on the stack.
pub(crate) const MAX_WIDTH: usize = 2048;
