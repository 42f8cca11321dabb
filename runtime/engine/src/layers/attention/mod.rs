//! Attention. All layers share [`HeadSize`], one split of queries, keys and values over the threads ([`Quantized`]), and the kernels; they
//! differ in where keys and values come from:
//!
//! | layer | keys and values | arithmetic |
//! |---|---|---|
//! | [`SelfAttention`] | of the same rows, with a [`Mask`]; any head size up to 64 | 8 bits |
//! | [`QkvProjection`], then [`Attention`] | of the same rows, in one pass with the projection | 8 bits |
//! | [`CachedAttention`] | of the rows so far, in a [`Causal`](crate::cache::Causal) cache | 8 bits |
//! | [`CrossKeysValues`], then [`TokenQueries`] | of other rows, in a [`Cross`](crate::cache::Cross) cache | 8 bits |
//! | [`FloatAttention`] | of the same rows, with [`Positions`]; any head size | f32 |

mod cached;
mod cross;
mod float;
mod heads;
mod projected;
mod projection;
mod relative;
mod tokens;
mod whole;

pub use cached::{CachedAttention, CausalRows, record_cache};
pub use cross::{CrossCaches, CrossKeysValues};
pub use float::FloatAttention;
pub use heads::{HeadPart, HeadSize, Quantized};
pub use projected::Attention;
pub use projection::QkvProjection;
pub use relative::{Positions, RelativePositions};
pub use tokens::{TokenQueries, TokenRows, attend_cached, cross_need, cross_scratch};
pub use whole::{Mask, SelfAttention};
