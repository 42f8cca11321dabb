//! From the scores of a class to its events.

use super::around::Around;
use super::settings::{Resolved, Rules};
use crate::audio::SAMPLE_RATE;

/// One class, score after score. Times are in samples.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    pub(crate) class: Resolved,
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
    /// The largest scores around it.
    around: Around,
    /// Since it fell below the release: the scores so far, which count once it is joined by another.
    gap: Option<(f64, u32)>,
    /// Where it was told last that it goes on.
    told: Option<u64>,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// It has lasted long enough to be one: it ends in an [`Over`](Change::Over), whatever comes.
    Start(Lasting),
    /// It is still heard.
    Repeat(Lasting),
    /// It is over, and nothing can join it any more.
    Over(Span),
}

/// An event that goes on, in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lasting {
    pub(crate) start: u64,
    /// How far it has been heard.
    pub(crate) at: u64,
    pub(crate) peak: f32,
}

/// An event in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) peak: f32,
    pub(crate) mean: f32,
}

fn samples(seconds: f64) -> u64 {
    (seconds * f64::from(SAMPLE_RATE)).round() as u64
}

impl Tracker {
    pub(crate) fn new(class: Resolved) -> Self {
        Self { class, open: None, blocked_until: 0 }
    }

    /// The same, by other rules from now on.
    pub(crate) fn with(self, class: Resolved) -> Self {
        Self { class, ..self }
    }

    /// Where the event begins that is not over, if there is one.
    pub(crate) fn open_since(&self) -> Option<u64> {
        self.open.map(|open| open.start)
    }

    /// Takes the score of samples `start .. end`, and the largest scores around them of what the class asks for; tells the class's name
    /// and what becomes of its events.
    pub(crate) fn take(&mut self, start: u64, end: u64, score: f32, around: Around, tell: &mut impl FnMut(&str, Change)) {
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
                    around: open.around.max(around),
                    ..*open
                };
                return self.goes_on(tell);
            }
            if joins {
                let (sum, count) = open.gap.unwrap_or_default();
                open.gap = Some((sum + f64::from(score), count + 1));
                return;
            }
        }
        self.close(tell);
        if score >= threshold && start >= self.blocked_until {
            self.open = Some(Open { start, end, peak: score, sum: f64::from(score), count: 1, around, gap: None, told: None });
            self.goes_on(tell);
        }
    }

    /// What was there with the last score is there until sample `until`, where the next one is from.
    pub(crate) fn hold(&mut self, until: u64) {
        if let Some(open) = self.open.as_mut().filter(|open| open.gap.is_none()) {
            open.end = open.end.max(until);
        }
    }

    /// Ends the recording at sample `end`: an event that is heard in its last hop lasts until then.
    pub(crate) fn finish(&mut self, end: u64, tell: &mut impl FnMut(&str, Change)) {
        if let Some(open) = &mut self.open {
            open.end = if open.gap.is_none() { end } else { open.end.min(end) };
        }
        self.close(tell);
    }

    /// Tells the open event's start as soon as it is one, and now and then that it is still heard.
    fn goes_on(&mut self, tell: &mut impl FnMut(&str, Change)) {
        let Rules { min_seconds, repeat_seconds, .. } = self.class.rules;
        let Some(open) = &mut self.open else { return };
        let counts = self.class.lets(open.around);
        let lasting = Lasting { start: open.start, at: open.end, peak: open.peak };
        let change = match open.told {
            None if counts && open.end - open.start >= samples(min_seconds) => Change::Start(lasting),
            Some(told) if repeat_seconds > 0.0 && open.end - told >= samples(repeat_seconds) => Change::Repeat(lasting),
            _ => return,
        };
        open.told = Some(open.end);
        tell(&self.class.name, change);
    }

    /// An event that was told counts even if the rules have changed since.
    fn close(&mut self, tell: &mut impl FnMut(&str, Change)) {
        let Some(Open { start, end, peak, sum, count, around, told, .. }) = self.open.take() else { return };
        if told.is_none() && (!self.class.lets(around) || end - start < samples(self.class.rules.min_seconds)) {
            return;
        }
        if told.is_none() {
            tell(&self.class.name, Change::Start(Lasting { start, at: end, peak }));
        }
        self.blocked_until = end + samples(self.class.rules.cooldown_seconds);
        tell(&self.class.name, Change::Over(Span { start, end, peak, mean: (sum / f64::from(count)) as f32 }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::around::Near;
    use super::*;

    const SECOND: u64 = SAMPLE_RATE as u64;

    /// A score, what is near, and what speaks against it.
    type Score = (f32, f32, f32);

    const QUIET: [Score; 20] = [(0.0, 0.0, 0.0); 20];

    /// Scores with nothing around them.
    fn alone(scores: &[f32]) -> Vec<Score> {
        scores.iter().map(|&score| (score, 0.0, 0.0)).collect()
    }

    fn class(rules: Rules, [near, unless]: [Option<f32>; 2]) -> Resolved {
        let asked = |threshold: Option<f32>| threshold.map(|threshold| Near { outputs: vec![0], threshold });
        Resolved { name: "x".into(), outputs: vec![0], rules, near: asked(near), unless: asked(unless) }
    }

    /// What is told of one score a second by thresholds for what is near and against it, and the index of the score that told it; the
    /// number of scores for the end.
    fn changes(rules: Rules, asked: [Option<f32>; 2], scores: &[Score]) -> Vec<(usize, Change)> {
        let mut tracker = Tracker::new(class(rules, asked));
        let mut told = vec![];
        for (i, &(score, near, against)) in scores.iter().enumerate() {
            let start = i as u64 * SECOND;
            tracker.take(start, start + SECOND, score, Around { near, against }, &mut |_, change| told.push((i, change)));
        }
        tracker.finish(scores.len() as u64 * SECOND, &mut |_, change| told.push((scores.len(), change)));
        told
    }

    /// Events, in seconds, of one score a second.
    fn events(rules: Rules, scores: &[f32]) -> Vec<(u64, u64, f32, f32)> {
        events_among(rules, [None; 2], &alone(scores))
    }

    /// The same of scores, each with what is around it.
    fn events_among(rules: Rules, asked: [Option<f32>; 2], scores: &[Score]) -> Vec<(u64, u64, f32, f32)> {
        let over = |(_, change)| if let Change::Over(span) = change { Some(span) } else { None };
        let spans = changes(rules, asked, scores).into_iter().filter_map(over);
        spans.map(|span| (span.start / SECOND, span.end / SECOND, span.peak, span.mean)).collect()
    }

    /// When which start was told, and when that it goes on: the score's index, and the start in seconds.
    fn starts(rules: Rules, scores: &[f32]) -> Vec<(usize, u64, bool)> {
        let on = |(i, change)| match change {
            Change::Start(on) => Some((i, on.start / SECOND, false)),
            Change::Repeat(on) => Some((i, on.start / SECOND, true)),
            Change::Over(_) => None,
        };
        changes(rules, [None; 2], &alone(scores)).into_iter().filter_map(on).collect()
    }

    fn rules() -> Rules {
        Rules { threshold: 0.5, release: 0.25, min_seconds: 0.0, merge_seconds: 0.0, cooldown_seconds: 0.0, repeat_seconds: 0.0 }
    }

    #[test]
    fn an_event_goes_on_above_its_release() {
        assert_eq!(events(rules(), &[0.25, 0.5, 0.25, 0.75, 0.125, 0.25, 0.5]), [(1, 4, 0.75, 0.5), (6, 7, 0.5, 0.5)]);
        assert_eq!(events(rules(), &[0.25, 0.375]), []);
        assert_eq!(events(rules(), &[]), []);
    }

    #[test]
    fn an_event_counts_where_something_is_near_it() {
        let near = [Some(0.25), None];
        let with = |scores: &[(f32, f32)]| scores.iter().map(|&(score, near)| (score, near, 0.0)).collect::<Vec<_>>();
        let heard = |rules: Rules, scores: &[(f32, f32)]| events_among(rules, near, &with(scores));
        // As soon as it is reached once, anywhere in the event, all of the event counts.
        assert_eq!(heard(rules(), &[(0.5, 0.0), (0.5, 0.25), (0.5, 0.125), (0.0, 0.0)]), [(0, 3, 0.5, 0.5)]);
        assert_eq!(heard(rules(), &[(0.5, 0.125), (0.5, 0.125), (0.0, 1.0), (0.5, 0.0)]), []);
        // Of two that are joined one is enough, but not what is near the gap.
        let merging = Rules { merge_seconds: 1.0, cooldown_seconds: 4.0, ..rules() };
        assert_eq!(heard(merging, &[(0.5, 0.0), (0.0, 0.0), (0.5, 0.5)]), [(0, 3, 0.5, (0.5 + 0.5) / 3.0)]);
        assert_eq!(heard(merging, &[(0.5, 0.0), (0.0, 1.0), (0.5, 0.0)]), []);
        // What does not count is followed by no pause.
        assert_eq!(heard(merging, &[(0.5, 0.0), (0.0, 0.0), (0.0, 0.0), (0.5, 1.0)]), [(3, 4, 0.5, 0.5)]);
        // A class that asks for nothing needs nothing.
        assert_eq!(events_among(rules(), [None; 2], &with(&[(0.5, 0.0)])), [(0, 1, 0.5, 0.5)]);
    }

    #[test]
    fn an_event_does_not_count_where_something_speaks_against_it() {
        let heard = |rules: Rules, scores: &[Score]| events_among(rules, [None, Some(0.25)], scores);
        assert_eq!(heard(rules(), &[(0.5, 0.0, 0.125), (0.5, 0.0, 0.0), (0.0, 0.0, 1.0)]), [(0, 2, 0.5, 0.5)]);
        assert_eq!(heard(rules(), &[(0.5, 0.0, 0.25), (0.5, 0.0, 0.0), (0.0, 0.0, 0.0)]), []);
        // What speaks for it may come later, and then all of it counts; as much of both is enough.
        assert_eq!(heard(rules(), &[(0.5, 0.125, 0.5), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)]), [(0, 2, 0.5, 0.5)]);
        assert_eq!(heard(rules(), &[(0.5, 0.125, 0.5), (0.5, 0.25, 0.25), (0.0, 0.5, 0.0)]), []);
        // What comes once it is certain, after its first two seconds, does not matter any more.
        let long = Rules { min_seconds: 2.0, ..rules() };
        assert_eq!(heard(long, &[(0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.5, 0.0, 1.0)]), [(0, 3, 0.5, 0.5)]);
        assert_eq!(heard(long, &[(0.5, 0.0, 0.0), (0.5, 0.0, 1.0), (0.5, 0.0, 0.0)]), []);
        // Nor what lies in a gap that is closed.
        let merging = Rules { min_seconds: 3.0, merge_seconds: 1.0, ..rules() };
        assert_eq!(heard(merging, &[(0.5, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.0, 0.0)]), [(0, 3, 0.5, (0.5 + 0.5) / 3.0)]);
        // With something to be near it, both have to be right.
        let both = |near, against| events_among(rules(), [Some(0.5), Some(0.25)], &[(0.5, near, against)]).len();
        assert_eq!((both(0.5, 0.25), both(0.5, 0.625), both(0.25, 0.0)), (1, 0, 0));
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

    #[test]
    fn a_start_is_told_once_it_is_certain_and_only_once() {
        let lasting = Rules { min_seconds: 2.0, merge_seconds: 1.0, ..rules() };
        // Long enough at its second score; what is joined to it is not told again.
        assert_eq!(starts(lasting, &[0.5, 0.5, 0.5, 0.0, 0.5, 0.0, 0.0]), [(1, 0, false)]);
        // Short, but joined by another it is long enough.
        assert_eq!(starts(lasting, &[0.5, 0.0, 0.5, 0.0, 0.0]), [(2, 0, false)]);
        assert_eq!(starts(lasting, &[0.5, 0.0, 0.0, 0.5, 0.0, 0.0]), []);
        // Nothing begins in the pause behind an event, and so nothing is told.
        let pausing = Rules { cooldown_seconds: 3.0, ..rules() };
        assert_eq!(starts(pausing, &[0.5, 0.0, 0.5, 0.0, 0.5]), [(0, 0, false), (4, 4, false)]);
    }

    #[test]
    fn what_goes_on_is_told_again_while_it_is_heard() {
        let repeating = Rules { repeat_seconds: 2.0, merge_seconds: 4.0, ..rules() };
        let scores = [0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.5];
        assert_eq!(starts(repeating, &scores), [(0, 0, false), (2, 0, true), (4, 0, true), (8, 0, true)]);
    }

    #[test]
    fn a_start_that_was_told_ends_in_an_event_whatever_the_rules_become() {
        let class = |rules| class(rules, [None; 2]);
        let mut told = vec![];
        let mut tracker = Tracker::new(class(rules()));
        tracker.take(0, SECOND, 0.5, Around::default(), &mut |_, change| told.push(change));
        let mut tracker = tracker.with(class(Rules { min_seconds: 9.0, ..rules() }));
        tracker.take(SECOND, 2 * SECOND, 0.0, Around::default(), &mut |_, change| told.push(change));
        tracker.finish(2 * SECOND, &mut |_, change| told.push(change));
        let span = Span { start: 0, end: SECOND, peak: 0.5, mean: 0.5 };
        assert_eq!(told, [Change::Start(Lasting { start: 0, at: SECOND, peak: 0.5 }), Change::Over(span)]);
    }

    proptest! {
        /// Each start has its event and each event its start, told before it and as early as it can be known from the scores so far.
        #[test]
        fn starts_and_events_agree(
            scores in vec((prop_oneof![Just(0.1f32), Just(0.3), Just(0.7), 0.0f32..1.0], 0.0f32..1.0, 0.0f32..1.0), 0..200),
            asked in [prop_oneof![Just(None), (0.0f32..1.0).prop_map(Some)], prop_oneof![Just(None), (0.0f32..1.0).prop_map(Some)]],
            seconds in (0u8..6, 0u8..6, 0u8..6, 0u8..4),
        ) {
            let [min_seconds, merge_seconds, cooldown_seconds, repeat_seconds] =
                [seconds.0, seconds.1, seconds.2, seconds.3].map(f64::from);
            let rules = Rules { min_seconds, merge_seconds, cooldown_seconds, repeat_seconds, ..rules() };
            let events = |scores: &[Score]| events_among(rules, asked, scores);
            let told = changes(rules, asked, &scores);
            let mut open: Option<Lasting> = None;
            for &(i, change) in &told {
                match change {
                    Change::Start(on) => {
                        prop_assert_eq!(open, None);
                        let long = (on.at - on.start) >= samples(min_seconds);
                        prop_assert!(long && on.at <= (i as u64 + 1) * SECOND);
                        open = Some(on);
                        // The same scores with silence behind them have that event, those without the last have not told it.
                        let quiet = [&scores[..(i + 1).min(scores.len())], &QUIET].concat();
                        prop_assert!(events(&quiet).iter().any(|event| event.0 == on.start / SECOND));
                    }
                    Change::Repeat(on) => {
                        let last = open.expect("a start before it is repeated");
                        prop_assert!(repeat_seconds > 0.0 && on.start == last.start && on.at - last.at >= samples(repeat_seconds));
                        open = Some(on);
                    }
                    Change::Over(span) => {
                        let last = open.take().expect("a start before its end");
                        prop_assert!(last.start == span.start && last.at <= span.end && last.peak <= span.peak);
                    }
                }
            }
            prop_assert_eq!(open, None);
            // As early as can be: an event that silence from here on would leave in the list has been told by now.
            for heard in 0..scores.len() {
                let quiet = [&scores[..=heard], &QUIET].concat();
                let known = told.iter().filter(|(i, change)| *i <= heard && matches!(change, Change::Start(_))).count();
                prop_assert_eq!(known, events(&quiet).len());
            }
        }
    }
}
