//! Samples, and what a button did meanwhile, between the thread that records them and the one that listens.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::source::{SampleSource, SourceError};

/// Samples a source is asked for at a time: 64 ms.
const BLOCK: usize = 1024;
/// Presses and releases that wait at most; more are passed over.
const MAX_MARKS: usize = 64;

/// What [`Queue::pop`] found.
#[derive(Debug)]
pub enum Popped {
    /// So many samples.
    Samples(usize),
    /// Here the button went down.
    Pressed,
    /// Here the button went up.
    Released,
    /// None in time.
    Nothing,
    /// No more will come.
    Ended,
}

/// A queue of fixed size. A source that is faster than its listener waits, so that nothing is lost. A button's presses and releases keep their
/// place among the samples, however late the listener gets to them.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

struct State {
    samples: VecDeque<f32>,
    /// Samples popped so far.
    popped: u64,
    /// Presses and releases in turn, each behind so many samples of the stream.
    marks: VecDeque<u64>,
    /// Whether the button is down behind all of them.
    down: bool,
    /// No more will come, perhaps for a reason.
    ended: Option<Result<(), SourceError>>,
    /// Nobody listens any more.
    closed: bool,
}

impl Queue {
    /// Room for `capacity` samples, allocated now.
    pub fn new(capacity: usize) -> Self {
        let (samples, marks) = (VecDeque::with_capacity(capacity), VecDeque::with_capacity(MAX_MARKS));
        let state = State { samples, popped: 0, marks, down: false, ended: None, closed: false };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), capacity }))
    }

    /// Fills a queue of `capacity` samples from `source` on a thread of its own, until either ends.
    pub fn feed(mut source: Box<dyn SampleSource + Send>, capacity: usize) -> Self {
        let queue = Self::new(capacity);
        let feeder = queue.clone();
        thread::spawn(move || {
            let mut block = [0.0; BLOCK];
            let outcome = loop {
                match source.read(&mut block) {
                    Ok(0) => break Ok(()),
                    Ok(read) => {
                        if !feeder.push(&block[..read]) {
                            return;
                        }
                    }
                    Err(error) => break Err(error),
                }
            };
            feeder.end(outcome);
        });
        queue
    }

    /// Adds samples, waiting for room; false once nobody listens.
    pub fn push(&self, mut samples: &[f32]) -> bool {
        let mut state = self.lock();
        while !samples.is_empty() {
            if state.closed {
                return false;
            }
            let room = self.0.capacity - state.samples.len();
            if room == 0 {
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (now, later) = samples.split_at(samples.len().min(room));
            state.samples.extend(now);
            samples = later;
            self.0.changed.notify_all();
        }
        true
    }

    /// The button goes down behind the samples that were pushed so far; false if it is down already, or too many presses wait.
    pub fn press(&self) -> bool {
        self.mark(|down| !down)
    }

    /// The button goes up behind the samples that were pushed so far; false if it is up already, or too many presses wait.
    pub fn release(&self) -> bool {
        self.mark(|down| down)
    }

    /// The button goes down if it is up, and up if it is down; false if too many presses wait.
    pub fn toggle(&self) -> bool {
        self.mark(|_| true)
    }

    fn mark(&self, changes: impl Fn(bool) -> bool) -> bool {
        let mut state = self.lock();
        let marked = changes(state.down) && state.marks.len() < MAX_MARKS;
        if marked {
            let position = state.popped + state.samples.len() as u64;
            state.marks.push_back(position);
            state.down = !state.down;
            self.0.changed.notify_all();
        }
        marked
    }

    /// No more samples will come.
    pub fn end(&self, outcome: Result<(), SourceError>) {
        self.lock().ended = Some(outcome);
        self.0.changed.notify_all();
    }

    /// Nobody listens any more: a waiting source goes on and ends.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Whether a press or a release waits.
    pub fn is_marked(&self) -> bool {
        !self.lock().marks.is_empty()
    }

    /// Samples waiting.
    pub fn len(&self) -> usize {
        self.lock().samples.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves what is there, up to the next press or release, to the front of `out`, waiting up to `patience` for the first sample.
    ///
    /// # Errors
    /// The source's, once all samples and marks before it are out.
    pub fn pop(&self, out: &mut [f32], patience: Duration) -> Result<Popped, SourceError> {
        let idle = |state: &mut State| state.samples.is_empty() && state.marks.is_empty() && state.ended.is_none();
        let waited = self.0.changed.wait_timeout_while(self.lock(), patience, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let to_mark = state.marks.front().map(|mark| mark - state.popped);
        if to_mark == Some(0) {
            state.marks.pop_front();
            // Presses and releases take turns, and the last one is what `down` says.
            let pressed = state.down == state.marks.len().is_multiple_of(2);
            return Ok(if pressed { Popped::Pressed } else { Popped::Released });
        }
        let room = to_mark.map_or(out.len(), |samples| out.len().min(usize::try_from(samples).unwrap_or(usize::MAX)));
        let count = room.min(state.samples.len());
        if count == 0 {
            return match &mut state.ended {
                None => Ok(Popped::Nothing),
                Some(outcome) => std::mem::replace(outcome, Ok(())).map(|()| Popped::Ended),
            };
        }
        for (out, sample) in out.iter_mut().zip(state.samples.drain(..count)) {
            *out = sample;
        }
        state.popped += count as u64;
        self.0.changed.notify_all();
        Ok(Popped::Samples(count))
    }

    /// A thread that panicked leaves whole samples behind: poisoning says nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(Vec<f32>);

    impl SampleSource for Failing {
        fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
            if self.0.is_empty() {
                return Err(SourceError("the cable fell out".into()));
            }
            let count = out.len().min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    #[test]
    fn a_slow_listener_loses_nothing_and_hears_why_it_ended() {
        let all: Vec<f32> = (0..20_000).map(|n| n as f32).collect();
        let queue = Queue::feed(Box::new(Failing(all.clone())), 700);
        let (mut heard, mut block) = (Vec::new(), [0.0; 301]);
        let error = loop {
            match queue.pop(&mut block, Duration::from_secs(10)) {
                Ok(Popped::Samples(count)) => heard.extend_from_slice(&block[..count]),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!((heard, error.to_string().as_str()), (all, "the cable fell out"));
        assert!(matches!(queue.pop(&mut block, Duration::ZERO), Ok(Popped::Ended)));
    }

    /// What comes out, block by block.
    fn drain(queue: &Queue) -> Vec<String> {
        let mut block = [0.0; 4];
        let mut all = Vec::new();
        loop {
            match queue.pop(&mut block, Duration::ZERO).unwrap() {
                Popped::Nothing | Popped::Ended => return all,
                popped => all.push(format!("{popped:?}")),
            }
        }
    }

    #[test]
    fn a_button_keeps_its_place_among_the_samples() {
        let queue = Queue::new(100);
        assert!(!queue.release() && queue.press() && !queue.press());
        queue.push(&[0.0; 6]);
        assert!(queue.release() && queue.toggle());
        queue.push(&[0.0; 3]);
        assert!(queue.toggle() && !queue.release());
        queue.end(Ok(()));
        assert_eq!(drain(&queue), ["Pressed", "Samples(4)", "Samples(2)", "Released", "Pressed", "Samples(3)", "Released"]);
        assert!(matches!(queue.pop(&mut [0.0], Duration::ZERO), Ok(Popped::Ended)));
    }

    #[test]
    fn a_button_that_is_played_with_takes_no_more_memory() {
        let queue = Queue::new(100);
        let marked = (0..1000).filter(|_| queue.toggle()).count();
        assert_eq!(marked, MAX_MARKS);
        let marks = drain(&queue);
        assert_eq!((marks.len(), marks[0].as_str(), marks[MAX_MARKS - 1].as_str()), (MAX_MARKS, "Pressed", "Released"));
        assert!(queue.press());
    }

    #[test]
    fn waiting_has_an_end() {
        let queue = Queue::new(10);
        assert!(matches!(queue.pop(&mut [0.0; 4], Duration::from_millis(1)), Ok(Popped::Nothing)));
        queue.push(&[1.0; 10]);
        let pusher = queue.clone();
        let blocked = thread::spawn(move || pusher.push(&[2.0]));
        queue.close();
        assert!(!blocked.join().unwrap());
        assert_eq!(queue.len(), 10);
    }
}
