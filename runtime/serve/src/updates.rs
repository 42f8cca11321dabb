//! How a connection waits for what it has asked for.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::job_error::JobError;

/// How often a connection that waits looks after its client.
const LOOK: Duration = Duration::from_millis(50);

/// What a thread tells of the work it was given.
pub(crate) enum Update<T> {
    Started,
    Told(T),
}

/// What somebody who waits for work learns of it.
pub(crate) struct Updates<T> {
    receiver: Receiver<Update<T>>,
    since: Instant,
    started: bool,
    wait: Duration,
}

impl<T> Updates<T> {
    /// Of work that was asked for now, and should begin within `wait`.
    pub(crate) fn new(receiver: Receiver<Update<T>>, wait: Duration) -> Self {
        Self { receiver, since: Instant::now(), started: false, wait }
    }

    /// The next that is told; waits for it as long as `alive` holds.
    ///
    /// # Errors
    /// [`JobError::Busy`] if the work was not begun in time, [`JobError::Gone`] if `alive` does not hold, [`JobError::Stopping`] if nobody is left to
    /// tell anything.
    pub(crate) fn next(&mut self, alive: &mut dyn FnMut() -> bool) -> Result<T, JobError> {
        loop {
            match self.receiver.recv_timeout(LOOK) {
                Ok(Update::Started) => self.started = true,
                Ok(Update::Told(told)) => return Ok(told),
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
