//! Layers that models are wired from, each over the functions of `ossicle-kernels`.

pub mod attention;
pub mod map;
pub mod sequence;
pub mod signal;

mod arithmetic;
mod classifier;
mod conv_next;
mod feed_forward;
mod float_linear;
mod flow_linear;
mod layer_norm;
mod linear_add;
mod patches;
mod row_conv;
mod rows;
mod taps;
mod temporal;
mod unsigned;
mod upsample;

pub use arithmetic::{add, leaky_relu, relu};
pub use classifier::{Classifier, Sigmoid};
pub use conv_next::{ConvNext, ConvNextShape, record_inside};
pub use feed_forward::FeedForward;
pub use float_linear::{Embed, FloatLinear, Project};
pub use flow_linear::{FlowLinear, FlowLinearShape};
pub use layer_norm::LayerNorm;
pub use linear_add::LinearAdd;
pub use patches::{ConvPlane, FilterSpans, MeanPool, Separable, SeparableShape};
pub use row_conv::{After, Residual, RowConv};
pub use rows::{Norm, RowBuffers, UnsignedBuffers};
pub use taps::{BLOCK, TapBuffers, Taps, TapsShape};
pub use temporal::{TAPS, Temporals, dilations_problem};
pub use unsigned::UnsignedLinear;
pub use upsample::{ToSamples, Upsample};
