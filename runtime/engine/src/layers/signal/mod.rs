//! Layers on signals: maps `[rows][channels]` of f32, a row being a moment, of a recording that may be computed chunk by chunk.
//!
//! A chunk has rows on both sides of what is wanted of it, as many as the layers look back and ahead. A row that lies within the recording is
//! computed from the same rows with the same bits whatever the chunk, so chunks give what one piece would give. Rows of a chunk before the
//! recording's first and after its last hold anything; layers that look there see what the padding says instead.
//!
//! Channels are rounded up to multiples of 16; those that there are not are zero.

mod conv;
mod first;
mod lstm;
mod lstm_pair;
mod residual;
mod transposed;

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

pub use conv::SignalConv;
pub use first::FirstConv;
pub use lstm::{Lstm, LstmLayer, LstmState};
pub use lstm_pair::{LstmPair, LstmPairShape};
pub use residual::SignalResidual;
pub use transposed::TransposedConv;

use crate::layer::Fact;

/// Which samples of which recording a graph computes.
#[derive(Debug, Default)]
pub struct Clip {
    /// The chunk's first sample, negative where the chunk begins before the recording.
    first: AtomicIsize,
    /// The recording's samples.
    samples: AtomicUsize,
}

impl Clip {
    /// A recording whose length is not known yet.
    pub const ENDLESS: usize = usize::MAX / 2;

    /// Before a run: the chunk's first sample, a whole number of the signal's coarsest rows, and the recording's samples.
    pub fn set(&self, first: isize, samples: usize) {
        self.first.store(first, Ordering::Relaxed);
        self.samples.store(samples, Ordering::Relaxed);
    }
}

/// A signal within a graph.
#[derive(Clone, Debug)]
pub struct Track {
    /// The chunk and the recording.
    pub clip: Arc<Clip>,
    /// Rows of the chunk.
    pub rows: usize,
    /// Rows that the chunk begins before the clip's first sample.
    pub before: usize,
    /// Values of a row, a multiple of 16.
    pub channels: usize,
    /// Samples from one row to the next.
    pub hop: usize,
}

impl Track {
    /// The row of the recording that the chunk begins with.
    fn first(&self) -> isize {
        self.clip.first.load(Ordering::Relaxed) / self.hop.cast_signed() - self.before.cast_signed()
    }

    /// Rows of the recording.
    fn total(&self) -> usize {
        self.clip.samples.load(Ordering::Relaxed).div_ceil(self.hop)
    }

    fn fact(&self) -> Fact {
        Fact::f32([self.rows, self.channels])
    }

    /// Copies rows `from ..` of the recording, as many as `out` holds, out of the chunk `x`; what the recording has not is padded, what the
    /// chunk has not is zero.
    fn gather(&self, x: &[f32], edge: &Edge, from: isize, out: &mut [f32]) {
        let (first, total, channels) = (self.first(), self.total(), self.channels);
        let count = (out.len() / channels).cast_signed();
        let end = total.min(Clip::ENDLESS).cast_signed().min(first + self.rows.cast_signed());
        if from >= first.max(0) && from + count <= end {
            let start = (from - first).cast_unsigned() * channels;
            return out.copy_from_slice(&x[start..start + out.len()]);
        }
        for (at, out) in (from..).zip(out.chunks_exact_mut(channels)) {
            let place = edge.source(at, total).map(|row| row.cast_signed() - first);
            match place.and_then(|place| x.chunks_exact(channels).nth(usize::try_from(place).ok()?)) {
                Some(row) => out.copy_from_slice(row),
                None => out.fill(0.0),
            }
        }
    }
}

/// What a convolution sees beyond a recording's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The recording backwards, the row at the end not twice. One that is too short for it is lengthened by zeros first.
    Reflect,
}

/// How far a convolution looks beyond the ends, and what it sees there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// What is there.
    pub padding: Padding,
    /// Rows that the first output looks back.
    pub left: usize,
    /// Rows that the last output looks ahead, if outputs are a whole number of strides.
    pub right: usize,
    /// Rows from one output to the next.
    pub stride: usize,
}

impl Edge {
    /// Rows of a window of `kernel` rows that lie before and after its output's: causal ones look back only.
    pub fn new(padding: Padding, causal: bool, kernel: usize, stride: usize) -> Self {
        let all = kernel - stride;
        let right = if causal { 0 } else { all / 2 };
        Self { padding, left: all - right, right, stride }
    }

    /// The row of a recording of `total` rows that is seen at `at`; none for a zero.
    fn source(&self, at: isize, total: usize) -> Option<usize> {
        let seen = match self.padding {
            Padding::Zeros => usize::try_from(at).ok()?,
            Padding::Reflect => {
                let extra = total.next_multiple_of(self.stride) - total;
                let last = total.max(self.left.max(self.right + extra) + 1) - 1;
                let at = at.unsigned_abs();
                if at > last { (2 * last).checked_sub(at)? } else { at }
            }
        };
        (seen < total).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_seen_as_pytorch_pads() {
        let edge = |padding| Edge { padding, left: 3, right: 3, stride: 1 };
        let seen = |padding, total: usize| -> Vec<Option<usize>> {
            (-3..total.cast_signed() + 3).map(|at| edge(padding).source(at, total)).collect()
        };
        let zeros: Vec<Option<usize>> = [None; 3].into_iter().chain((0..5).map(Some)).chain([None; 3]).collect();
        assert_eq!(seen(Padding::Zeros, 5), zeros);
        let reflected = [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1].map(Some);
        assert_eq!(seen(Padding::Reflect, 5), reflected);
        // Two rows: [a b 0 0] backwards, as EnCodec does it.
        let short = [None, None, Some(1), Some(0), Some(1), None, None, None];
        assert_eq!(seen(Padding::Reflect, 2), short);
    }

    #[test]
    fn rows_outside_of_the_chunk_and_of_the_recording_are_told_apart() {
        let clip = Arc::new(Clip::default());
        let track = Track { clip: Arc::clone(&clip), rows: 4, before: 1, channels: 16, hop: 2 };
        let x: Vec<f32> = (0..4 * 16).map(|i| (i / 16) as f32 + 1.0).collect();
        let edge = Edge { padding: Padding::Reflect, left: 1, right: 1, stride: 1 };
        let gathered = |from, count: usize| {
            let mut out = vec![-1.0; count * 16];
            track.gather(&x, &edge, from, &mut out);
            out.chunks_exact(16).map(|row| row[15]).collect::<Vec<f32>>()
        };
        // The chunk's rows are -1 to 2 of five.
        clip.set(0, 9);
        assert_eq!(gathered(-1, 5), [3.0, 2.0, 3.0, 4.0, 0.0]);
        // Rows 2 to 5 of five: row 5 is row 3 again.
        clip.set(6, 10);
        assert_eq!(gathered(3, 3), [2.0, 3.0, 2.0]);
        assert_eq!(gathered(2, 3), [1.0, 2.0, 3.0]);
    }
}
