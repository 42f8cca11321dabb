//! Silence in place of what is missing, so that what comes later has its right time.

use super::decoder::Spec;

/// Longest gap that is filled: a longer one is more likely a wrong number.
const MOST_SECONDS: u64 = 3600;
/// Frames at a time.
const BLOCK_FRAMES: u64 = 4096;

/// Frames that are missing and not yet made up for.
#[derive(Debug, Default)]
pub(super) struct Silence {
    left: u64,
}

impl Silence {
    /// So many frames are missing; false if they are more than a gap can have.
    pub(super) fn begin(&mut self, frames: u64, spec: Spec) -> bool {
        let fits = frames <= MOST_SECONDS * u64::from(spec.rate);
        self.left = if fits { frames } else { 0 };
        fits
    }

    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Appends some of it; gives how many frames.
    pub(super) fn append(&mut self, spec: Spec, out: &mut Vec<f32>) -> u64 {
        let frames = self.left.min(BLOCK_FRAMES);
        self.left -= frames;
        out.resize(out.len() + frames as usize * spec.channels, 0.0);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_in_blocks_and_has_an_end() {
        let (spec, mut silence, mut out) = (Spec { rate: 8000, channels: 2 }, Silence::default(), Vec::new());
        assert!(silence.is_over() && silence.begin(10_000, spec) && !silence.is_over());
        while !silence.is_over() {
            assert!(silence.append(spec, &mut out) <= BLOCK_FRAMES);
        }
        assert_eq!((out.len(), silence.append(spec, &mut out)), (20_000, 0));
        assert!(!silence.begin(u64::MAX, spec) && silence.is_over());
    }
}
