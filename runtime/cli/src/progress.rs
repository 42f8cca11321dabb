//! How far a recording has been read: on stderr, and only on a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle::source::{SampleSource, SourceError};

/// A recording whose reading shows.
pub(crate) struct Watched {
    reader: AudioReader,
    bar: ProgressBar,
    samples: u64,
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
        Self { reader, bar, samples: 0 }
    }

    /// A handle that clears the line while something else is printed.
    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

impl SampleSource for Watched {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
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
