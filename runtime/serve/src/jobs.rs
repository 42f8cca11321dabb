//! The models, and the jobs that wait for them and take turns.

mod turn;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use ossicle::audio::{AudioReader, Damage, SAMPLE_RATE};
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcript::{Dropped, Segment, Summary, Told};

use crate::job_error::JobError;
use crate::limits::Limits;
use crate::model::Model;
use crate::slots::Peer;
use crate::spill::{Kept, Share};
use crate::turns::{self, Turns};
use crate::updates::{Update, Updates};
use turn::{Bounded, Ended, Limit, Turn};

/// How long a thread waits before it says that it is alive, and a stop may go unnoticed.
const STEP: Duration = Duration::from_millis(100);

/// Stack of a model's thread.
const STACK_BYTES: usize = 4 << 20;

/// Bytes of a second, at least, of a recording of which nothing tells how long it is: about that of speech in Opus.
const LEAST_BYTES_PER_SECOND: f64 = 2000.0;

/// What a connection learns of its job.
enum News {
    Told(Told),
    Finished(Result<Whole, JobError>),
}

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Transcript,
    Command,
}

struct Job {
    id: u64,
    audio: AudioReader,
    /// How long it is, as far as is known.
    seconds: f64,
    since: Instant,
    /// Whose it is; its bytes count as long as it waits or is worked on.
    share: Share,
    options: TranscribeOptions,
    purpose: Purpose,
    updates: Sender<Update<News>>,
    cancelled: Arc<AtomicBool>,
}

/// The jobs that wait, in the order in which they came, the address served last, and those that have begun.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    last: Option<Peer>,
    turns: Turns,
    next_id: u64,
}

impl Waiting {
    /// The next job of at most so many seconds, which now begins: one of another peer than the last one, so that nobody waits for all that a
    /// greedy one has queued; of these the most pressing, then the first.
    fn pop(&mut self, most_seconds: f64, now: Instant) -> Option<Job> {
        let order = |job: &Job| {
            let urgency = turns::urgency(job.seconds, now.saturating_duration_since(job.since));
            (Some(job.share.peer()) != self.last, urgency)
        };
        let fits = self.jobs.iter().enumerate().filter(|(_, job)| job.seconds <= most_seconds).map(|(at, job)| (at, order(job)));
        let best = fits.max_by(|(at, a), (other, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(other.cmp(at)));
        let job = self.jobs.remove(best?.0)?;
        self.last = Some(job.share.peer());
        self.turns.begin(job.id, job.seconds, job.since, now);
        Some(job)
    }
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Jobs may begin, or it is somebody else's turn.
    changed: Condvar,
    stopping: AtomicBool,
    /// Counts what the models do.
    progress: AtomicU64,
    /// Tickets that are held.
    clients: AtomicUsize,
    limits: Limits,
}

/// The jobs that wait.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

/// A job that somebody waits for; dropping it cancels the job.
pub(crate) struct Ticket {
    queue: Queue,
    updates: Updates<News>,
    cancelled: Arc<AtomicBool>,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        let (waiting, stopping) = (Mutex::default(), AtomicBool::new(false));
        let (clients, progress) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { waiting, changed: Condvar::new(), stopping, progress, clients, limits }))
    }

    /// Jobs waiting.
    pub(crate) fn len(&self) -> usize {
        self.waiting().jobs.len()
    }

    /// Whether somebody still waits for a job, or tells its client about it.
    pub(crate) fn has_clients(&self) -> bool {
        self.0.clients.load(Ordering::Relaxed) > 0
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a recording wait for the model.
    ///
    /// # Errors
    /// If too many wait, in all or of this peer, or the recording says that it is too long.
    pub(crate) fn submit(&self, recording: Kept, options: TranscribeOptions, purpose: Purpose) -> Result<Ticket, JobError> {
        let (limits, Kept { audio, share }) = (&self.0.limits, recording);
        if audio.expected_samples().is_some_and(|samples| samples > most_samples(limits)) {
            return Err(JobError::TooLong(limits.audio_seconds));
        }
        let (sender, updates) = mpsc::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let seconds = audio.estimated_seconds(share.bytes()).unwrap_or(share.bytes() as f64 / LEAST_BYTES_PER_SECOND);
        let (since, mut waiting) = (Instant::now(), self.waiting());
        waiting.next_id += 1;
        let id = waiting.next_id;
        let job = Job { id, audio, seconds, since, share, options, purpose, updates: sender, cancelled: Arc::clone(&cancelled) };
        if self.0.stopping.load(Ordering::Relaxed) {
            return Err(JobError::Stopping);
        }
        let own = waiting.jobs.iter().filter(|other| other.share.peer() == job.share.peer()).count();
        if waiting.jobs.len() >= limits.queue || own >= limits.queue_per_peer {
            return Err(JobError::Busy);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.0.changed.notify_all();
        self.0.clients.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { queue: self.clone(), updates: Updates::new(updates, limits.wait), cancelled })
    }

    /// Works on jobs until one of `stop` is set, calling `tick` a few times a second as long as nobody computes for longer without coming to the
    /// end of a window.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn work<M: Model + Send>(&self, models: &mut [M], stop: &[&AtomicBool], tick: &mut dyn FnMut()) -> io::Result<()> {
        let count = models.len();
        let started = thread::scope(|scope| {
            let mut workers = Vec::new();
            for (index, model) in models.iter_mut().enumerate() {
                let most_seconds = turns::most_seconds(index, count);
                let worker = thread::Builder::new().stack_size(STACK_BYTES);
                match worker.spawn_scoped(scope, move || self.serve(model, most_seconds, stop)) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        self.0.stopping.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            let mut seen = None;
            // One that ends before its time has panicked, which goes on here.
            while !is_set(stop) && !workers.iter().any(ScopedJoinHandle::is_finished) {
                let progress = Some(self.0.progress.load(Ordering::Relaxed));
                if std::mem::replace(&mut seen, progress) != progress || !self.waiting().turns.is_taken() {
                    tick();
                }
                thread::sleep(STEP);
            }
            self.0.stopping.store(true, Ordering::Relaxed);
            Ok(())
        });
        for job in self.waiting().jobs.drain(..) {
            let _ = job.updates.send(Update::Told(News::Finished(Err(JobError::Stopping))));
        }
        started
    }

    /// Works with one model on jobs of at most so many seconds.
    fn serve(&self, model: &mut dyn Model, most_seconds: f64, stop: &[&AtomicBool]) {
        while !self.is_stopping(stop) {
            let next = self.waiting().pop(most_seconds, Instant::now());
            match next {
                Some(job) => self.run(job, model, stop),
                None => {
                    let waiting = self.waiting();
                    let fits = waiting.jobs.iter().any(|job| job.seconds <= most_seconds);
                    if !fits {
                        drop(self.0.changed.wait_timeout(waiting, STEP));
                    }
                }
            }
        }
    }

    fn is_stopping(&self, stop: &[&AtomicBool]) -> bool {
        self.0.stopping.load(Ordering::Relaxed) || is_set(stop)
    }

    fn run(&self, job: Job, model: &mut dyn Model, stop: &[&AtomicBool]) {
        let Job { id, audio, seconds, share, options, purpose, updates, cancelled, .. } = job;
        let limits = &self.0.limits;
        // Ends also where a model panics.
        let ended = Ended { queue: self, id };
        // Nobody may be waiting any more, here and below.
        let _ = updates.send(Update::Started);
        let (left, waited) = (Cell::new(seconds), Cell::new(Duration::ZERO));
        let turn = Turn { queue: self, id, left, waited, since: Instant::now(), cancelled: &cancelled, stop };
        turn.pass();
        let mut source = Bounded { audio, left: most_samples(limits), turn: &turn, broken: None, ended: false };
        let mut tell = |told| {
            let _ = updates.send(Update::Told(News::Told(told)));
            turn.pass();
        };
        let summary = match purpose {
            Purpose::Transcript => model.transcribe(&mut source, &options, &mut tell),
            Purpose::Command => model.command(&mut source, &options, &mut tell),
        };
        let finished = match source.broken {
            None => summary.map_err(JobError::Transcribe).map(|summary| Whole { summary, damage: source.audio.damage() }),
            Some(Limit::Stopping) => Err(JobError::Stopping),
            Some(Limit::Cancelled) => Err(JobError::Gone),
            Some(Limit::Length) => Err(JobError::TooLong(limits.audio_seconds)),
            Some(Limit::Time) => Err(JobError::TooSlow(limits.work)),
        };
        drop((source, share, ended));
        let _ = updates.send(Update::Told(News::Finished(finished)));
    }
}

fn in_seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

fn is_set(flags: &[&AtomicBool]) -> bool {
    flags.iter().any(|flag| flag.load(Ordering::Relaxed))
}

fn most_samples(limits: &Limits) -> u64 {
    u64::from(limits.audio_seconds) * u64::from(SAMPLE_RATE)
}

impl Ticket {
    /// The next that is known of the job; waits for it as long as `alive` holds.
    ///
    /// # Errors
    /// [`JobError::Busy`] if the job was not begun in time, [`JobError::Gone`] if `alive` does not hold, and whatever ended the job.
    pub(crate) fn next(&mut self, alive: &mut dyn FnMut() -> bool) -> Result<Done, JobError> {
        loop {
            match self.updates.next(alive)? {
                News::Told(Told::Segment(segment)) => return Ok(Done::Segment(segment)),
                News::Told(Told::Dropped(dropped)) => return Ok(Done::Dropped(dropped)),
                // Sound events are not listened for.
                News::Told(Told::Event(_)) => {}
                News::Finished(whole) => return whole.map(Done::All),
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        // One that waits makes room at once, for others and for their bytes.
        self.queue.waiting().jobs.retain(|job| !Arc::ptr_eq(&job.cancelled, &self.cancelled));
        self.queue.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A part of a transcript, or its end.
pub(crate) enum Done {
    Segment(Segment),
    Dropped(Dropped),
    All(Whole),
}

/// What is known of a recording that has been transcribed.
pub(crate) struct Whole {
    pub(crate) summary: Summary,
    /// What the recording lacks.
    pub(crate) damage: Vec<Damage>,
}
