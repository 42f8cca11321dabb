//! OpenAI's interface for transcriptions, speech and embeddings over HTTP/1.1; clients of HTTP/1.0 are answered too, one request a connection.
//!
//! From <https://platform.openai.com/docs/api-reference/audio>. The messages are read by httparse under the rules of RFC 9112.

mod answer;
mod body;
mod embeddings;
mod form;
mod head;
mod media;
mod multipart;
mod object;
mod speech;
mod transcript;

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::time::Duration;

use ossicle::whisper::options::Task;
use serde_json::{Value, json};

use answer::{ApiError, JSON, Manner};
use body::Body;
use form::Request;
use head::{Head, HeadError, Length};

use crate::connection::{Connection, Liveness, liveness};
use crate::job_error::JobError;
use crate::jobs::{Done, Purpose, Ticket, Whole};
use crate::service::Service;
use crate::slots::Peer;
use crate::spill::{Spill, SpillError};
use crate::text::Text;

/// Bytes that a form may have beside its recording.
const FORM_BYTES: u64 = 1 << 20;

/// Requests on one connection.
const MAX_REQUESTS: usize = 1000;

type Stream = BufReader<Connection>;

/// Serves a client until it leaves, is too slow, or breaks a rule of HTTP.
pub(crate) fn serve(service: &Service, connection: Connection, peer: Peer) {
    let mut stream = BufReader::new(connection);
    for left in (0..MAX_REQUESTS).rev() {
        match request(service, &mut stream, peer, left > 0) {
            Ok(true) => {}
            Ok(false) => return stream.get_mut().linger(),
            Err(_) => return,
        }
    }
}

/// Tells a client that there are too many already.
pub(crate) fn turn_away(connection: &mut Connection) {
    connection.within(Some(Duration::from_millis(1)));
    let error = ApiError::busy("too many connections: try again in a moment");
    // Nobody waits for it to be read.
    let _ = answer::error(connection, &error, Manner::LAST);
}

/// Answers one request; whether the connection is good for another one.
fn request(service: &Service, stream: &mut Stream, peer: Peer, more: bool) -> io::Result<bool> {
    stream.get_mut().within(None);
    if stream.fill_buf()?.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    stream.get_mut().within(Some(service.limits.idle));
    let head = match head::read(stream) {
        Ok(Some(head)) => head,
        Ok(None) => return Err(ErrorKind::UnexpectedEof.into()),
        Err(HeadError::Io(error)) if error.kind() != ErrorKind::TimedOut => return Err(error),
        Err(error) => {
            let error = match error {
                HeadError::Io(_) => ApiError::new(408, "the request's head took too long to arrive"),
                HeadError::TooLarge => ApiError::new(431, "the request's head is too large"),
                HeadError::Bad(reason) => ApiError::new(400, reason),
            };
            return refuse(service, stream, &error, Manner::LAST);
        }
    };
    let (keep_alive, chunks, head_only) = (more && head.keep_alive, head.takes_chunks, head.method == "HEAD");
    stream.get_mut().within(Some(service.limits.transfer));
    // No page of this service makes requests. Those of others cannot read its answers, but could keep the model busy, or put words into what
    // an MQTT broker is told, and with the address of this machine behind their own name (DNS rebinding) they could read as well.
    if let Some(origin) = &head.origin {
        let error = ApiError::new(403, format_args!("origin {}: requests of web pages are refused", origin.escape_debug()));
        return refuse(service, stream, &error, Manner { head_only, ..Manner::LAST });
    }
    let task = match (head.method.as_str(), head.path.trim_end_matches('/')) {
        ("POST", "/v1/audio/transcriptions") => Task::Transcribe,
        ("POST", "/v1/audio/translations") => Task::Translate,
        ("POST", "/v1/audio/speech") => {
            return match speech::take(service, stream, &head) {
                Ok(request) => speech::answer(service, stream, request, peer, Manner { keep_alive, chunks, head_only }),
                Err(error) => refuse(service, stream, &error, Manner::LAST),
            };
        }
        ("POST", "/v1/embeddings") => {
            return match embeddings::take(service, stream, &head, peer) {
                Ok(request) => embeddings::answer(service, stream, request, peer, Manner { keep_alive, chunks, head_only }),
                Err(error) => refuse(service, stream, &error, Manner::LAST),
            };
        }
        (method, path) => {
            let manner = Manner { keep_alive: keep_alive && head.length == Length::Bytes(0), chunks, head_only };
            return match about(service, method, path) {
                Ok(body) => answer::whole(stream.get_mut(), JSON, &body.to_string(), manner).map(|()| manner.keep_alive),
                Err(error) => refuse(service, stream, &error, manner),
            };
        }
    };
    let (request, ended) = match take(service, stream, &head, task, peer) {
        Ok(taken) => taken,
        // The rest of the body is not waited for.
        Err(error) => return refuse(service, stream, &error, Manner::LAST),
    };
    transcribe(service, stream, request, Manner { keep_alive: keep_alive && ended, chunks, head_only })
}

fn refuse(service: &Service, stream: &mut Stream, error: &ApiError, manner: Manner) -> io::Result<bool> {
    let connection = stream.get_mut();
    connection.within(Some(service.limits.idle));
    answer::error(connection, error, manner).map(|()| manner.keep_alive)
}

/// What the service says of itself.
fn about(service: &Service, method: &str, path: &str) -> Result<Value, ApiError> {
    let name = &service.card.name;
    let model = |name: &str| json!({"id": name, "object": "model", "created": 0, "owned_by": "ossicle"});
    let others = [service.voices.as_ref().map(|voices| &voices.card.name), service.embeddings.as_ref().map(|embeddings| &embeddings.name)];
    let others = || others.into_iter().flatten().map(String::as_str);
    let body = match path {
        "/health" => json!({"status": "ok", "model": name, "queued": service.queue.len()}),
        "/v1/models" => {
            let all: Vec<Value> = std::iter::once(name.as_str()).chain(others()).map(model).collect();
            json!({"object": "list", "data": all})
        }
        "/v1/audio/transcriptions" | "/v1/audio/translations" | "/v1/audio/speech" | "/v1/embeddings" => {
            return Err(ApiError::method(path, "POST"));
        }
        _ => match path.strip_prefix("/v1/models/") {
            Some(asked) if others().any(|other| other == asked) => model(asked),
            Some(asked) => form::check_model(asked, &service.card).map(|()| model(name))?,
            None => {
                let paths = "/v1/audio/transcriptions, /v1/audio/translations, /v1/audio/speech, /v1/embeddings, /v1/models or /health";
                return Err(ApiError::new(404, format_args!("no such path: give {paths}")));
            }
        },
    };
    if matches!(method, "GET" | "HEAD") { Ok(body) } else { Err(ApiError::method(path, "GET, HEAD")) }
}

/// Reads a form; says also whether its body was read to the end.
fn take(service: &Service, stream: &mut Stream, head: &Head, task: Task, peer: Peer) -> Result<(Request, bool), ApiError> {
    if task == Task::Translate && !service.card.translates {
        return Err(ApiError::new(404, format_args!("{} cannot translate: run a multilingual model", service.card.name)));
    }
    let content_type = head.content_type.as_deref().unwrap_or_default();
    let boundary = multipart::boundary(content_type);
    if boundary.is_none() && !media::is_recording(content_type) {
        return Err(ApiError::new(415, "content-type: give multipart/form-data with a boundary, or that of a recording"));
    }
    let most = service.limits.upload_bytes;
    let all = most.saturating_add(FORM_BYTES);
    if matches!(head.length, Length::Bytes(bytes) if bytes > all) {
        return Err(SpillError::TooLarge { most }.into());
    }
    if head.expects_continue {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|error| ApiError::new(400, error))?;
    }
    let (mut body, file) = (Body::new(stream, head.length, all), Spill::new(most, service.budget.share(peer)));
    let mut request = match boundary {
        Some(boundary) => form::read(&mut multipart::Form::new(&mut body, boundary), &service.card, &service.options, file)?,
        None => form::recording(&mut body, content_type, &service.options, file)?,
    };
    request.options.task = task;
    // What follows the last boundary means nothing, but stands before the next request.
    let ended = io::copy(&mut io::Read::take(&mut body, FORM_BYTES), &mut io::sink()).is_ok() && body.ended();
    Ok((request, ended))
}

/// Has a recording transcribed and answers with the transcript.
fn transcribe(service: &Service, stream: &mut Stream, request: Request, manner: Manner) -> io::Result<bool> {
    let Request { file, samples, options, shape, stream: streaming, segments: with_segments } = request;
    let task = options.task;
    let recording = match file.into_samples(samples, service.card.isa) {
        Ok(recording) => recording,
        Err(error) => return refuse(service, stream, &error.into(), manner),
    };
    let mut ticket = match service.queue.submit(recording, options, Purpose::Transcript) {
        Ok(ticket) => ticket,
        Err(error) => return refuse(service, stream, &error.into(), manner),
    };
    if streaming {
        return stream_events(service, stream, &mut ticket, manner);
    }
    let (mut segments, mut dropped) = (Vec::new(), Vec::new());
    // The ticket is held until the client has been told.
    loop {
        match next(stream, &mut ticket) {
            Ok(Done::Segment(segment)) => segments.push(segment),
            Ok(Done::Dropped(text)) => dropped.push(text),
            Ok(Done::All(Whole { summary, damage })) => {
                service.heard(&transcript::text(&segments), summary.language.as_deref(), "http");
                let heard =
                    transcript::Heard { task, with_segments, segments: &segments, dropped: &dropped, damage: &damage, summary: &summary };
                let (kind, body) = transcript::body(shape, &heard);
                stream.get_mut().within(Some(service.limits.transfer));
                return answer::whole(stream.get_mut(), kind, &body, manner).map(|()| manner.keep_alive);
            }
            Err(JobError::Gone) => return Err(ErrorKind::ConnectionAborted.into()),
            Err(error) => return refuse(service, stream, &error.into(), manner),
        }
    }
}

/// Waits for the model, not for a client that has left: HTTP has no use for a connection that is closed on one side.
fn next(stream: &mut Stream, ticket: &mut Ticket) -> Result<Done, JobError> {
    ticket.next(&mut || liveness(stream) == Liveness::Open)
}

/// Answers with server-sent events, a segment each. The answer begins with the first of them, so that an error before has its own status.
fn stream_events(service: &Service, stream: &mut Stream, ticket: &mut Ticket, manner: Manner) -> io::Result<bool> {
    let (mut text, mut begun) = (Text::default(), false);
    loop {
        let (event, last) = match next(stream, ticket) {
            Ok(Done::Segment(segment)) => (json!({"type": "transcript.text.delta", "delta": text.push(&segment.text)}), false),
            Ok(Done::Dropped(_)) => continue,
            Ok(Done::All(Whole { summary, .. })) => {
                let text = std::mem::take(&mut text).into_string();
                service.heard(&text, summary.language.as_deref(), "http");
                (json!({"type": "transcript.text.done", "text": text}), true)
            }
            Err(JobError::Gone) => return Err(ErrorKind::ConnectionAborted.into()),
            Err(error) if begun => (ApiError::from(error).json(), true),
            Err(error) => return refuse(service, stream, &error.into(), manner),
        };
        let connection = stream.get_mut();
        connection.within(Some(service.limits.idle));
        if !std::mem::replace(&mut begun, true) {
            answer::begin(connection, answer::EVENTS, "", manner)?;
        }
        answer::event(connection, &event, manner)?;
        if last {
            return answer::end(connection, manner).map(|()| manner.keep_alive);
        }
    }
}
