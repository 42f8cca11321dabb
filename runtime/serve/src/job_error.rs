//! Why work that was asked for gave nothing.

use std::fmt;
use std::time::Duration;

use ossicle::whisper::error::TranscribeError;

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
