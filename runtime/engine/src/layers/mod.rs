//! Layers that models are wired from, each over the functions of `ossicle-kernels`.

pub mod map;
pub mod sequence;
pub mod signal;

mod attention;
mod classifier;
mod conv_next;
mod feed_forward;
mod float_attention;
mod float_linear;
mod flow_linear;
mod layer_norm;
mod linear_add;
mod patches;
mod qkv;
mod row_conv;
mod rows;
mod taps;
mod temporal;
mod unsigned;
mod upsample;

pub use attention::Attention;
pub use classifier::{Classifier, Sigmoid};
pub use conv_next::{ConvNext, ConvNextShape, record_inside};
pub use feed_forward::FeedForward;
pub use float_attention::{FloatAttention, RelativePositions};
pub use float_linear::{Embed, FloatLinear, Project};
pub use flow_linear::{FlowLinear, FlowLinearShape};
pub use layer_norm::LayerNorm;
pub use linear_add::LinearAdd;
pub use patches::{ConvPlane, FilterSpans, MeanPool, Separable, SeparableShape};
pub use qkv::{QkvProjection, pack_heads, put_keys};
pub use row_conv::{After, Residual, RowConv};
pub use rows::{Norm, RowBuffers, UnsignedBuffers, attention_need, attention_scratch};
pub use taps::{BLOCK, TapBuffers, Taps, TapsShape};
pub use temporal::{TAPS, Temporals, dilations_problem};
pub use unsigned::UnsignedLinear;
pub use upsample::{ToSamples, Upsample};

/// `out + x`, value by value.
pub fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// Whatever is not above zero is +0.
pub fn relu(x: &mut [f32]) {
    for x in x {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// What is below zero times `slope`.
pub fn leaky_relu(x: &mut [f32], slope: f32) {
    for x in x {
        *x = if *x > 0.0 { *x } else { slope * *x };
    }
}
