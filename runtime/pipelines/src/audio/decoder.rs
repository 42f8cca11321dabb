//! What every decoder offers to the reader.

use super::damage::Damage;
use super::{AudioError, Container};

/// Shape of decoded audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// Frames per second.
    pub(super) rate: u32,
    /// Samples per frame.
    pub(super) channels: usize,
}

/// Decoded audio, block after block.
pub(super) trait Decoder: Send {
    fn container(&self) -> Container;
    /// Short name of the encoding.
    fn codec(&self) -> &'static str;
    /// Shape of the last block; a stream may change it midway.
    fn spec(&self) -> Spec;
    /// Frames in all, where the header says so.
    fn frames(&self) -> Option<u64>;
    /// Bytes of a second, where what has been read so far tells about how many.
    fn bytes_per_second(&self) -> Option<f64> {
        None
    }
    /// Appends one block of interleaved samples to `out`; false at the end.
    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError>;
    /// What was missing or damaged so far.
    fn damage(&self) -> &[Damage];
}
