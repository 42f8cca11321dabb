//! Sound on its way to a listener.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use ossicle::audio::{AudioError, AudioReader, Damage};
use ossicle::source::{SampleSource, SourceError};

use crate::fault;

/// Where it comes from.
pub(crate) struct Sound {
    /// Its name in messages.
    pub(crate) name: String,
    /// Its own rate in hertz.
    pub(crate) rate: u32,
    /// Whether it comes at its own pace.
    pub(crate) live: bool,
    pub(crate) samples: Box<dyn SampleSource + Send>,
    /// Samples lost so far, at that rate.
    pub(crate) dropped: Arc<AtomicU64>,
    /// What a recording lacks, once it has been read.
    pub(crate) damage: Arc<Mutex<Vec<Damage>>>,
}

/// A recording that leaves word of what it lacks: whoever reads it is another thread.
pub(crate) struct Recorded {
    pub(crate) reader: AudioReader,
    pub(crate) damage: Arc<Mutex<Vec<Damage>>>,
}

impl SampleSource for Recorded {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        let read = SampleSource::read(&mut self.reader, out);
        if matches!(read, Ok(0) | Err(_)) {
            *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = self.reader.damage();
        }
        read
    }
}

/// A source that cannot be read on.
pub(crate) fn fault(name: &str, error: SourceError) -> anyhow::Error {
    match error.0.downcast_ref::<AudioError>() {
        Some(audio) => fault::audio(name, audio).into(),
        None => anyhow::Error::new(error).context(name.to_owned()),
    }
}
