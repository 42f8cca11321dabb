//! Wall time, processor time and memory of this process.

use std::fs;
use std::ops::{AddAssign, Sub};
use std::time::Instant;

use crate::model::peak_rss_bytes;

/// A moment, or the time between two, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    /// By the wall clock.
    pub(crate) wall: f64,
    /// On processors, all threads together; 0 where the system does not tell.
    pub(crate) cpu: f64,
}

impl Sub for Times {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { wall: self.wall - earlier.wall, cpu: self.cpu - earlier.cpu }
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, more: Self) {
        self.wall += more.wall;
        self.cpu += more.cpu;
    }
}

/// Counts from its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    pub(crate) fn now(&self) -> Times {
        Times { wall: self.0.elapsed().as_secs_f64() * 1e3, cpu: cpu_ms().unwrap_or(0.0) }
    }
}

/// Linux counts each thread's nanoseconds on a processor.
fn cpu_ms() -> Option<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e6)
}

/// Most memory that was resident at once so far, in MiB as the peers' figures are; `None` where the system does not tell.
pub(crate) fn peak_rss_mb() -> Option<f64> {
    peak_rss_bytes().map(|bytes| bytes as f64 / 1_048_576.0)
}

/// The smallest and the middle value; both 0 for none.
pub(crate) fn min_and_median(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => (0.0, 0.0),
        n => (values[0], (values[(n - 1) / 2] + values[n / 2]) / 2.0),
    }
}

/// Three digits after the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_even_and_odd_counts() {
        assert_eq!(min_and_median([3.0, 1.0, 2.0].into_iter()), (1.0, 2.0));
        assert_eq!(min_and_median([4.0, 1.0, 2.0, 3.0].into_iter()), (1.0, 2.5));
        assert_eq!(min_and_median(std::iter::empty()), (0.0, 0.0));
    }
}
