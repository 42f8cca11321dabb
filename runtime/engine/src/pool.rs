//! Threads that wait for parts of one operation at a time.
//!
//! Work is split by rows or columns before it starts, never while it runs, and no part depends on another's result, so the number of
//! threads cannot change a bit. Nothing is allocated after the start.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

// A test puts other ones in their place, to try all orders in which threads can run (tests/orders).
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicUsize, Condvar, JoinHandle, Mutex, MutexGuard, Ordering, SPINS, spawn, spin};

/// Most threads that a network runs on; a larger number asked for means this one.
pub const MAX_THREADS: usize = 8;

/// Threads used unless told otherwise, at most: more share the memory's bandwidth without gain.
pub const MOST_DEFAULT_THREADS: usize = 4;

/// Threads to use on this machine unless told otherwise.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_DEFAULT_THREADS)
}

type Task<'a> = &'a (dyn Fn(usize) + Sync);

/// A fixed number of threads, of which the caller is the first.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a task runs: one at a time.
    turn: Mutex<()>,
}

struct Shared {
    task: Mutex<Option<Task<'static>>>,
    /// Counts tasks; changes when one starts.
    generation: AtomicU32,
    started: Condvar,
    /// Workers that have not finished the task.
    remaining: AtomicUsize,
    finished: Condvar,
    panicked: AtomicBool,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts `threads - 1` workers; `threads` is held to `1..=MAX_THREADS`.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            task: Mutex::new(None),
            generation: AtomicU32::new(0),
            started: Condvar::new(),
            remaining: AtomicUsize::new(0),
            finished: Condvar::new(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let workers = (1..threads.clamp(1, MAX_THREADS))
            .map(|index| {
                let shared = Arc::clone(&shared);
                spawn(move || shared.work(index))
            })
            .collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)`, ..., `task(threads - 1)`, one on each thread, and returns when all are done.
    ///
    /// # Panics
    /// If a part panics.
    pub fn run(&self, task: Task<'_>) {
        if self.workers.is_empty() {
            return task(0);
        }
        // Taken already: a part of a running task asks for more, or another thread runs one. The same parts, one after another, are as good.
        let Ok(_turn) = self.turn.try_lock() else {
            return (0..self.threads()).for_each(task);
        };
        // SAFETY: workers use the task only between here and the end of `wait`, which this function does not leave without, not even by
        // unwinding; so the borrow outlives every use.
        #[allow(unsafe_code)]
        let erased = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        self.shared.remaining.store(self.workers.len(), Ordering::Relaxed);
        {
            // Under the lock, or a worker between its last look and its sleep would miss it.
            let mut slot = lock(&self.shared.task);
            *slot = Some(erased);
            self.shared.generation.fetch_add(1, Ordering::Release);
        }
        self.shared.started.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        self.shared.wait();
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!self.shared.panicked.swap(false, Ordering::Relaxed), "a worker panicked");
    }

    /// Gives each part to a thread of its own; there are at most as many parts as threads.
    pub fn each<P: Send>(&self, mut parts: [Option<P>; MAX_THREADS], work: impl Fn(usize, P) + Sync) {
        if self.workers.is_empty() {
            return parts[0].take().into_iter().for_each(|part| work(0, part));
        }
        let parts = parts.map(Mutex::new);
        self.run(&|thread| {
            if let Some(part) = lock(&parts[thread]).take() {
                work(thread, part);
            }
        });
    }

    /// Gives each thread a part of `out`, rows of `width` values, each part but the last a multiple of `granule` rows. `work` gets the thread,
    /// the part's first row and the part.
    pub fn for_parts<T: Send>(&self, out: &mut [T], width: usize, granule: usize, work: impl Fn(usize, usize, &mut [T]) + Sync) {
        let mut parts = [const { None }; MAX_THREADS];
        let rows = out.len() / width;
        let mut rest = out;
        for (part, range) in parts.iter_mut().zip(self.split(rows, granule)) {
            let (own, after) = rest.split_at_mut(range.len() * width);
            rest = after;
            *part = Some((range.start, own));
        }
        self.each(parts, |thread, (start, out)| work(thread, start, out));
    }

    /// Splits `count` items into one range a thread, each but the last a multiple of `granule` long; empty ranges for threads without
    /// work.
    pub fn split(&self, count: usize, granule: usize) -> impl Iterator<Item = Range<usize>> {
        let threads = self.threads();
        let granules = count.div_ceil(granule);
        (0..threads).map(move |thread| {
            let [from, to] = [thread, thread + 1].map(|t| ((granules * t).div_ceil(threads) * granule).min(count));
            from..to
        })
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.generation.load(Ordering::Acquire) == seen && spins < SPINS {
                spin();
                spins += 1;
            }
            let task = {
                let mut slot = lock(&self.task);
                while self.generation.load(Ordering::Acquire) == seen {
                    slot = self.started.wait(slot).unwrap_or_else(PoisonError::into_inner);
                }
                *slot
            };
            seen = self.generation.load(Ordering::Acquire);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Some(task) = task
                && catch_unwind(AssertUnwindSafe(|| task(index))).is_err()
            {
                self.panicked.store(true, Ordering::Relaxed);
            }
            if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
                // Taking the lock orders this with a caller that is about to sleep.
                drop(lock(&self.task));
                self.finished.notify_one();
            }
        }
    }

    /// Returns when no worker uses the task any more.
    fn wait(&self) {
        let mut spins = 0;
        while self.remaining.load(Ordering::Acquire) != 0 && spins < SPINS {
            spin();
            spins += 1;
        }
        let mut slot = lock(&self.task);
        while self.remaining.load(Ordering::Acquire) != 0 {
            slot = self.finished.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        *slot = None;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        {
            let _slot = lock(&self.shared.task);
            self.shared.generation.fetch_add(1, Ordering::Release);
            self.shared.started.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}
