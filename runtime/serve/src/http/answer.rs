//! Answers, and errors as OpenAI's clients know them.

use std::fmt;
use std::io::{self, Write};

use ossicle::audio::AudioError;
use ossicle::whisper::error::TranscribeError;
use serde_json::{Value, json};

use crate::job_error::JobError;
use crate::text::describe_audio;

pub(super) const JSON: &str = "application/json";

/// Seconds after which a busy service is worth another try.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request fails.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    message: String,
    /// The parameter that is wrong.
    param: Option<&'static str>,
    code: Option<&'static str>,
    /// The methods that the path takes, if it was another.
    pub(super) allow: Option<&'static str>,
    /// Whether the same request may soon do better.
    pub(super) is_passing: bool,
}

impl ApiError {
    pub(super) fn new(status: u16, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string(), param: None, code: None, allow: None, is_passing: false }
    }

    /// A parameter that cannot be used, and what would be right.
    pub(super) fn parameter(name: &'static str, message: impl fmt::Display) -> Self {
        Self { param: Some(name), ..Self::new(400, format_args!("{name}: {message}")) }
    }

    /// A method that a path does not take.
    pub(super) fn method(path: &str, allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(405, format_args!("{path} takes {allow}")) }
    }

    /// Too much at once, for now.
    pub(super) fn busy(message: impl fmt::Display) -> Self {
        Self { is_passing: true, ..Self::new(503, message).code("busy") }
    }

    pub(super) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The error as OpenAI's services put it.
    pub(super) fn json(&self) -> Value {
        let kind = if self.status < 500 { "invalid_request_error" } else { "server_error" };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl From<AudioError> for ApiError {
    fn from(error: AudioError) -> Self {
        let unknown = matches!(error, AudioError::Text | AudioError::UnknownFormat | AudioError::Unsupported { .. });
        Self { status: if unknown { 415 } else { 400 }, ..Self::parameter("file", describe_audio(&error)) }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Busy => Self::busy(error),
            JobError::Stopping => Self { is_passing: true, ..Self::new(503, error).code("stopping") },
            JobError::Gone => Self::new(499, error),
            JobError::TooLong(_) => Self { param: Some("file"), ..Self::new(413, error) },
            JobError::TooSlow(_) => Self::new(503, error).code("too_slow"),
            JobError::Transcribe(TranscribeError::Option(error)) => Self::new(400, error),
            JobError::Transcribe(TranscribeError::Source(source)) => match source.0.downcast::<AudioError>() {
                Ok(error) => (*error).into(),
                Err(error) => Self::parameter("file", error),
            },
            JobError::Transcribe(error @ TranscribeError::NotFinite { .. }) => Self::parameter("file", error),
            JobError::Transcribe(error) => Self::new(500, error),
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        500.. => "Internal Server Error",
        _ => "Error",
    }
}

/// The first lines of an answer.
fn head(status: u16, content_type: &str, keep_alive: bool) -> String {
    let mut head = format!("HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nX-Content-Type-Options: nosniff\r\n", reason(status));
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head
}

/// What a client wants of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether the connection stays for another request.
    pub(super) keep_alive: bool,
    /// Whether it may come in chunks; otherwise one of unknown length ends with its connection.
    pub(super) chunks: bool,
    /// Whether only the head is sent, as HEAD has it (RFC 9110, section 9.3.2).
    pub(super) head_only: bool,
}

impl Manner {
    /// The last answer of its connection.
    pub(super) const LAST: Self = Self { keep_alive: false, chunks: false, head_only: false };
}

/// Writes a whole answer.
pub(super) fn whole(out: &mut impl Write, content_type: &str, body: &str, manner: Manner) -> io::Result<()> {
    write(out, head(200, content_type, manner.keep_alive), body, manner)
}

/// Writes why there is none.
pub(super) fn error(out: &mut impl Write, error: &ApiError, manner: Manner) -> io::Result<()> {
    let mut head = head(error.status, JSON, manner.keep_alive);
    if let Some(allow) = error.allow {
        head.push_str(&format!("Allow: {allow}\r\n"));
    }
    if error.is_passing {
        head.push_str(&format!("Retry-After: {RETRY_AFTER_SECONDS}\r\n"));
    }
    write(out, head, &error.json().to_string(), manner)
}

fn write(out: &mut impl Write, head: String, body: &str, manner: Manner) -> io::Result<()> {
    let sent = if manner.head_only { "" } else { body };
    out.write_all(format!("{head}Content-Length: {}\r\n\r\n{sent}", body.len()).as_bytes())?;
    out.flush()
}

/// What server-sent events are.
pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Writes the start of an answer that comes in parts; `more` are lines of its head.
pub(super) fn begin(out: &mut impl Write, content_type: &str, more: &str, manner: Manner) -> io::Result<()> {
    let head = head(200, content_type, manner.keep_alive);
    let framing = if manner.chunks { "Transfer-Encoding: chunked\r\n" } else { "" };
    out.write_all(format!("{head}Cache-Control: no-store\r\n{more}{framing}\r\n").as_bytes())
}

/// Writes a part, if it is not empty.
pub(super) fn part(out: &mut impl Write, bytes: &[u8], manner: Manner) -> io::Result<()> {
    match bytes.len() {
        0 => Ok(()),
        _ if !manner.chunks => out.write_all(bytes).and_then(|()| out.flush()),
        // In one write: what is sent at once arrives at once.
        length => out.write_all(&[format!("{length:x}\r\n").as_bytes(), bytes, b"\r\n"].concat()).and_then(|()| out.flush()),
    }
}

/// Writes the end of an answer in parts.
pub(super) fn end(out: &mut impl Write, manner: Manner) -> io::Result<()> {
    if manner.chunks { out.write_all(b"0\r\n\r\n").and_then(|()| out.flush()) } else { Ok(()) }
}

/// Writes one server-sent event.
pub(super) fn event(out: &mut impl Write, event: &Value, manner: Manner) -> io::Result<()> {
    part(out, format!("data: {event}\n\n").as_bytes(), manner)
}
