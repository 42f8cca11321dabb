//! Where an axis has its ticks, and what they say.

/// Steps of a time axis, in seconds.
const STEPS: [f64; 25] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0,
    21_600.0, 43_200.0, 86_400.0, 604_800.0,
];

/// Times from 0 to `seconds`, at most `most` beside 0, with their labels.
pub(crate) fn times(seconds: f64, most: usize) -> Vec<(f64, String)> {
    let fits = |step: &f64| seconds / step <= most as f64;
    // Beyond years a tick at the start is left.
    let step = STEPS.into_iter().find(fits).unwrap_or(f64::INFINITY);
    let count = (seconds / step) as usize;
    (0..=count).map(|i| if i == 0 { 0.0 } else { i as f64 * step }).map(|time| (time, label(time, step, seconds))).collect()
}

fn label(time: f64, step: f64, seconds: f64) -> String {
    if seconds < 60.0 {
        let digits = if step >= 1.0 {
            0
        } else if step >= 0.1 {
            1
        } else {
            2
        };
        return format!("{time:.digits$} s");
    }
    let whole = time.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if seconds < 3600.0 { format!("{minutes}:{rest:02}") } else { format!("{hours}:{minutes:02}:{rest:02}") }
}

/// The HTK mel scale.
pub(crate) fn mel(hertz: f64) -> f64 {
    1127.0 * (hertz / 700.0).ln_1p()
}

/// Where a frequency is among YAMNet's 64 bands: 0 at the lowest band's edge, 1 at the highest one's.
pub(crate) fn height(hertz: f64) -> f64 {
    let (low, high) = (mel(125.0), mel(7500.0));
    // Band b has its middle at (b + 1) / 65 of the range, and is drawn from b / 64 to (b + 1) / 64.
    ((mel(hertz) - low) / (high - low) * 65.0 - 0.5) / 64.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let labels = |seconds, most| times(seconds, most).into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(labels(1.0, 5), ["0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1.0 s"]);
        assert_eq!(labels(9.9, 5), ["0 s", "2 s", "4 s", "6 s", "8 s"]);
        assert_eq!(labels(100.0, 4), ["0:00", "0:30", "1:00", "1:30"]);
        assert_eq!(labels(7200.0, 3), ["0:00:00", "1:00:00", "2:00:00"]);
        assert_eq!(times(1e12, 10).len(), 1);
        assert_eq!(times(0.0, 10).len(), 1);
    }

    #[test]
    fn bands_lie_where_they_are_drawn() {
        // The middle of band 0 is the first of 66 edges that are equally far from each other on the mel scale.
        let first = mel(125.0) + (mel(7500.0) - mel(125.0)) / 65.0;
        let hertz = 700.0 * ((first / 1127.0).exp() - 1.0);
        assert!((height(hertz) - 0.5 / 64.0).abs() < 1e-9);
        assert!(height(125.0) < 0.0 && height(7500.0) > 1.0 && (height(1000.0) - 0.35).abs() < 0.05);
    }
}
