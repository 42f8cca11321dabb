//! Sound on its way to a listener.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ossicle::audio::AudioError;
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
}

/// A source that cannot be read on.
pub(crate) fn fault(name: &str, error: SourceError) -> anyhow::Error {
    match error.0.downcast_ref::<AudioError>() {
        Some(audio) => fault::audio(name, audio).into(),
        None => anyhow::Error::new(error).context(name.to_owned()),
    }
}
