//! A thread with something that one client at a time can use, for short pieces of work.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::job_error::JobError;
use crate::slots::Peer;
use crate::updates::{Update, Updates};

/// Stack of the thread.
const STACK_BYTES: usize = 4 << 20;

/// Parts that wait for their client to take them; with more the work waits.
const MAX_PARTS: usize = 64;

type Work<T> = Box<dyn FnOnce(&mut T) + Send>;

struct Waiting<T> {
    work: VecDeque<(Peer, Work<T>)>,
    last: Option<Peer>,
}

struct Shared<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
    stopping: AtomicBool,
    /// Whether the thread has ended.
    ended: AtomicBool,
    /// Tickets that are held.
    clients: AtomicUsize,
    /// How long work waits before its client is told that the service is busy.
    wait: Duration,
}

/// The thread. Work is taken in the order in which it came, but none of the peer served last while others wait.
pub(crate) struct Worker<T>(Arc<Shared<T>>);

impl<T> Clone for Worker<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a client learns of its work.
pub(crate) enum Step<P, R> {
    Part(P),
    Done(R),
}

/// Work that somebody waits for; dropping it ends the work.
pub(crate) struct Ticket<P, R> {
    updates: Updates<Step<P, R>>,
    _client: Client,
}

/// Counts clients.
struct Client(Arc<dyn Counted>);

trait Counted: Send + Sync {
    fn clients(&self) -> &AtomicUsize;
}

impl<T: Send> Counted for Shared<T> {
    fn clients(&self) -> &AtomicUsize {
        &self.clients
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.clients().fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says that the thread has ended, also where work panics.
struct Ended<T>(Arc<Shared<T>>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.lock().work.clear();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next work; none when the service ends.
    fn next(&self) -> Option<Work<T>> {
        let mut waiting = self.lock();
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                return None;
            }
            let other = waiting.work.iter().position(|(peer, _)| Some(*peer) != waiting.last);
            if let Some((peer, work)) = waiting.work.remove(other.unwrap_or(0)) {
                waiting.last = Some(peer);
                return Some(work);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread that has `thing`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(mut thing: T, wait: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting { work: VecDeque::new(), last: None }),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            wait,
        });
        let ended = Ended(Arc::clone(&shared));
        thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            while let Some(work) = ended.0.next() {
                work(&mut thing);
            }
        })?;
        Ok(Self(shared))
    }

    /// Has `work` done, which tells parts of its result as it gets them and stops where its client takes no more.
    pub(crate) fn submit<P: Send + 'static, R: Send + 'static>(
        &self,
        peer: Peer,
        work: impl FnOnce(&mut T, &mut dyn FnMut(P) -> bool) -> R + Send + 'static,
    ) -> Ticket<P, R> {
        let (sender, updates) = mpsc::sync_channel(MAX_PARTS);
        let shared = Arc::clone(&self.0);
        let work = move |thing: &mut T| {
            if sender.send(Update::Started).is_err() {
                return;
            }
            let done =
                work(thing, &mut |part| !shared.stopping.load(Ordering::Relaxed) && sender.send(Update::Told(Step::Part(part))).is_ok());
            if !shared.stopping.load(Ordering::Relaxed) {
                let _ = sender.send(Update::Told(Step::Done(done)));
            }
        };
        self.0.clients.fetch_add(1, Ordering::Relaxed);
        let client = Client(Arc::clone(&self.0) as Arc<dyn Counted>);
        // Once the service ends the work is dropped, and its ticket learns of it.
        let mut waiting = self.0.lock();
        if !self.0.stopping.load(Ordering::Relaxed) {
            waiting.work.push_back((peer, Box::new(work)));
        }
        drop(waiting);
        self.0.changed.notify_all();
        Ticket { updates: Updates::new(updates, self.0.wait), _client: client }
    }

    /// Ends the thread after the part that it works on.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.lock().work.clear();
        self.0.changed.notify_all();
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for work.
    pub(crate) fn has_clients(&self) -> bool {
        self.0.clients.load(Ordering::Relaxed) > 0
    }
}

impl<P, R> Ticket<P, R> {
    /// The next that is known of the work; waits for it as long as `alive` holds.
    ///
    /// # Errors
    /// [`JobError::Busy`] if it was not begun in time, [`JobError::Gone`] if `alive` does not hold, [`JobError::Stopping`].
    pub(crate) fn next(&mut self, alive: &mut dyn FnMut() -> bool) -> Result<Step<P, R>, JobError> {
        self.updates.next(alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Peer = None;

    fn b() -> Peer {
        Some([10, 0, 0, 2].into())
    }

    fn done<R>(mut ticket: Ticket<u32, R>) -> Result<R, JobError> {
        loop {
            if let Step::Done(done) = ticket.next(&mut || true)? {
                return Ok(done);
            }
        }
    }

    #[test]
    fn peers_take_turns() {
        let worker = Worker::start(Vec::new(), Duration::from_secs(20)).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let first = worker.submit(A, move |_: &mut Vec<u32>, _: &mut dyn FnMut(u32) -> bool| wait.recv().unwrap());
        let put = |peer, number: u32| worker.submit(peer, move |all: &mut Vec<u32>, _: &mut dyn FnMut(u32) -> bool| all.push(number));
        let tickets = [put(A, 1), put(A, 2), put(b(), 3), put(A, 4), put(b(), 5)];
        // Nobody waits for this one.
        drop(put(b(), 6));
        go.send(()).unwrap();
        done(first).unwrap();
        tickets.into_iter().for_each(|ticket| done(ticket).unwrap());
        let all = done(worker.submit(A, |all: &mut Vec<u32>, _: &mut dyn FnMut(u32) -> bool| all.clone())).unwrap();
        assert_eq!(all, [3, 1, 5, 2, 4]);
        assert!(!worker.has_clients());
    }

    #[test]
    fn work_waits_for_whoever_takes_it_and_ends_without_them() {
        let worker = Worker::start((), Duration::from_millis(100)).unwrap();
        let endless = |_: &mut (), tell: &mut dyn FnMut(u32) -> bool| {
            let told = (0..).take_while(|&n| tell(n)).count();
            assert!(told <= 2 * MAX_PARTS);
            told
        };
        let mut ticket = worker.submit(A, endless);
        assert!(matches!(ticket.next(&mut || true), Ok(Step::Part(0))));
        let mut late = worker.submit(A, |_: &mut (), _: &mut dyn FnMut(u32) -> bool| ());
        assert!(matches!(late.next(&mut || true), Err(JobError::Busy)));
        drop(ticket);
        let mut next = worker.submit(A, |_: &mut (), _: &mut dyn FnMut(u32) -> bool| ());
        assert!(matches!(next.next(&mut || true), Ok(Step::Done(()))));
        // At its end everybody is told.
        let mut ticket = worker.submit(A, endless);
        assert!(matches!(ticket.next(&mut || true), Ok(Step::Part(0))));
        worker.stop();
        while !matches!(ticket.next(&mut || true), Err(JobError::Stopping)) {}
        assert!(matches!(done(worker.submit(A, endless)), Err(JobError::Stopping)));
    }
}
