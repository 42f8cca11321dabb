//! What networks that score sounds have in common: [`YamnetGraph`](crate::yamnet::YamnetGraph) and the head on Whisper's encoder.

mod classifier;
mod linear;
mod temporal;

pub(crate) use classifier::{Classifier, Sigmoid};
pub(crate) use linear::UnsignedLinear;
pub use temporal::TAPS;
pub(crate) use temporal::{Temporals, dilations_problem};

/// `out + x`, value by value.
pub(crate) fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// Whatever is not above zero is +0.
pub(crate) fn relu(x: &mut [f32]) {
    for x in x {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}
