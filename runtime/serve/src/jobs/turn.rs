//! A job that has begun, and how it gives way to others.

use std::cell::Cell;
use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ossicle::audio::AudioReader;
use ossicle::source::{SampleSource, SourceError, filled};

use super::{Queue, STEP, in_seconds};

/// A job that has begun, until it is dropped.
pub(super) struct Ended<'a> {
    pub(super) queue: &'a Queue,
    pub(super) id: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.queue.waiting().turns.end(self.id, Instant::now());
        self.queue.0.changed.notify_all();
    }
}

/// A job's turns.
pub(super) struct Turn<'a> {
    pub(super) queue: &'a Queue,
    pub(super) id: u64,
    /// Seconds of the recording that are left, as far as is known.
    pub(super) left: Cell<f64>,
    /// How long it has waited for others since it began.
    pub(super) waited: Cell<Duration>,
    pub(super) since: Instant,
    pub(super) cancelled: &'a AtomicBool,
    pub(super) stop: &'a [&'a AtomicBool],
}

impl Turn<'_> {
    /// Lets others go first if they are more pressing; returns when it is its turn again, or nobody wants it any more.
    pub(super) fn pass(&self) {
        let shared = &self.queue.0;
        shared.progress.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let mut waiting = self.queue.waiting();
        waiting.turns.offer(self.id, self.left.get(), start);
        if waiting.turns.has(self.id) {
            return;
        }
        shared.changed.notify_all();
        while !waiting.turns.has(self.id) && self.is_wanted() {
            (waiting, _) = shared.changed.wait_timeout(waiting, STEP).unwrap_or_else(PoisonError::into_inner);
        }
        self.waited.set(self.waited.get() + start.elapsed());
    }

    fn is_wanted(&self) -> bool {
        !self.queue.is_stopping(self.stop) && !self.cancelled.load(Ordering::Relaxed)
    }

    /// What ends the job before its recording does.
    fn limit(&self) -> Option<Limit> {
        match () {
            () if self.queue.is_stopping(self.stop) => Some(Limit::Stopping),
            () if self.cancelled.load(Ordering::Relaxed) => Some(Limit::Cancelled),
            () if self.since.elapsed().saturating_sub(self.waited.get()) > self.queue.0.limits.work => Some(Limit::Time),
            () => None,
        }
    }
}

/// Which limit ended a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Stopping,
    Cancelled,
    Length,
    Time,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Limit {}

/// A recording that ends with an error once nobody wants it, or it goes beyond what is allowed; between its windows others have their turn.
pub(super) struct Bounded<'a> {
    pub(super) audio: AudioReader,
    pub(super) left: u64,
    pub(super) turn: &'a Turn<'a>,
    pub(super) broken: Option<Limit>,
    /// Whether the recording has been read to its end.
    pub(super) ended: bool,
}

impl SampleSource for Bounded<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        // Uploads are whole, so a window is read at once, and at its end there is nothing to wait for.
        if !self.ended {
            self.turn.pass();
        }
        let read = filled(&mut self.audio, out)? as u64;
        self.ended = read < out.len() as u64;
        let limit = self.turn.limit().or_else(|| (read > self.left).then_some(Limit::Length));
        if let Some(limit) = limit {
            self.broken = Some(limit);
            return Err(SourceError(Box::new(limit)));
        }
        self.left -= read;
        self.turn.left.set((self.turn.left.get() - in_seconds(read)).max(0.0));
        Ok(read as usize)
    }
}
