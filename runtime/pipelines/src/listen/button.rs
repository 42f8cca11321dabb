//! Utterances by a button.

use super::boundary::Boundary;

/// Utterances last from a press to its release, and are cut when they grow too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Button {
    pre_roll: u64,
    max: u64,
    free_from: u64,
    /// First sample of the utterance.
    start: Option<u64>,
}

impl Button {
    /// A button nobody presses: `pre_roll` samples before a press belong to its utterance, which has at most `max`.
    pub(super) fn new(pre_roll: u64, max: u64) -> Self {
        Self { pre_roll, max, free_from: 0, start: None }
    }

    /// Samples before a press that are needed.
    pub(super) fn lookback(&self) -> u64 {
        self.pre_roll
    }

    /// Samples until the utterance has to be cut.
    pub(super) fn room(&self, now: u64) -> u64 {
        self.start.map_or(u64::MAX, |start| start + self.max - now)
    }

    /// The button is pressed after `now` samples.
    pub(super) fn press(&mut self, now: u64) -> Option<Boundary> {
        if self.start.is_some() {
            return None;
        }
        let sample = now.saturating_sub(self.pre_roll).max(self.free_from);
        self.start = Some(sample);
        Some(Boundary::Start { sample })
    }

    /// The button is released after `now` samples.
    pub(super) fn release(&mut self, now: u64) -> Option<Boundary> {
        let start = self.start.take()?;
        self.free_from = now;
        Some(Boundary::End { start, end: now })
    }

    /// Ends an utterance that has its greatest length after `now` samples, and begins the next.
    pub(super) fn cut(&mut self, now: u64) -> Option<[Boundary; 2]> {
        if self.room(now) > 0 {
            return None;
        }
        let start = self.start.replace(now)?;
        self.free_from = now;
        Some([Boundary::End { start, end: now }, Boundary::Start { sample: now }])
    }
}
