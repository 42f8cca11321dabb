//! Scores of labels for whole patches, around the cells that are told.

use super::timing::Timing;

/// Patches to either side of an event's own whose scores of near labels count for it: they are 0.32 s apart.
const NEAR_PATCHES: u64 = 2;

/// Scores of near labels of the patches that events may still ask for.
pub(super) struct NearScores {
    labels: usize,
    /// Patches that are kept.
    kept: u64,
    /// Patches behind an event's own that are known when it is told: [`NEAR_PATCHES`] unless the head is hardly late.
    ahead: u64,
    /// Cells of a patch.
    cells: u64,
    /// `[kept][labels]`; patch p is in row p % kept.
    scores: Vec<f32>,
}

impl NearScores {
    pub(super) fn new(labels: usize, timing: Timing) -> Self {
        // A cell is told as many patches after its own as the head is late, and asks for some before that.
        let kept = NEAR_PATCHES + timing.lag.div_ceil(timing.cells) as u64 + 1;
        let ahead = NEAR_PATCHES.min((timing.lag / timing.cells) as u64);
        Self { labels, kept, ahead, cells: timing.cells as u64, scores: vec![0.0; kept as usize * labels] }
    }

    pub(super) fn keep(&mut self, patch: u64, scores: &[f32]) {
        let row = (patch % self.kept) as usize * self.labels;
        self.scores[row..row + self.labels].copy_from_slice(&scores[..self.labels]);
    }

    /// The largest score of these outputs around a cell that is told now.
    pub(super) fn largest(&self, cell: u64, outputs: &[usize]) -> f32 {
        let patch = cell / self.cells;
        let near = patch.saturating_sub(NEAR_PATCHES)..=patch + self.ahead;
        let rows = near.map(|patch| &self.scores[(patch % self.kept) as usize * self.labels..][..self.labels]);
        rows.flat_map(|row| outputs.iter().map(|&output| row[output])).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patch p scores 1 / (p + 1) in label 0, and nothing in label 1.
    fn told(lag: usize, patches: u64) -> Vec<(u64, f32, f32)> {
        let timing = Timing { hop: 32, cells: 8, lag, lead: 0, head: true };
        let mut near = NearScores::new(2, timing);
        let mut told = vec![];
        for hops in 0..patches {
            near.keep(hops, &[1.0 / (hops + 1) as f32, 0.0]);
            for cell in timing.told(hops)..timing.told(hops + 1) {
                told.push((cell, near.largest(cell, &[0, 1]), near.largest(cell, &[1])));
            }
        }
        told
    }

    #[test]
    fn what_is_near_lies_two_patches_around() {
        for (lag, ahead) in [(19, 2), (16, 2), (15, 1), (0, 0)] {
            for (cell, largest, none) in told(lag, 20) {
                let patch = cell / 8;
                // The earliest patch that counts has the largest score, so a row that is too old or too new would show.
                assert_eq!((largest, none), (1.0 / (patch.saturating_sub(2) + 1) as f32, 0.0), "cell {cell}, {lag} late");
            }
            let mut rising = NearScores::new(1, Timing { hop: 32, cells: 8, lag, lead: 0, head: true });
            for patch in 0..12 {
                rising.keep(patch, &[patch as f32 / 16.0]);
            }
            let last = Timing { hop: 32, cells: 8, lag, lead: 0, head: true }.told(12) - 1;
            assert_eq!(rising.largest(last, &[0]), (last / 8 + ahead) as f32 / 16.0, "{lag} late");
        }
    }
}
