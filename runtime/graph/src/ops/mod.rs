//! The operators: each a [`Layer`](ossicle_engine::layer::Layer) over the functions of `ossicle-kernels`, split over the threads.

mod alignment;
mod attention;
mod conv_stem;
mod decoder;
mod feed_forward;
mod lanes;
mod layer_norm;
mod linear_add;
mod logits;
mod qkv;
mod rows;
mod store;

pub(crate) use alignment::Alignment;
pub(crate) use attention::Attention;
pub(crate) use conv_stem::ConvStem;
pub(crate) use decoder::{CausalAttention, CrossAttention, Embed, TokenAttention};
pub(crate) use feed_forward::FeedForward;
pub use lanes::{Branch, LANE_TOKENS, MAX_LANES};
pub(crate) use lanes::{Lanes, Rows};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear_add::LinearAdd;
pub(crate) use logits::{LogitRows, Logits};
pub(crate) use qkv::{CrossKeysValues, QkvProjection, pack_heads, put_keys};
pub(crate) use rows::{Norm, RowBuffers, UnsignedBuffers, attention_need, attention_scratch};
pub(crate) use store::Store;

pub(crate) use ossicle_engine::session::ROWS;

/// Widest residual stream, for rows kept on the stack.
pub(crate) const MAX_WIDTH: usize = 2048;
