//! How far a recording has been read: on stderr, and only on a terminal. Nothing more is read once what was made of it cannot be written.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::audio::{AudioReader, Damage, SAMPLE_RATE};
use ossicle::source::{SampleSource, SourceError};

use crate::interrupt;

/// A recording whose reading shows.
pub(crate) struct Watched {
    reader: AudioReader,
    bar: ProgressBar,
    samples: u64,
    unwritten: Unwritten,
    /// Standard input ends by itself.
    stdin: bool,
    stopped: bool,
}

/// The first failure to write what a recording gives.
#[derive(Clone, Default)]
pub(crate) struct Unwritten(Rc<RefCell<Option<io::Error>>>);

impl Unwritten {
    /// Writes, unless that failed before.
    pub(crate) fn attempt(&self, write: impl FnOnce() -> io::Result<()>) {
        let mut failed = self.0.borrow_mut();
        if failed.is_none() {
            *failed = write().err();
        }
    }

    /// Whether all could be written so far.
    ///
    /// # Errors
    /// The first failure, once.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }
}

impl Watched {
    /// Starts a bar, or a running count of seconds for audio of unknown length.
    pub(crate) fn new(reader: AudioReader, name: &str) -> Self {
        let seconds = reader.expected_samples().map(|samples| samples / u64::from(SAMPLE_RATE));
        let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(seconds, target);
        let template = if seconds.is_some() { "{prefix} {wide_bar} {pos}/{len} s, {eta} left" } else { "{prefix} {spinner} {pos} s" };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        Self { reader, bar, samples: 0, unwritten: Unwritten::default(), stdin: name == "-", stopped: false }
    }

    /// The same without a bar, for one of several that are read side by side.
    pub(crate) fn silent(reader: AudioReader, name: &str) -> Self {
        let bar = ProgressBar::hidden();
        Self { reader, bar, samples: 0, unwritten: Unwritten::default(), stdin: name == "-", stopped: false }
    }

    /// The same, of which failures to write belong to another one too.
    pub(crate) fn sharing(mut self, unwritten: Unwritten) -> Self {
        self.unwritten = unwritten;
        self
    }

    /// A handle that clears the line while something else is printed.
    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// What was missing or damaged in what has been read.
    pub(crate) fn damage(&self) -> Vec<Damage> {
        self.reader.damage()
    }

    /// Seconds read so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// Whether a signal ended it before its end.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped
    }

    /// Where failures to write belong: the recording then ends with an error of its own.
    pub(crate) fn unwritten(&self) -> Unwritten {
        self.unwritten.clone()
    }
}

impl SampleSource for Watched {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        if self.unwritten.0.borrow().is_some() {
            return Err(SourceError("what it gives cannot be written".into()));
        }
        if self.stopped || !self.stdin && interrupt::came() {
            self.stopped = true;
            return Ok(0);
        }
        let read = SampleSource::read(&mut self.reader, out)?;
        self.samples += read as u64;
        self.bar.set_position(self.samples / u64::from(SAMPLE_RATE));
        Ok(read)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
