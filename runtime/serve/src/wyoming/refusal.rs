//! How a session goes on, or ends.

use std::fmt;

use ossicle::whisper::error::TranscribeError;
use serde_json::json;

use super::audio::FormatError;
use super::event::Event;
use crate::job_error::JobError;

/// An error that ends a session: what a machine calls it, and one line for people.
pub(super) struct Refusal {
    code: &'static str,
    text: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, text: impl fmt::Display) -> Self {
        Self { code, text: text.to_string() }
    }

    pub(super) fn too_slow() -> Self {
        Self::new("too-slow", "the recording takes longer than it may be long")
    }

    pub(super) fn event(&self) -> Event {
        Event::new("error", json!({"text": self.text, "code": self.code}))
    }
}

/// How a session goes on.
pub(super) enum Next {
    Listen,
    /// The client is gone, or slower than is waited for.
    Close,
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Self::new("bad-audio", error)
    }
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        let code = match &error {
            JobError::Busy => "busy",
            JobError::Stopping => "stopping",
            JobError::Gone => "gone",
            JobError::TooLong(_) | JobError::TooSlow(_) => "too-long",
            JobError::Transcribe(TranscribeError::Option(_)) => "bad-request",
            JobError::Transcribe(TranscribeError::Source(_)) => "bad-audio",
            JobError::Transcribe(_) => "failed",
        };
        Self::new(code, error)
    }
}
