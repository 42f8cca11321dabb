//! The operators: each a [`Layer`](ossicle_engine::plan::Layer) over the functions of `ossicle-kernels`, split over the threads.

mod alignment;
mod attention;
mod context;
mod conv_stem;
mod decoder;
mod feed_forward;
mod lanes;
mod layer_norm;
mod linear_add;
mod logits;
mod qkv;
mod store;

pub(crate) use alignment::Alignment;
pub(crate) use attention::Attention;
pub(crate) use context::{Context, Norm, RowBuffers, Sizes, Workspace};
pub(crate) use conv_stem::ConvStem;
pub(crate) use decoder::{CausalAttention, CrossAttention, Embed, TokenAttention};
pub(crate) use feed_forward::FeedForward;
pub use lanes::{Branch, LANE_TOKENS, MAX_LANES};
pub(crate) use lanes::{Lanes, Rows};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear_add::LinearAdd;
pub(crate) use logits::{LogitRows, Logits};
pub(crate) use qkv::{CrossKeysValues, QkvProjection, pack_heads, put_keys};
pub(crate) use store::Store;

use tract_core::internal::*;

/// Tokens whose intermediate results are in memory at a time, on each thread: a multiple of 12 (the tallest tile) and of 16 (a key block).
pub(crate) const ROWS: usize = 48;

/// Widest residual stream, for rows kept on the stack.
pub(crate) const MAX_WIDTH: usize = 2048;

pub(crate) fn f32s(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

pub(crate) fn f32s_mut(tensor: &mut Tensor) -> TractResult<&mut [f32]> {
    Ok(bytemuck::cast_slice_mut(tensor.as_bytes_mut()))
}

pub(crate) fn i8s(tensor: &Tensor) -> TractResult<&[i8]> {
    tensor.try_as_plain_ram()?.as_slice::<i8>()
}

pub(crate) fn i8s_mut(tensor: &mut Tensor) -> TractResult<&mut [i8]> {
    Ok(bytemuck::cast_slice_mut(tensor.as_bytes_mut()))
}
