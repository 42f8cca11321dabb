//! Layers on maps. All maps but the input are `[positions][channels]`, f32, channels rounded up to whole vectors; the padding is zero.

mod bytes;
mod concat;
mod dense;
mod pointwise;
mod shape;
mod spatial;
mod tokens;

pub use bytes::{ByteAdd, ByteDense, ByteDepthwise, ByteMean, BytePool, Grid, PixelConv, Pixels, ToFloats};
pub use concat::{Concat, Copies};
pub use dense::{Dense, DenseF32, Packed};
pub use pointwise::{Affine, Join, Joined, Norm, ToScores, Unary};
pub use shape::{Block, MAX_INPUTS, Offset, Scores, Shape};
pub use spatial::{Depthwise, Mean, PoolWindows};
pub use tokens::{AddConstant, Embedding, Pad, Prepend, Take, TakeOne, UnitLength, unit_length};

use crate::GraphError;
use crate::layer::{Fact, Results};
use crate::recorder::Record;
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::simd::Isa;

/// The fact of a map.
fn map_fact(shape: Shape) -> Vec<Fact> {
    vec![Fact::f32([shape.positions(), shape.padded()])]
}

/// Applies a function to whole positions; what that makes of the padding is undone.
fn finish(isa: Isa, activation: Activation, shape: Shape, out: &mut [f32]) {
    activate(isa, activation, out);
    if !activation.keeps_zero() && shape.channels < shape.padded() {
        for position in out.chunks_exact_mut(shape.padded()) {
            position[shape.channels..].fill(0.0);
        }
    }
}

/// Traces a map without its padding.
fn record_map(shape: Shape, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
    let values = results.output::<f32>(0)?;
    record.gather_f32("", &[shape.positions(), shape.channels], |out| unpad(values, shape, out));
    Ok(())
}

/// A map's values without its padding.
fn unpad(values: &[f32], shape: Shape, out: &mut [f32]) {
    for (position, out) in values.chunks_exact(shape.padded()).zip(out.chunks_exact_mut(shape.channels)) {
        out.copy_from_slice(&position[..shape.channels]);
    }
}
