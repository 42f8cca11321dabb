//! A client's events, one after another.

use std::io::{BufReader, ErrorKind};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::audio::Format;
use super::event::{Event, EventError};
use super::info::info;
use super::refusal::{Next, Refusal};
use super::session::Session;
use crate::connection::Connection;
use crate::service::Service;
use crate::slots::Peer;

/// Serves a client until it leaves, is too slow, or breaks a rule: then an `error` event is the last it hears.
pub(crate) fn serve(service: &Service, connection: Connection, peer: Peer) {
    let options = service.options.clone();
    let stream = BufReader::new(connection);
    let mut session = Session { service, peer, stream, options, recording: None, begun: Instant::now(), spoken: None };
    loop {
        let next = match session.read() {
            Ok(Some(event)) => session.take(&event),
            Ok(None) => break,
            Err(EventError::Io(error)) if error.kind() != ErrorKind::TimedOut => break,
            Err(EventError::Io(_)) if session.left() == Some(Duration::ZERO) => Err(Refusal::too_slow()),
            Err(EventError::Io(_)) => Err(Refusal::new("too-slow", "nothing came for too long: send events without pauses")),
            Err(error) => Err(Refusal::new("bad-event", error)),
        };
        match next {
            Ok(Next::Listen) => {}
            Ok(Next::Close) => break,
            Err(refusal) => {
                let connection = session.stream.get_mut();
                connection.within(Some(service.limits.idle));
                if refusal.event().write(connection).is_ok() {
                    connection.linger();
                }
                break;
            }
        }
    }
}

/// Tells a client that there are too many already.
pub(crate) fn turn_away(connection: &mut Connection) {
    connection.within(Some(Duration::from_millis(1)));
    // Nobody waits for it to be read.
    let _ = Refusal::new("busy", "too many connections: try again in a moment").event().write(connection);
}

impl Session<'_> {
    fn take(&mut self, event: &Event) -> Result<Next, Refusal> {
        match event.kind.as_str() {
            "describe" => {
                let Service { card, recogniser, voices, streaming, .. } = self.service;
                let voice = voices.as_ref().map(|voices| &voices.card);
                let info = info(card, recogniser.as_deref(), voice, *streaming);
                Ok(self.write("info", Value::Object(info.data)))
            }
            "ping" => Ok(self.write("pong", json!({"text": event.text("text")}))),
            "transcribe" => self.transcribe(event).map(|()| Next::Listen),
            "audio-start" => self.start(Format::of(&event.data)?).map(|()| Next::Listen),
            "audio-chunk" => self.chunk(event).map(|()| Next::Listen),
            "audio-stop" => self.stop(),
            // Home Assistant sends what was said; `recognize` is the protocol's own name for the question.
            "recognize" | "transcript" => self.recognise(event),
            "synthesize" => self.synthesize(event),
            "synthesize-start" => self.synthesize_start(event).map(|()| Next::Listen),
            "synthesize-chunk" => self.synthesize_chunk(event),
            "synthesize-stop" => self.synthesize_stop(),
            // Events that are not known are passed over, as the protocol wants it.
            _ => Ok(Next::Listen),
        }
    }
}
