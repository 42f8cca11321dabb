//! Layers whose maps are bytes, `[positions][channels]` of u8 with one scale and one zero for a map (numerics version 2), and those between such
//! maps and maps of f32.

mod dense;
mod pointwise;
mod spatial;

pub use dense::{ByteDense, PixelConv, Pixels};
pub use pointwise::{ByteAdd, ByteMean, ToFloats};
pub use spatial::{ByteDepthwise, BytePool};

use crate::GraphError;
use crate::layer::{Fact, Results};
use crate::recorder::Record;
use ossicle_kernels::activation::Activation;
use ossicle_kernels::bytes::{Curve, ToBytes};
use serde::{Deserialize, Serialize};

use super::Shape;

/// What the bytes of a map stand for: `scale * (byte - zero)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Of one step.
    pub scale: f32,
    /// The byte of zero.
    pub zero: u8,
}

impl Grid {
    /// How results become bytes after an activation; none if no kernel computes it.
    pub fn to_bytes(self, activation: Activation) -> Option<ToBytes> {
        let zero = f32::from(self.zero);
        let all = ToBytes { curve: Curve::Line, steps: 1.0 / self.scale, zero, low: 0.0, high: 255.0 };
        match activation {
            Activation::Identity => Some(all),
            Activation::Relu => Some(ToBytes { low: zero, ..all }),
            Activation::Relu6 => {
                let six = (6.0 / self.scale).min(255.0).round_ties_even() + zero;
                Some(ToBytes { low: zero, high: six.min(255.0), ..all })
            }
            Activation::HardSwish => Some(ToBytes { curve: Curve::HardSwish, ..all }),
            Activation::Silu => Some(ToBytes { curve: Curve::Silu, ..all }),
            _ => None,
        }
    }

    /// What is wrong with it, if anything.
    pub fn problem(self) -> Option<String> {
        let fits = self.scale.is_finite() && self.scale >= 1e-30;
        (!fits).then(|| format!("a scale of {}", self.scale))
    }
}

/// The fact of a map of bytes.
fn byte_fact(shape: Shape) -> Vec<Fact> {
    vec![Fact::new::<u8>(&[shape.positions(), shape.padded()])]
}

/// Traces what a map of bytes stands for, `(byte - zero) * scale`, without its padding.
fn record_bytes(shape: Shape, grid: Grid, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
    let bytes = results.output::<u8>(0)?;
    record.gather_f32("", &[shape.positions(), shape.channels], |out| {
        for (position, out) in bytes.chunks_exact(shape.padded()).zip(out.chunks_exact_mut(shape.channels)) {
            for (byte, out) in position.iter().zip(out) {
                *out = (f32::from(*byte) - f32::from(grid.zero)) * grid.scale;
            }
        }
    });
    Ok(())
}
