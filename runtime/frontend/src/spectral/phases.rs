//! Phases that go on from frame to frame.

use super::{BINS, STEP, WINDOW};

/// A turn is 2^32.
const TURN: f64 = 4_294_967_296.0;
/// Turns from one frame to the next of the middle between two frequencies whose sum is one bin.
const ADVANCE: f64 = 0.5 * STEP as f64 / WINDOW as f64;

/// Where each bin is on its way.
pub(super) struct Phases {
    /// In parts of a turn.
    turns: [u32; BINS],
    /// The frequency that a bin's phase follows, in bins.
    frequencies: [f32; BINS],
}

impl Phases {
    pub(super) const fn new() -> Self {
        Self { turns: [0; BINS], frequencies: [0.0; BINS] }
    }

    /// Begins a sound; bins follow their own frequencies from `turns` on.
    pub(super) fn start(&mut self, turns: impl Iterator<Item = u32>) {
        for ((own, frequency), (k, turns)) in self.turns.iter_mut().zip(&mut self.frequencies).zip(turns.enumerate()) {
            (*own, *frequency) = (turns, k as f32);
        }
    }

    /// The next frame's phases, of these magnitudes' logarithms: a peak goes on from what its bin was at, by the mean of both frequencies; the
    /// bins up to the valleys around it go along.
    pub(super) fn next(&mut self, logs: &[f32; BINS]) -> &[u32; BINS] {
        let (before, frequencies) = (self.turns, self.frequencies);
        let is_peak = |k: &usize| logs[*k] > logs[k - 1] && logs[*k] >= logs[k + 1];
        let mut begin = 0;
        let mut peak = (1..BINS - 1).find(is_peak).unwrap_or(1);
        loop {
            let next = (peak + 1..BINS - 1).find(is_peak);
            let end = next.map_or(BINS, |next| lowest(logs, peak, next));
            let frequency = peak as f32 + offset(logs[peak - 1], logs[peak], logs[peak + 1]);
            // In f64 this is exact to far less than what the sine tells apart.
            let advance = ADVANCE * (f64::from(frequencies[peak]) + f64::from(frequency)) * TURN;
            let turns = before[peak].wrapping_add(advance as u64 as u32);
            self.turns[begin..end].fill(turns);
            self.frequencies[begin..end].fill(frequency);
            let Some(next) = next else { return &self.turns };
            (begin, peak) = (end, next);
        }
    }
}

/// The first of the lowest bins from `a` to `b`.
fn lowest(logs: &[f32; BINS], a: usize, b: usize) -> usize {
    (a..=b).fold(a, |low, k| if logs[k] < logs[low] { k } else { low })
}

/// By how many bins the peak of a parabola through three values is off the middle one.
fn offset(left: f32, middle: f32, right: f32) -> f32 {
    let bend = 2.0 * (left - 2.0 * middle + right);
    let offset = if bend < 0.0 { (left - right) / bend } else { 0.0 };
    offset.clamp(-0.5, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_advances_by_its_frequency() {
        let mut phases = Phases::new();
        phases.start(std::iter::repeat_n(0, BINS));
        // A peak at 40.25 bins: a parabola.
        let logs: [f32; BINS] = std::array::from_fn(|k| -(k as f32 - 40.25) * (k as f32 - 40.25));
        phases.next(&logs);
        let first = phases.next(&logs)[40];
        let second = phases.next(&logs)[40];
        let wanted = (40.25 * STEP as f64 / WINDOW as f64).fract();
        assert!((f64::from(second.wrapping_sub(first)) / TURN - wanted).abs() < 1e-6);
        assert!(phases.next(&logs).iter().all(|&turns| turns == phases_at(&logs, 3)), "one peak takes all bins along");
    }

    fn phases_at(logs: &[f32; BINS], frames: usize) -> u32 {
        let mut phases = Phases::new();
        phases.start(std::iter::repeat_n(0, BINS));
        for _ in 0..frames {
            phases.next(logs);
        }
        phases.next(logs)[40]
    }

    #[test]
    fn bins_between_two_peaks_go_with_the_nearer() {
        let mut phases = Phases::new();
        phases.start(0..BINS as u32);
        let logs = std::array::from_fn(|k: usize| -(k.abs_diff(10).min(k.abs_diff(20) + 1) as f32));
        let turns = *phases.next(&logs);
        assert!(turns[..15].iter().all(|&own| own == turns[10]) && turns[15..].iter().all(|&own| own == turns[20]));
        assert_ne!(turns[10], turns[20]);
        // Nothing that stands out: all follow the first bin.
        let turns = *phases.next(&[-1.0; BINS]);
        assert!(turns.iter().all(|own| *own == turns[0]));
    }
}
