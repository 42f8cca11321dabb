//! Moves word boundaries to where the sound starts and stops.
//!
//! Attention says which word is spoken when to within a few tenths of a second; the energy envelope is sharp but knows no words. Pauses in
//! the envelope are matched with the boundaries between words, in order, at the least total cost: a boundary that takes a pause pays its
//! distance to it in seconds, a pause left inside a word pays its own length. So long pauses find a boundary from afar, short stops
//! within words only disturb boundaries next to them. Where speech runs on, boundaries only move by attention's constant lag.

use ossicle_frontend::SAMPLE_RATE;

use super::scores;

/// Samples from one level to the next: 5 ms.
const HOP: usize = SAMPLE_RATE as usize / 200;
/// Samples a level is measured over: 10 ms, centred on the hop's middle.
const BLOCK: usize = 2 * HOP;
/// Levels a second.
const RATE: f64 = (SAMPLE_RATE as usize / HOP) as f64;
/// The level of digital silence.
const LOWEST_DB: f32 = -120.0;
/// No word becomes shorter than this, in seconds, unless the words do not fit otherwise.
const MIN_WORD: f64 = 0.05;

/// How boundaries move; times in seconds, levels in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refine {
    /// How much later than the sound attention moves from word to word.
    pub lag: f64,
    /// How far a boundary may be from the pause it takes.
    pub reach: f64,
    /// The shortest pause.
    pub min_pause: f64,
    /// Where between the noise floor (0) and the peak nearby (1) sound begins.
    pub fraction: f32,
    /// How far "nearby" is.
    pub nearby: f64,
    /// The noise floor is taken to be at most this far below the peak nearby.
    pub range_db: f32,
    /// With less than this between floor and peak, the envelope says nothing.
    pub min_range_db: f32,
}

/// Chosen on recordings with known word times: spoken digits with pauses, and read sentences aligned by another recogniser.
impl Default for Refine {
    fn default() -> Self {
        Self { lag: 0.11, reach: 1.0, min_pause: 0.05, fraction: 0.3, nearby: 0.5, range_db: 45.0, min_range_db: 12.0 }
    }
}

/// Start and end of a word or a pause, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Start.
    pub start: f64,
    /// End.
    pub end: f64,
}

/// Levels of a recording, every 5 ms.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    levels: Vec<f32>,
    sorted: Vec<f32>,
}

impl Envelope {
    /// Measures `samples`.
    pub fn measure(&mut self, samples: &[f32]) {
        self.levels.clear();
        self.levels.extend((0..samples.len() / HOP).map(|i| {
            let from = (i * HOP).saturating_sub((BLOCK - HOP) / 2);
            let block = &samples[from..(from + BLOCK).min(samples.len())];
            let power = block.iter().map(|x| x * x).sum::<f32>() / block.len() as f32;
            if power < 1e-12 { LOWEST_DB } else { 10.0 * scores::log10(power) }
        }));
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.levels);
        self.sorted.sort_unstable_by(f32::total_cmp);
    }

    /// The pauses, in order; none if the recording is too noisy to tell.
    fn pauses(&self, how: &Refine) -> Vec<Times> {
        let (Some(&peak), Some(&floor)) = (self.sorted.last(), self.sorted.get(self.sorted.len() / 10)) else {
            return Vec::new();
        };
        if peak - floor.max(peak - how.range_db) < how.min_range_db {
            return Vec::new();
        }
        let nearby = (how.nearby * RATE) as usize;
        let is_quiet = |i: usize| {
            let around = &self.levels[i.saturating_sub(nearby)..(i + nearby + 1).min(self.levels.len())];
            let peak = around.iter().copied().fold(LOWEST_DB, f32::max);
            let floor = floor.max(peak - how.range_db);
            peak - floor < how.min_range_db || self.levels[i] < floor + how.fraction * (peak - floor)
        };
        let mut pauses = Vec::new();
        let mut start = None;
        for i in 0..=self.levels.len() {
            match (i < self.levels.len() && is_quiet(i), start) {
                (true, None) => start = Some(i),
                (false, Some(begin)) => {
                    pauses.push(Times { start: begin as f64 / RATE, end: i as f64 / RATE });
                    start = None;
                }
                _ => {}
            }
        }
        pauses.retain(|pause| pause.end - pause.start >= how.min_pause);
        pauses
    }
}

/// Moves the boundaries of `words` (in order, each starting where the one before ends) within the measured recording.
pub fn refine(words: &mut [Times], envelope: &Envelope, how: &Refine) {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
    let mut boundaries = vec![first.start];
    boundaries.extend(words.windows(2).map(|pair| (pair[0].end + pair[1].start) / 2.0 - how.lag));
    boundaries.push(last.end - how.lag);
    let pauses = envelope.pauses(how);
    let taken = match_pauses(&boundaries, &pauses, how.reach);

    let mut gaps: Vec<Times> = boundaries.iter().map(|&at| Times { start: at, end: at }).collect();
    for (gap, taken) in gaps.iter_mut().zip(&taken) {
        if let Some(pause) = taken {
            *gap = pauses[*pause];
        }
    }
    // Boundaries without a pause stay between those with one, each word keeping a little time.
    for i in 1..gaps.len() {
        if taken[i].is_none() {
            let next = (i + 1..gaps.len()).find(|&j| taken[j].is_some());
            let latest = next.map_or(f64::INFINITY, |j| gaps[j].start - MIN_WORD * (j - i) as f64);
            let earliest = gaps[i - 1].end + MIN_WORD;
            let at = boundaries[i].min(latest).max(earliest);
            gaps[i] = Times { start: at, end: at };
        }
    }
    for (word, gap) in words.iter_mut().zip(gaps.windows(2)) {
        *word = Times { start: gap[0].end, end: gap[1].start.max(gap[0].end) };
    }
}

/// The step that led to a cell of [`match_pauses`].
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Alone,
    Skipped,
    Matched,
}

/// Which pause each boundary takes, by the least total cost.
fn match_pauses(boundaries: &[f64], pauses: &[Times], reach: f64) -> Vec<Option<usize>> {
    let width = pauses.len() + 1;
    let mut costs = vec![f64::INFINITY; width];
    costs[0] = 0.0;
    for (k, pause) in pauses.iter().enumerate() {
        costs[k + 1] = costs[k] + (pause.end - pause.start);
    }
    let mut steps = vec![Step::Skipped; width];
    for &boundary in boundaries {
        let previous = costs.clone();
        for k in 0..width {
            let (mut cost, mut step) = (previous[k], Step::Alone);
            if k > 0 {
                let pause = pauses[k - 1];
                let skipped = costs[k - 1] + (pause.end - pause.start);
                if skipped < cost {
                    (cost, step) = (skipped, Step::Skipped);
                }
                let distance = (pause.start - boundary).max(boundary - pause.end).max(0.0);
                if distance <= reach && previous[k - 1] + distance <= cost {
                    (cost, step) = (previous[k - 1] + distance, Step::Matched);
                }
            }
            costs[k] = cost;
            steps.push(step);
        }
    }
    let mut taken = vec![None; boundaries.len()];
    let (mut i, mut k) = (boundaries.len(), pauses.len());
    while i > 0 {
        match steps[i * width + k] {
            Step::Alone => i -= 1,
            Step::Skipped => k -= 1,
            Step::Matched => {
                (i, k) = (i - 1, k - 1);
                taken[i] = Some(k);
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tones between the given times in faint noise.
    fn tones(seconds: f64, spans: &[(f64, f64)]) -> Vec<f32> {
        let rate = f64::from(SAMPLE_RATE);
        (0..(seconds * rate) as usize)
            .map(|n| {
                let t = n as f64 / rate;
                let on = spans.iter().any(|&(a, b)| (a..b).contains(&t));
                let hiss = ((n * 7919) % 101) as f32 / 101.0 - 0.5;
                hiss * 1e-3 + if on { 0.3 * (n as f32 * 0.3).sin() } else { 0.0 }
            })
            .collect()
    }

    fn refined(words: &[(f64, f64)], samples: &[f32]) -> Vec<(f64, f64)> {
        let mut envelope = Envelope::default();
        envelope.measure(samples);
        let mut times: Vec<Times> = words.iter().map(|&(start, end)| Times { start, end }).collect();
        refine(&mut times, &envelope, &Refine::default());
        times.iter().map(|t| (t.start, t.end)).collect()
    }

    fn assert_near(found: &[(f64, f64)], expected: &[(f64, f64)]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f.0 - e.0).abs() <= 0.011 && (f.1 - e.1).abs() <= 0.011, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn boundaries_move_to_the_pause() {
        let spoken = [(0.5, 0.9), (1.3, 1.7), (2.0, 2.4)];
        let samples = tones(3.0, &spoken);
        for words in [[(0.3, 1.2), (1.2, 1.9), (1.9, 2.8)], [(0.6, 0.8), (0.8, 1.75), (1.75, 2.3)], [(0.0, 1.5), (1.5, 2.2), (2.2, 2.5)]] {
            assert_near(&refined(&words, &samples), &spoken);
        }
    }

    #[test]
    fn running_speech_moves_by_the_lag_only() {
        let samples = tones(3.0, &[(0.5, 2.0)]);
        assert_near(&refined(&[(0.5, 1.21), (1.21, 2.0)], &samples), &[(0.5, 1.1), (1.1, 2.0)]);
    }

    #[test]
    fn a_long_pause_is_between_words_and_a_short_stop_within_one() {
        // A stop at 0.8, far from the boundary at 1.3; a pause from 1.5.
        let samples = tones(3.0, &[(0.4, 0.8), (0.86, 1.5), (2.2, 2.6)]);
        assert_near(&refined(&[(0.3, 1.41), (1.41, 2.7)], &samples), &[(0.4, 1.5), (2.2, 2.6)]);
    }

    #[test]
    fn words_squeezed_between_pauses_keep_their_order() {
        let samples = tones(2.0, &[(0.5, 1.0)]);
        let found = refined(&[(0.5, 1.6), (1.6, 1.7), (1.7, 1.9)], &samples);
        assert!(found.iter().all(|w| w.0 < w.1), "{found:?}");
        assert!(found.windows(2).all(|w| w[0].1 <= w[1].0), "{found:?}");
        assert_near(&found[..1], &[(0.5, 0.9)]);
    }

    #[test]
    fn noise_and_nothing_move_by_the_lag_only() {
        let words = [(0.1, 0.51), (0.51, 0.81)];
        let lagged = [(0.1, 0.4), (0.4, 0.7)];
        assert_near(&refined(&words, &tones(1.0, &[])), &lagged);
        assert_near(&refined(&words, &[0.0; 16000]), &lagged);
        assert_near(&refined(&words, &[]), &lagged);
        assert!(refined(&[], &[0.0; 100]).is_empty());
    }

    #[test]
    fn matching_is_the_cheapest_of_all() {
        fn cheapest(b: &[f64], p: &[Times], reach: f64) -> f64 {
            let Some((pause, rest)) = p.split_first() else { return 0.0 };
            let skip = pause.end - pause.start + cheapest(b, rest, reach);
            (0..b.len())
                .map(|i| {
                    let d = (pause.start - b[i]).max(b[i] - pause.end).max(0.0);
                    if d <= reach { d + cheapest(&b[i + 1..], rest, reach) } else { f64::INFINITY }
                })
                .fold(skip, f64::min)
        }
        let mut x = 12345u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(x >> 8) / f64::from(1 << 24)
        };
        for round in 0..200 {
            let mut b: Vec<f64> = (0..round % 6).map(|_| 5.0 * next()).collect();
            b.sort_by(f64::total_cmp);
            let mut at = 0.0;
            let p: Vec<Times> = (0..round % 5)
                .map(|_| {
                    let start = at + next();
                    at = start + next();
                    Times { start, end: at }
                })
                .collect();
            let taken = match_pauses(&b, &p, 1.0);
            let used: Vec<usize> = taken.iter().flatten().copied().collect();
            assert!(used.windows(2).all(|w| w[0] < w[1]));
            let distance = |(i, k): (usize, usize)| (p[k].start - b[i]).max(b[i] - p[k].end).max(0.0);
            let matched: f64 = taken.iter().enumerate().filter_map(|(i, k)| k.map(|k| distance((i, k)))).sum();
            let skipped: f64 = (0..p.len()).filter(|k| !used.contains(k)).map(|k| p[k].end - p[k].start).sum();
            assert!((matched + skipped - cheapest(&b, &p, 1.0)).abs() < 1e-9, "round {round}");
        }
    }
}
