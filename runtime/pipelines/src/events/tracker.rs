//! From the scores of a class to its events.

use super::settings::{Resolved, Rules};
use crate::audio::SAMPLE_RATE;

/// One class, score after score. Times are in samples.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    pub(super) class: Resolved,
    open: Option<Open>,
    blocked_until: u64,
}

/// An event that is not over, or may still be joined by another.
#[derive(Clone, Copy, Debug)]
struct Open {
    start: u64,
    end: u64,
    peak: f32,
    sum: f64,
    count: u32,
    /// The largest score of what has to be near it.
    near: f32,
    /// Since it fell below the release: the scores so far, which count once it is joined by another.
    gap: Option<(f64, u32)>,
}

/// An event in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) peak: f32,
    pub(super) mean: f32,
}

fn samples(seconds: f64) -> u64 {
    (seconds * f64::from(SAMPLE_RATE)).round() as u64
}

impl Tracker {
    pub(super) fn new(class: Resolved) -> Self {
        Self { class, open: None, blocked_until: 0 }
    }

    /// The same, by other rules from now on.
    pub(super) fn with(self, class: Resolved) -> Self {
        Self { class, ..self }
    }

    /// Takes the score of samples `start .. end`, and the largest score of what has to be near, if the class asks for that; returns an event
    /// that nothing can join any more.
    pub(super) fn take(&mut self, start: u64, end: u64, score: f32, near: f32) -> Option<Span> {
        let Rules { threshold, release, merge_seconds, .. } = self.class.rules;
        if let Some(open) = &mut self.open {
            let joins = start - open.end <= samples(merge_seconds);
            if score >= if open.gap.is_none() { release } else { threshold } && joins {
                let (sum, count) = open.gap.take().unwrap_or_default();
                *open = Open {
                    end,
                    peak: open.peak.max(score),
                    sum: open.sum + sum + f64::from(score),
                    count: open.count + count + 1,
                    near: open.near.max(near),
                    ..*open
                };
                return None;
            }
            if joins {
                let (sum, count) = open.gap.unwrap_or_default();
                open.gap = Some((sum + f64::from(score), count + 1));
                return None;
            }
        }
        let over = self.close();
        if score >= threshold && start >= self.blocked_until {
            self.open = Some(Open { start, end, peak: score, sum: f64::from(score), count: 1, near, gap: None });
        }
        over
    }

    /// Ends the recording at sample `end`: an event that is heard in its last hop lasts until then.
    pub(super) fn finish(&mut self, end: u64) -> Option<Span> {
        if let Some(open) = &mut self.open {
            open.end = if open.gap.is_none() { end } else { open.end.min(end) };
        }
        self.close()
    }

    fn close(&mut self) -> Option<Span> {
        let Open { start, end, peak, sum, count, near, .. } = self.open.take()?;
        let missing = self.class.near.as_ref().is_some_and(|wanted| near < wanted.threshold);
        if missing || end - start < samples(self.class.rules.min_seconds) {
            return None;
        }
        self.blocked_until = end + samples(self.class.rules.cooldown_seconds);
        Some(Span { start, end, peak, mean: (sum / f64::from(count)) as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Near;
    use super::*;

    const SECOND: u64 = SAMPLE_RATE as u64;

    /// Events, in seconds, of one score a second.
    fn events(rules: Rules, scores: &[f32]) -> Vec<(u64, u64, f32, f32)> {
        events_near(rules, None, &scores.iter().map(|&score| (score, 0.0)).collect::<Vec<_>>())
    }

    /// The same of scores, each with what is near.
    fn events_near(rules: Rules, near: Option<Near>, scores: &[(f32, f32)]) -> Vec<(u64, u64, f32, f32)> {
        let mut tracker = Tracker::new(Resolved { name: "x".into(), outputs: vec![0], rules, near });
        let mut spans = vec![];
        for (i, &(score, near)) in (0..).zip(scores) {
            spans.extend(tracker.take(i * SECOND, (i + 1) * SECOND, score, near));
        }
        spans.extend(tracker.finish(scores.len() as u64 * SECOND));
        spans.into_iter().map(|span| (span.start / SECOND, span.end / SECOND, span.peak, span.mean)).collect()
    }

    fn rules() -> Rules {
        Rules { threshold: 0.5, release: 0.25, min_seconds: 0.0, merge_seconds: 0.0, cooldown_seconds: 0.0 }
    }

    #[test]
    fn an_event_goes_on_above_its_release() {
        assert_eq!(events(rules(), &[0.25, 0.5, 0.25, 0.75, 0.125, 0.25, 0.5]), [(1, 4, 0.75, 0.5), (6, 7, 0.5, 0.5)]);
        assert_eq!(events(rules(), &[0.25, 0.375]), []);
        assert_eq!(events(rules(), &[]), []);
    }

    #[test]
    fn an_event_counts_where_something_is_near_it() {
        let near = || Some(Near { outputs: vec![0], threshold: 0.25 });
        let heard = |scores: &[(f32, f32)]| events_near(rules(), near(), scores);
        // As soon as it is reached once, anywhere in the event, all of the event counts.
        assert_eq!(heard(&[(0.5, 0.0), (0.5, 0.25), (0.5, 0.125), (0.0, 0.0)]), [(0, 3, 0.5, 0.5)]);
        assert_eq!(heard(&[(0.5, 0.125), (0.5, 0.125), (0.0, 1.0), (0.5, 0.0)]), []);
        // Of two that are joined one is enough, but not what is near the gap.
        let merging = Rules { merge_seconds: 1.0, cooldown_seconds: 4.0, ..rules() };
        assert_eq!(events_near(merging, near(), &[(0.5, 0.0), (0.0, 0.0), (0.5, 0.5)]), [(0, 3, 0.5, (0.5 + 0.5) / 3.0)]);
        assert_eq!(events_near(merging, near(), &[(0.5, 0.0), (0.0, 1.0), (0.5, 0.0)]), []);
        // What does not count is followed by no pause.
        assert_eq!(events_near(merging, near(), &[(0.5, 0.0), (0.0, 0.0), (0.0, 0.0), (0.5, 1.0)]), [(3, 4, 0.5, 0.5)]);
        // A class that asks for nothing needs nothing.
        assert_eq!(events_near(rules(), None, &[(0.5, 0.0)]), [(0, 1, 0.5, 0.5)]);
    }

    #[test]
    fn close_events_are_one_and_the_gap_counts() {
        let merging = Rules { merge_seconds: 2.0, ..rules() };
        assert_eq!(events(merging, &[0.5, 0.0, 0.125, 0.875, 0.0]), [(0, 4, 0.875, 0.375)]);
        assert_eq!(events(merging, &[0.5, 0.0, 0.0, 0.0, 0.5]), [(0, 1, 0.5, 0.5), (4, 5, 0.5, 0.5)]);
        // A score between release and threshold does not go on after a gap.
        assert_eq!(events(merging, &[0.5, 0.0, 0.375, 0.0]), [(0, 1, 0.5, 0.5)]);
    }

    #[test]
    fn short_events_are_dropped_once_they_are_joined() {
        let long = Rules { min_seconds: 3.0, merge_seconds: 1.0, ..rules() };
        assert_eq!(events(long, &[0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 0.5, 0.0, 0.0]), [(4, 7, 0.5, (0.5 + 0.5) / 3.0)]);
    }

    #[test]
    fn after_an_event_there_is_a_pause() {
        let pausing = Rules { cooldown_seconds: 3.0, ..rules() };
        assert_eq!(events(pausing, &[0.5, 0.0, 0.5, 0.0, 0.5, 0.0]), [(0, 1, 0.5, 0.5), (4, 5, 0.5, 0.5)]);
    }
}
