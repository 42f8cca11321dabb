//! Frames of samples that are added up.

use super::spectrum::hann;
use super::{BEFORE, STEP, WINDOW};

/// Steps that a window reaches over.
pub(super) const REACH: usize = WINDOW.div_ceil(STEP);

/// Adds up windowed frames. After each frame comes a block of [`STEP`] samples, the first [`BEFORE`] samples before the sound.
pub(super) struct Overlap {
    sums: [f32; WINDOW],
    /// Frames added.
    frames: usize,
    /// Blocks taken.
    blocks: usize,
}

impl Overlap {
    pub(super) const fn new() -> Self {
        Self { sums: [0.0; WINDOW], frames: 0, blocks: 0 }
    }

    pub(super) fn start(&mut self) {
        *self = Self::new();
    }

    /// Frames added so far.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Blocks taken so far.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Adds a frame and takes the block that no later one changes.
    pub(super) fn push(&mut self, samples: &[f32; WINDOW]) -> [f32; STEP] {
        for (sum, sample) in self.sums.iter_mut().zip(samples) {
            *sum += sample;
        }
        self.frames += 1;
        self.take()
    }

    /// The next block without a further frame.
    pub(super) fn take(&mut self) -> [f32; STEP] {
        let block = core::array::from_fn(|j| {
            if !self.within(self.blocks, j) {
                return 0.0;
            }
            let mut windows = 0.0;
            for back in (0..REACH).filter(|back| j + back * STEP < WINDOW) {
                if self.blocks >= back && self.blocks - back < self.frames {
                    let window = hann(j + back * STEP);
                    windows += window * window;
                }
            }
            self.sums[j] / windows
        });
        self.sums.copy_within(STEP.., 0);
        self.sums[WINDOW - STEP..].fill(0.0);
        self.blocks += 1;
        block
    }

    /// Whether sample `j` of a block lies within the sound.
    pub(super) fn within(&self, block: usize, j: usize) -> bool {
        (BEFORE..BEFORE + self.frames * STEP).contains(&(block * STEP + j))
    }
}
