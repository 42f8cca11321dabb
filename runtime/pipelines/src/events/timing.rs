//! When which scores come, and for which samples they count.

use ossicle_frontend::yamnet::{HOP_SAMPLES, PATCH_FRAMES, PATCH_SAMPLES};
use ossicle_models::yamnet::YamnetConfig;

use super::error::EventsError;

/// Frames of 10 ms from one score of a model without a head to the next, unless told otherwise: 0.24 s.
pub const HOP_FRAMES: usize = 24;

/// Frames from one patch to the next for a head, which keeps the middle third of each.
const HEAD_HOP_FRAMES: usize = PATCH_FRAMES / 3;

/// Samples of silence in front of what a head hears: its first cell of 40 ms is the first one of the recording then.
const HEAD_LEAD_SAMPLES: usize = 5440;

/// When which scores come, and for which samples they count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Frames from one patch to the next.
    pub(super) hop: usize,
    /// Scores of every class that a patch gives, each for an equal part of the hop.
    pub(super) cells: usize,
    /// Cells by which scores come late, if the model has a head.
    pub(super) lag: usize,
    /// Samples of silence in front of a recording.
    pub(super) lead: usize,
    /// Whether the model has a head.
    pub(super) head: bool,
}

/// Frames of 10 ms from one patch of a model to the next, unless told otherwise.
pub(crate) fn hop_frames(config: &YamnetConfig) -> usize {
    if config.head.is_some() { HEAD_HOP_FRAMES } else { HOP_FRAMES }
}

impl Timing {
    pub(super) fn new(config: &YamnetConfig, hop: Option<usize>) -> Result<Self, EventsError> {
        let own = hop_frames(config);
        let head = match &config.head {
            Some(head) => Self { hop: own, cells: config.cells(), lag: head.lag(), lead: HEAD_LEAD_SAMPLES, head: true },
            None => Self { hop: own, cells: 1, lag: 0, lead: 0, head: false },
        };
        match hop {
            Some(frames) if head.head && frames != head.hop => Err(EventsError::HeadHop { frames, only: head.hop }),
            Some(frames) if !(2..=PATCH_FRAMES).contains(&frames) || !frames.is_multiple_of(2) => Err(EventsError::Hop { frames }),
            Some(hop) => Ok(Self { hop, ..head }),
            None => Ok(head),
        }
    }

    /// Cells whose scores are known after so many patches.
    pub(super) fn told(&self, hops: u64) -> u64 {
        (hops * self.cells as u64).saturating_sub(self.lag as u64)
    }

    /// Patches of which something is told after the last: a cell counts for the middle of patch `cell / cells`.
    pub(super) fn patches_kept(&self) -> usize {
        self.lag.div_ceil(self.cells) + 1
    }

    /// Samples of the recording that these scores account for.
    pub(super) fn scored(&self, hops: u64) -> u64 {
        match (self.head, hops) {
            (true, _) => self.start_of(self.told(hops)),
            (false, 0) => 0,
            (false, _) => (hops - 1) * (self.hop * HOP_SAMPLES) as u64 + PATCH_SAMPLES as u64,
        }
    }

    /// Where the samples begin that a cell's scores count for; without a head half a hop before the patch's middle, and the first at 0.
    pub(super) fn start_of(&self, cell: u64) -> u64 {
        let length = (self.hop * HOP_SAMPLES / self.cells) as u64;
        if self.head || cell == 0 { cell * length } else { cell * length + PATCH_SAMPLES as u64 / 2 - length / 2 }
    }
}
