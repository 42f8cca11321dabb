//! Where answers go: a file, standard output, or the loudspeaker.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};

#[cfg(feature = "microphone")]
use super::loudspeaker::Loudspeaker;
use crate::pcm::Sink;

/// Takes samples of a voice.
pub(crate) enum Output {
    File(Box<Sink>, String),
    #[cfg(feature = "microphone")]
    Loudspeaker(Loudspeaker),
}

impl Output {
    /// For samples of this rate, opens a file, `-` for standard output, or the system's loudspeaker.
    pub(crate) fn open(path: Option<&Path>, rate: u32) -> Result<Self> {
        match path {
            Some(path) => Ok(Self::File(Box::new(Sink::open(path, rate)?), path.display().to_string())),
            #[cfg(feature = "microphone")]
            None => Ok(Self::Loudspeaker(Loudspeaker::open(rate)?)),
            #[cfg(not(feature = "microphone"))]
            None => Err(crate::fault::Fault::line("this build has no loudspeaker: give --answer-output").into()),
        }
    }

    /// Writes samples; false where `stop` holds before they are played.
    pub(crate) fn write(&mut self, samples: &[f32], stop: &dyn Fn() -> bool) -> io::Result<bool> {
        match self {
            Self::File(sink, _) => sink.write(samples).map(|()| !stop()),
            #[cfg(feature = "microphone")]
            Self::Loudspeaker(loudspeaker) => loudspeaker.write(samples, stop),
        }
    }

    /// Waits until all has been played, or `stop` holds: then the rest is not.
    #[cfg_attr(not(feature = "microphone"), allow(clippy::unused_self, reason = "as with the feature"))]
    pub(crate) fn wait(&mut self, stop: &dyn Fn() -> bool) {
        match self {
            Self::File(..) => _ = stop,
            #[cfg(feature = "microphone")]
            Self::Loudspeaker(loudspeaker) => loudspeaker.wait(stop),
        }
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Self::File(sink, name) => sink.finish().context(name),
            #[cfg(feature = "microphone")]
            Self::Loudspeaker(_) => Ok(()),
        }
    }
}
