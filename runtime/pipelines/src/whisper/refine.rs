//! Moves word boundaries to where the sound starts and stops.
//!
//! Attention says which word is spoken when to within a few tenths of a second; the energy envelope is sharp but knows no words. So each
//! boundary moves to the nearest pause around it, if there is one: the word before ends where the level falls, the word after starts
//! where it rises. Where speech runs on, the boundary stays.

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

/// How boundaries move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refine {
    /// How far a boundary may move, in seconds.
    pub reach: f64,
    /// The shortest pause, in seconds; shorter ones are stops within words.
    pub min_pause: f64,
    /// Where between the noise floor and the word's peak (in dB) sound begins.
    pub fraction: f32,
    /// The noise floor is taken to be at most this far below the peak, in dB.
    pub range_db: f32,
    /// With less than this between floor and peak, in dB, the envelope says nothing.
    pub min_range_db: f32,
}

impl Default for Refine {
    fn default() -> Self {
        Self { reach: 0.6, min_pause: 0.06, fraction: 0.3, range_db: 45.0, min_range_db: 12.0 }
    }
}

/// Start and end of a word, in seconds.
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

    /// The level that a tenth of the recording stays below.
    fn floor(&self) -> f32 {
        self.sorted.get(self.sorted.len() / 10).copied().unwrap_or(LOWEST_DB)
    }

    fn index(&self, seconds: f64) -> usize {
        ((seconds * RATE).round().max(0.0) as usize).min(self.levels.len())
    }

    fn peak(&self, times: Times) -> f32 {
        self.levels[self.index(times.start)..self.index(times.end)].iter().copied().fold(LOWEST_DB, f32::max)
    }
}

/// Moves the boundaries of `words` (in order, touching or apart) within the measured recording.
pub fn refine(words: &mut [Times], envelope: &Envelope, how: &Refine) {
    if words.is_empty() || envelope.levels.is_empty() {
        return;
    }
    let limit = envelope.levels.len() as f64 / RATE;
    let thresholds: Vec<Option<f32>> = words.iter().map(|&word| threshold(envelope, word, how)).collect();

    if let Some(level) = thresholds[0] {
        words[0].start = first_sound(envelope, words[0], level, how);
    }
    for i in 1..words.len() {
        let (before, after) = (words[i - 1], words[i]);
        let (Some(fall), Some(rise)) = (thresholds[i - 1], thresholds[i]) else { continue };
        let boundary = (before.end + after.start) / 2.0;
        let from = (before.start + 0.02).max(before.end.min(boundary) - how.reach);
        let to = (after.end - 0.02).min(after.start.max(boundary) + how.reach);
        if let Some(pause) = nearest_pause(envelope, from, to, boundary, fall.min(rise), how) {
            words[i - 1].end = pause.start;
            words[i].start = pause.end;
        }
    }
    let last = words.len() - 1;
    if let Some(level) = thresholds[last] {
        words[last].end = last_sound(envelope, words[last], level, limit, how);
    }
}

/// The level above which a word sounds; `None` when the recording is too noisy or the word too quiet to tell.
fn threshold(envelope: &Envelope, word: Times, how: &Refine) -> Option<f32> {
    let peak = envelope.peak(word);
    let floor = envelope.floor().max(peak - how.range_db);
    (peak - floor >= how.min_range_db).then_some(floor + how.fraction * (peak - floor))
}

/// The pause between `from` and `to` that is nearest to `boundary`, longer ones counting as nearer by their length.
fn nearest_pause(envelope: &Envelope, from: f64, to: f64, boundary: f64, level: f32, how: &Refine) -> Option<Times> {
    let (from, to) = (envelope.index(from), envelope.index(to));
    let mut best: Option<(f64, Times)> = None;
    let mut start = None;
    for i in from..=to {
        let quiet = i < to && envelope.levels[i] < level;
        match (quiet, start) {
            (true, None) => start = Some(i),
            (false, Some(begin)) => {
                start = None;
                let pause = Times { start: begin as f64 / RATE, end: i as f64 / RATE };
                let length = pause.end - pause.start;
                let distance = (pause.start - boundary).max(boundary - pause.end).max(0.0) - length;
                if length >= how.min_pause && best.is_none_or(|(d, _)| distance < d) {
                    best = Some((distance, pause));
                }
            }
            _ => {}
        }
    }
    best.map(|(_, pause)| pause)
}

/// Where the first word's sound starts: later if its start is quiet, else earlier while it sounds.
fn first_sound(envelope: &Envelope, word: Times, level: f32, how: &Refine) -> f64 {
    let start = envelope.index(word.start);
    let end = envelope.index(word.end);
    let sounds = |i: &usize| envelope.levels[*i] >= level;
    if let Some(i) = (start..end).find(sounds).filter(|&i| i > start) {
        return i as f64 / RATE;
    }
    let earliest = envelope.index(word.start - how.reach);
    let pause = (how.min_pause * RATE) as usize;
    let mut first = start;
    for i in (earliest..start).rev() {
        if envelope.levels[i] >= level {
            first = i;
        } else if first - i >= pause {
            break;
        }
    }
    first as f64 / RATE
}

/// Where the last word's sound ends: earlier if its end is quiet, else later while it sounds.
fn last_sound(envelope: &Envelope, word: Times, level: f32, limit: f64, how: &Refine) -> f64 {
    let start = envelope.index(word.start);
    let end = envelope.index(word.end);
    let sounds = |i: &usize| envelope.levels[*i] >= level;
    if let Some(i) = (start..end).rev().find(sounds).filter(|&i| i + 1 < end) {
        return (i + 1) as f64 / RATE;
    }
    let latest = envelope.index((word.end + how.reach).min(limit));
    let pause = (how.min_pause * RATE) as usize;
    let mut last = end;
    for i in end..latest {
        if envelope.levels[i] >= level {
            last = i + 1;
        } else if i + 1 - last >= pause {
            break;
        }
    }
    last as f64 / RATE
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
        for (f, e) in found.iter().zip(expected) {
            assert!((f.0 - e.0).abs() <= 0.011 && (f.1 - e.1).abs() <= 0.011, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn boundaries_move_to_the_pause() {
        let spoken = [(0.5, 0.9), (1.3, 1.7), (2.0, 2.4)];
        let samples = tones(3.0, &spoken);
        for words in [[(0.3, 1.2), (1.2, 1.9), (1.9, 2.8)], [(0.6, 0.8), (0.8, 1.75), (1.75, 2.3)], [(0.5, 1.4), (1.4, 2.1), (2.1, 2.5)]] {
            assert_near(&refined(&words, &samples), &spoken);
        }
    }

    #[test]
    fn running_speech_keeps_its_boundaries() {
        let samples = tones(3.0, &[(0.5, 2.0)]);
        assert_near(&refined(&[(0.5, 1.1), (1.1, 2.0)], &samples), &[(0.5, 1.1), (1.1, 2.0)]);
    }

    #[test]
    fn noise_and_nothing_change_nothing() {
        let words = [(0.1, 0.5), (0.5, 0.8)];
        assert_eq!(refined(&words, &tones(1.0, &[])), words);
        assert_eq!(refined(&words, &[0.0; 16000]), words);
        assert_eq!(refined(&words, &[]), words);
        assert!(refined(&[], &[0.0; 100]).is_empty());
    }
}
