//! Shapes of maps, and how layers read and end them.

use ossicle_kernels::conv::Size;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Most inputs of a layer.
pub const MAX_INPUTS: usize = 4;

/// How a layer's input rows are quantised: s8 by their largest magnitude, or u8 above `-offset`.
pub type Offset = Option<f32>;

/// What becomes of the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// They stay what they are.
    Plain,
    /// Probabilities that sum to one: exactly one label holds.
    Softmax,
    /// A probability for each label by itself.
    Sigmoid,
}

/// What a convolution in groups multiplies at once: neighbouring groups, until both sides are whole vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its input channels; with one group all of them. The last block may reach beyond the map's.
    pub inputs: usize,
    /// Its output channels.
    pub outputs: usize,
}

impl Block {
    /// None if the channels are no multiples of the groups, or too many.
    pub fn new(groups: usize, inputs: usize, outputs: usize) -> Option<Self> {
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return None;
        }
        if groups == 1 {
            return Some(Self { inputs, outputs });
        }
        let (inputs, outputs) = (inputs / groups, outputs / groups);
        let mut joined = 1;
        while !inputs.checked_mul(joined)?.is_multiple_of(LANES) || !outputs.checked_mul(joined)?.is_multiple_of(LANES) {
            joined *= 2;
        }
        Some(Self { inputs: joined * inputs, outputs: joined * outputs })
    }
}

/// Shape of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Positions.
    pub size: Size,
    /// Channels, without padding.
    pub channels: usize,
}

impl Shape {
    /// Channels as they are kept: whole vectors.
    pub fn padded(self) -> usize {
        self.channels.next_multiple_of(LANES)
    }

    /// Positions.
    pub fn positions(self) -> usize {
        self.size.positions()
    }

    /// So many positions in a row.
    pub fn line(positions: usize, channels: usize) -> Self {
        Self { size: Size { height: 1, width: positions }, channels }
    }
}
