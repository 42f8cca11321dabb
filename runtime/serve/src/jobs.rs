//! One model, and the jobs that wait for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle::source::{SampleSource, SourceError};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Segment, Summary};

use crate::limits::Limits;
use crate::slots::Peer;
use crate::spill::{Kept, Share};

/// How long the model's thread waits before it says that it is alive, and a stop may go unnoticed.
const STEP: Duration = Duration::from_millis(100);

/// How often a connection that waits for its job looks after its client.
const LOOK: Duration = Duration::from_millis(50);

/// What turns recordings into text.
pub trait Model {
    /// Transcribes `source`, handing out each segment as soon as it is known.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError>;

    /// Transcribes what a voice assistant recorded, which may be one of the commands that the model knows; by default it knows none.
    ///
    /// # Errors
    /// As [`transcribe`](Self::transcribe).
    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe(source, options, on_segment)
    }
}

impl Model for Transcriber {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_source(source, options, on_segment)
    }
}

/// Why a job gave no transcript.
#[derive(Debug)]
pub(crate) enum JobError {
    /// Others have the model, and enough wait for it already.
    Busy,
    /// The service ends.
    Stopping,
    /// The client went away.
    Gone,
    /// The audio is longer than this many seconds.
    TooLong(u32),
    /// The work takes longer than this.
    TooSlow(Duration),
    /// What the model says.
    Transcribe(TranscribeError),
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the model is busy: try again in a moment"),
            Self::Stopping => f.write_str("the service is stopping: try again in a moment"),
            Self::Gone => f.write_str("the client went away"),
            Self::TooLong(seconds) => write!(f, "the audio is longer than {seconds} s: send it in shorter parts"),
            Self::TooSlow(time) => write!(f, "the work takes longer than {} s: send the audio in shorter parts", time.as_secs_f32()),
            Self::Transcribe(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JobError {}

/// What a connection learns of its job.
pub(crate) enum Update {
    Started,
    Segment(Segment),
    Finished(Result<Summary, JobError>),
}

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Transcript,
    Command,
}

struct Job {
    audio: AudioReader,
    /// Whose it is; its bytes count as long as it waits or is worked on.
    share: Share,
    options: TranscribeOptions,
    purpose: Purpose,
    updates: Sender<Update>,
    cancelled: Arc<AtomicBool>,
}

/// The jobs that wait, in the order in which they came, and whose the last one was that did not.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    last: Option<Peer>,
}

impl Waiting {
    /// The next job: the first of another peer than the last one, so that nobody waits for all that a greedy one has queued.
    fn pop(&mut self) -> Option<Job> {
        let other = self.jobs.iter().position(|job| Some(job.share.peer()) != self.last);
        let job = self.jobs.remove(other.unwrap_or(0))?;
        self.last = Some(job.share.peer());
        Some(job)
    }
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    stopping: AtomicBool,
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
    updates: Receiver<Update>,
    cancelled: Arc<AtomicBool>,
    since: Instant,
    started: bool,
    wait: Duration,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        let (waiting, stopping) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Shared { waiting, arrived: Condvar::new(), stopping, clients: AtomicUsize::new(0), limits }))
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
        let job = Job { audio, share, options, purpose, updates: sender, cancelled: Arc::clone(&cancelled) };
        let mut waiting = self.waiting();
        if self.0.stopping.load(Ordering::Relaxed) {
            return Err(JobError::Stopping);
        }
        let own = waiting.jobs.iter().filter(|other| other.share.peer() == job.share.peer()).count();
        if waiting.jobs.len() >= limits.queue || own >= limits.queue_per_peer {
            return Err(JobError::Busy);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.0.arrived.notify_one();
        self.0.clients.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { queue: self.clone(), updates, cancelled, since: Instant::now(), started: false, wait: limits.wait })
    }

    /// Works on jobs until one of `stop` is set, calling `tick` a few times a second and between windows.
    pub(crate) fn work(&self, model: &mut dyn Model, stop: &[&AtomicBool], tick: &mut dyn FnMut()) {
        while !is_set(stop) {
            tick();
            if let Some(job) = self.next() {
                self.run(job, model, stop, tick);
            }
        }
        self.0.stopping.store(true, Ordering::Relaxed);
        for job in self.waiting().jobs.drain(..) {
            let _ = job.updates.send(Update::Finished(Err(JobError::Stopping)));
        }
    }

    fn next(&self) -> Option<Job> {
        let waiting = self.waiting();
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty();
        let (mut waiting, _) = self.0.arrived.wait_timeout_while(waiting, STEP, idle).unwrap_or_else(PoisonError::into_inner);
        waiting.pop()
    }

    fn run(&self, job: Job, model: &mut dyn Model, stop: &[&AtomicBool], tick: &mut dyn FnMut()) {
        let Job { audio, share, options, purpose, updates, cancelled } = job;
        let limits = &self.0.limits;
        // Nobody may be waiting any more, here and below.
        let _ = updates.send(Update::Started);
        let (left, deadline) = (most_samples(limits), Instant::now() + limits.work);
        let mut source = Bounded { audio, left, deadline, cancelled: &cancelled, stop, tick, broken: None };
        let mut on_segment = |segment| _ = updates.send(Update::Segment(segment));
        let summary = match purpose {
            Purpose::Transcript => model.transcribe(&mut source, &options, &mut on_segment),
            Purpose::Command => model.command(&mut source, &options, &mut on_segment),
        };
        let finished = match source.broken {
            None => summary.map_err(JobError::Transcribe),
            Some(Limit::Stopping) => Err(JobError::Stopping),
            Some(Limit::Cancelled) => Err(JobError::Gone),
            Some(Limit::Length) => Err(JobError::TooLong(limits.audio_seconds)),
            Some(Limit::Time) => Err(JobError::TooSlow(limits.work)),
        };
        drop((source, share));
        let _ = updates.send(Update::Finished(finished));
    }
}

fn is_set(flags: &[&AtomicBool]) -> bool {
    flags.iter().any(|flag| flag.load(Ordering::Relaxed))
}

fn most_samples(limits: &Limits) -> u64 {
    u64::from(limits.audio_seconds) * u64::from(SAMPLE_RATE)
}

/// Which limit ended a job.
#[derive(Clone, Copy, Debug)]
enum Limit {
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

/// A recording that ends with an error once nobody wants it, or it goes beyond what is allowed.
struct Bounded<'a> {
    audio: AudioReader,
    left: u64,
    deadline: Instant,
    cancelled: &'a AtomicBool,
    stop: &'a [&'a AtomicBool],
    tick: &'a mut dyn FnMut(),
    broken: Option<Limit>,
}

impl SampleSource for Bounded<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        (self.tick)();
        let read = SampleSource::read(&mut self.audio, out)? as u64;
        let limit = match () {
            () if is_set(self.stop) => Some(Limit::Stopping),
            () if self.cancelled.load(Ordering::Relaxed) => Some(Limit::Cancelled),
            () if Instant::now() > self.deadline => Some(Limit::Time),
            () if read > self.left => Some(Limit::Length),
            () => None,
        };
        if let Some(limit) = limit {
            self.broken = Some(limit);
            return Err(SourceError(Box::new(limit)));
        }
        self.left -= read;
        Ok(read as usize)
    }
}

impl Ticket {
    /// The next that is known of the job; waits for it as long as `alive` holds.
    ///
    /// # Errors
    /// [`JobError::Busy`] if the job was not begun in time, [`JobError::Gone`] if `alive` does not hold, and whatever ended the job.
    pub(crate) fn next(&mut self, alive: &mut dyn FnMut() -> bool) -> Result<Done, JobError> {
        loop {
            match self.updates.recv_timeout(LOOK) {
                Ok(Update::Started) => self.started = true,
                Ok(Update::Segment(segment)) => return Ok(Done::Segment(segment)),
                Ok(Update::Finished(summary)) => return summary.map(Done::All),
                Err(RecvTimeoutError::Disconnected) => return Err(JobError::Stopping),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !self.started && self.since.elapsed() > self.wait {
                return Err(JobError::Busy);
            }
            if !alive() {
                return Err(JobError::Gone);
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
    All(Summary),
}
