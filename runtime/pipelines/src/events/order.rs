//! Events in the order in which they begin.

use std::collections::VecDeque;

use super::Event;

/// Puts events, which come in the order in which they end, into the order in which they begin. What lasts holds back all that begins behind it:
/// at most [`MOST_HELD`](Self::MOST_HELD) events, beyond which they are given out of order.
#[derive(Clone, Debug, Default)]
pub struct InOrder {
    /// In order.
    held: VecDeque<Event>,
}

impl InOrder {
    /// Most events that wait: about a megabyte.
    pub const MOST_HELD: usize = 10_000;

    /// Takes an event that is over; the first one that waits, if they are too many.
    pub fn push(&mut self, event: Event) -> Option<Event> {
        let before = |held: &Event| {
            let times = held.start.total_cmp(&event.start).then(held.end.total_cmp(&event.end));
            times.then_with(|| held.class.cmp(&event.class)).is_lt()
        };
        self.held.insert(self.held.partition_point(before), event);
        if self.held.len() > Self::MOST_HELD { self.held.pop_front() } else { None }
    }

    /// The next event, if it begins before `settled` seconds and so before all that are still to come
    /// ([`Detector::settled`](super::Detector::settled)); behind the recording's end that is infinity.
    pub fn next(&mut self, settled: f64) -> Option<Event> {
        if self.held.front()?.start < settled { self.held.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(class: &str, start: f64, end: f64) -> Event {
        Event { class: class.into(), start, end, peak: 0.5, mean: 0.5 }
    }

    #[test]
    fn what_ends_last_may_come_first() {
        let mut order = InOrder::default();
        assert_eq!(order.push(event("dog", 2.0, 3.0)), None);
        // Rain that began at 1 s goes on.
        assert_eq!(order.next(1.0), None);
        for late in [event("rain", 1.0, 9.0), event("cat", 2.0, 3.0), event("cat", 2.0, 2.5)] {
            order.push(late);
        }
        let all: Vec<Event> = std::iter::from_fn(|| order.next(f64::INFINITY)).collect();
        assert_eq!(all, [event("rain", 1.0, 9.0), event("cat", 2.0, 2.5), event("cat", 2.0, 3.0), event("dog", 2.0, 3.0)]);
    }

    #[test]
    fn no_more_wait_than_have_room() {
        let mut order = InOrder::default();
        let count = 3 * InOrder::MOST_HELD;
        let given = (0..count).filter_map(|n| order.push(event("tick", n as f64, n as f64 + 0.5))).count();
        assert_eq!((given, order.held.len()), (count - InOrder::MOST_HELD, InOrder::MOST_HELD));
        assert_eq!(order.next(f64::INFINITY).unwrap().start, given as f64);
    }
}
