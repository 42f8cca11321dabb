//! Who works when.
//!
//! Recordings that have begun each have a model of their own and take turns: one computes, the others wait where theirs asks for more samples,
//! which is between windows. The next turn goes to the one with the highest response ratio (Brinch Hansen 1971): how long it has waited for
//! what is left of it. So short ones go first, and no long one waits for ever.

use std::time::{Duration, Instant};

/// What a command is at most.
const SHORT_SECONDS: f64 = 15.0;
/// What is not yet a lecture.
const MEDIUM_SECONDS: f64 = 300.0;

/// What any recording costs, and each second of it more, in seconds of work: about that of tiny.en on two cores. Only their ratio to how long
/// people wait matters.
const COST: f64 = 0.2;
const COST_PER_SECOND: f64 = 0.04;

/// How pressing a recording is with so many seconds left that has waited for so long.
pub(crate) fn urgency(seconds: f64, waited: Duration) -> f64 {
    waited.as_secs_f64() / (COST + COST_PER_SECOND * seconds)
}

/// The longest recording, in seconds, that the model of this number takes, of so many: the last one is kept for short ones, the one before it for
/// those that are not long, so that there is always one that is soon free.
pub(crate) fn most_seconds(model: usize, models: usize) -> f64 {
    match models - model {
        1 if models > 1 => SHORT_SECONDS,
        2 if models > 2 => MEDIUM_SECONDS,
        _ => f64::INFINITY,
    }
}

/// A recording that has begun.
#[derive(Debug)]
struct Begun {
    id: u64,
    /// Seconds of it that are left.
    left: f64,
    /// Since when it waits; not at all while it has the turn.
    waits: Option<Instant>,
}

/// The recordings that have begun, and whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    begun: Vec<Begun>,
    holder: Option<u64>,
}

impl Turns {
    /// Lets a recording that has waited since then wait for its first turn.
    pub(crate) fn begin(&mut self, id: u64, seconds: f64, since: Instant, now: Instant) {
        self.begun.push(Begun { id, left: seconds, waits: Some(since) });
        self.grant(now);
    }

    /// Whether it is the turn of this one.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.holder == Some(id)
    }

    /// Whether somebody computes.
    pub(crate) fn is_taken(&self) -> bool {
        self.holder.is_some()
    }

    /// Offers the turn of this one, of which so many seconds are left, to others. It stays if nobody is more pressing.
    pub(crate) fn offer(&mut self, id: u64, left: f64, now: Instant) {
        if let Some(begun) = self.begun.iter_mut().find(|begun| begun.id == id) {
            begun.left = left;
            begun.waits.get_or_insert(now);
        }
        if self.has(id) {
            self.holder = None;
            self.grant(now);
        }
    }

    /// Ends a recording, whether or not it had the turn.
    pub(crate) fn end(&mut self, id: u64, now: Instant) {
        self.begun.retain(|begun| begun.id != id);
        if self.has(id) {
            self.holder = None;
            self.grant(now);
        }
    }

    /// Gives the turn, if nobody has it, to the most pressing; of equals to the one with the least left, then to the first.
    fn grant(&mut self, now: Instant) {
        if self.is_taken() {
            return;
        }
        let pressing =
            |begun: &Begun| urgency(begun.left, begun.waits.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)));
        let more = |a: &Begun, b: &Begun| pressing(a).total_cmp(&pressing(b)).then(b.left.total_cmp(&a.left)).then(b.id.cmp(&a.id));
        if let Some(next) = self.begun.iter_mut().max_by(|a, b| more(a, b)) {
            next.waits = None;
            self.holder = Some(next.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_model_for_short_ones() {
        let all = |models: usize| (0..models).map(|model| most_seconds(model, models)).collect::<Vec<_>>();
        assert_eq!(all(1), [f64::INFINITY]);
        assert_eq!(all(2), [f64::INFINITY, 15.0]);
        assert_eq!(all(4), [f64::INFINITY, f64::INFINITY, 300.0, 15.0]);
    }

    /// Windows of 30 s that take 0.6 s each; gives when each recording (begins after, seconds) was done.
    fn simulate(recordings: &[(f64, f64)]) -> Vec<f64> {
        const STEP: f64 = 0.05;
        let start = Instant::now();
        let at = |time: f64| start + Duration::from_secs_f64(time);
        let (mut turns, mut left, mut done) = (Turns::default(), vec![0.0; recordings.len()], vec![f64::NAN; recordings.len()]);
        let mut window: Option<(usize, f64)> = None;
        for step in 0..100_000 {
            let now = f64::from(step) * STEP;
            for (id, &(begins, seconds)) in recordings.iter().enumerate() {
                if begins <= now && begins > now - STEP {
                    left[id] = seconds;
                    turns.begin(id as u64, seconds, at(now), at(now));
                }
            }
            if let Some((id, end)) = window.filter(|&(_, end)| end <= now) {
                window = None;
                left[id] -= 30.0;
                if left[id] > 0.0 {
                    turns.offer(id as u64, left[id], at(now));
                } else {
                    turns.end(id as u64, at(now));
                    done[id] = end;
                }
            }
            if window.is_none()
                && let Some(id) = (0..recordings.len()).find(|&id| turns.has(id as u64))
            {
                window = Some((id, now + 0.6 * left[id].min(30.0) / 30.0));
            }
        }
        done
    }

    #[test]
    fn a_short_one_waits_for_a_window_and_no_longer() {
        let mut all = vec![(0.0, 1140.0), (0.1, 120.0)];
        all.extend((0..40).map(|i| (1.03 + f64::from(i), 2.0)));
        let done = simulate(&all);
        for (&(begins, _), end) in all.iter().zip(&done).skip(2) {
            assert!(end - begins < 0.9, "{begins} {end}");
        }
        assert!(done[1] < 6.0, "{done:?}");
        assert!(done[0] < 40.0, "{done:?}");
    }

    #[test]
    fn a_long_one_has_its_turns_among_many_short_ones() {
        // Those alone take more than two thirds of all the time.
        let mut all = vec![(0.0, 300.0)];
        all.extend((0..600).map(|i| (f64::from(i) * 0.3, 10.0)));
        let done = simulate(&all);
        assert!(done[0] < 100.0, "{}", done[0]);
        let late = all.iter().zip(&done).skip(1).map(|((begins, _), end)| end - begins).fold(0.0, f64::max);
        assert!(late < 2.0, "{late}");
    }

    #[test]
    fn only_one_has_the_turn_and_it_is_passed_on() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.begin(1, 100.0, now, now);
        turns.begin(2, 1.0, now, now);
        assert!(turns.has(1) && !turns.has(2));
        turns.offer(1, 70.0, now);
        assert!(turns.has(2));
        // One that does not have it cannot give it away.
        turns.offer(1, 70.0, now);
        turns.end(1, now);
        assert!(turns.has(2));
        turns.end(2, now);
        assert!(!turns.is_taken());
    }
}
