//! Maps of bytes: `[positions][channels]` of u8, a value being `scale * (byte - zero)` with one scale and one zero for a map
//! (numerics contract, version 2). Sums are exact integers, and each result is rounded once.

mod depthwise;
mod maps;
mod products;

pub use depthwise::{Filters, columns_bytes, depthwise_bytes};
pub use maps::{ByteMap, add_bytes, floats_of_bytes, gather_bytes, max_pool_bytes, mean_bytes, quantize_channels};
pub use products::{linear_bytes, linear_row_bytes, linear_u8_row_bytes};

use crate::math;
use crate::simd::{LANES, Simd};

/// A function between a layer's sum and its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// None but the bounds: sums come out as steps of the output.
    Line,
    /// `x * hard-sigmoid(x)`
    HardSwish,
    /// `x * sigmoid(x)`
    Silu,
}

/// How real numbers become bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToBytes {
    /// Applied first.
    pub curve: Curve,
    /// Steps for each unit, after a curve: `step = fma(curve(y), steps, zero)`. Without one `y` comes in steps.
    pub steps: f32,
    /// The byte of zero.
    pub zero: f32,
    /// The lowest byte.
    pub low: f32,
    /// The highest.
    pub high: f32,
}

/// [`ToBytes`] in vectors.
#[derive(Clone, Copy)]
struct Bytes<S: Simd> {
    steps: S::F32,
    zero: S::F32,
    low: S::F32,
    high: S::F32,
}

impl<S: Simd> Bytes<S> {
    #[inline(always)]
    fn new(s: S, to: &ToBytes) -> Self {
        Self { steps: s.splat(to.steps), zero: s.splat(to.zero), low: s.splat(to.low), high: s.splat(to.high) }
    }

    /// Sixteen bytes.
    #[inline(always)]
    fn of<const CURVE: u8>(&self, s: S, y: S::F32) -> S::I32 {
        let steps = match CURVE {
            HARD_SWISH => {
                let gate = s.min(s.max(s.fma(y, s.splat(1.0 / 6.0), s.splat(0.5)), s.splat(0.0)), s.splat(1.0));
                s.fma(s.mul(y, gate), self.steps, self.zero)
            }
            SILU => s.fma(s.mul(y, math::sigmoid(s, y)), self.steps, self.zero),
            _ => y,
        };
        s.to_i32(s.min(s.max(steps, self.low), self.high))
    }
}

const LINE: u8 = 0;
const HARD_SWISH: u8 = 1;
const SILU: u8 = 2;

/// Vectors of a map whose channels are whole vectors.
///
/// # Panics
/// If they are not.
#[inline(always)]
fn vectors(map: &[u8], channels: usize) -> &[[u8; LANES]] {
    let (map, rest) = map.as_chunks::<LANES>();
    assert!(channels > 0 && channels.is_multiple_of(LANES) && rest.is_empty(), "{channels} channels");
    map
}
