//! OpenAI's interface for speech: a text in, samples out while they are made.

use std::io::{self, ErrorKind};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ossicle::speak::{FlacEncoder, Settings, flac_header, wav_header};
use serde_json::{Value, json};

use super::answer::{self, ApiError, Manner};
use super::head::Head;
use super::{Stream, object, refuse};
use crate::connection::{Liveness, liveness};
use crate::job_error::JobError;
use crate::service::Service;
use crate::slots::Peer;
use crate::speech::SpeechError;

/// Names under which clients that know only OpenAI's ask for the voice that is here.
const MODELS: [&str; 3] = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"];
const VOICES: [&str; 13] =
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"];

/// Bytes of a request beside its text.
const MORE_BYTES: u64 = 16 << 10;
/// The most bytes that JSON has for one of a text: `\u0001`.
const ESCAPED: u64 = 6;

/// What samples become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Wav,
    Flac,
    Raw,
}

impl Container {
    fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            // As OpenAI's service has it.
            Self::Raw => "audio/pcm",
        }
    }
}

/// A request for speech.
#[derive(Debug)]
pub(super) struct Request {
    input: String,
    settings: Settings,
    container: Container,
    /// Whether samples come as server-sent events.
    events: bool,
}

/// Reads a request.
pub(super) fn take(service: &Service, stream: &mut Stream, head: &Head) -> Result<Request, ApiError> {
    let Some(voices) = &service.voices else {
        return Err(ApiError::new(404, "this service has no voice"));
    };
    let most = service.limits.text_bytes;
    let fields = object::read(stream, head, most as u64 * ESCAPED + MORE_BYTES)?;
    let name = &voices.card.name;
    let model =
        object::text(&fields, "model")?.ok_or_else(|| ApiError::parameter("model", format_args!("give {name} or {}", MODELS[0])))?;
    if model != name && !MODELS.contains(&model) {
        let message = format!("model {}: says nothing here: give {name} or {}", model.escape_debug(), MODELS[0]);
        return Err(ApiError::new(404, message).code("model_not_found"));
    }
    // Voices made by clients are objects.
    let object = fields.get("voice").and_then(|voice| voice.get("id")).and_then(Value::as_str);
    let voice = match object {
        Some(id) => Some(id),
        None => object::text(&fields, "voice")?,
    };
    let settings = match voice.map(|voice| (voice, voices.card.named(voice))) {
        None => Settings::default(),
        Some((_, Some(settings))) => settings,
        Some((voice, None)) if VOICES.contains(&voice) => Settings::default(),
        Some((voice, None)) => {
            let names = voices.card.names();
            return Err(ApiError::parameter("voice", format_args!("{}: give {names} or {}", voice.escape_debug(), VOICES[0])));
        }
    };
    let container = match object::text(&fields, "response_format")? {
        // Nothing here makes MP3, which clients get who ask for nothing: players go by the content type.
        None | Some("wav" | "mp3") => Container::Wav,
        Some("flac") => Container::Flac,
        Some("pcm") => Container::Raw,
        Some(_) => return Err(ApiError::parameter("response_format", "give wav, flac or pcm; mp3 gives wav")),
    };
    let speed = match fields.get("speed") {
        None | Some(Value::Null) => Some(1.0),
        Some(speed) => speed.as_f64().filter(|speed| (0.5..=2.0).contains(speed)),
    };
    let speed = speed.ok_or_else(|| ApiError::parameter("speed", "give a number from 0.5 to 2"))? as f32;
    let events = match object::text(&fields, "stream_format")? {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(_) => return Err(ApiError::parameter("stream_format", "give audio or sse")),
    };
    let input = object::text(&fields, "input")?.ok_or_else(|| ApiError::parameter("input", "give a text"))?.to_owned();
    Ok(Request { input, settings: Settings { speed, ..settings }, container, events })
}

impl From<SpeechError> for ApiError {
    fn from(error: SpeechError) -> Self {
        match error {
            SpeechError::Job(error) => error.into(),
            SpeechError::Speak(error) => Self::new(500, error),
            SpeechError::TooLong(_) => Self::parameter("input", error).status(413),
            SpeechError::Nothing => Self::parameter("input", error),
        }
    }
}

/// Says the text. The answer begins with the first samples, so that an error before has its own status; one behind them cuts the answer short.
pub(super) fn answer(service: &Service, stream: &mut Stream, request: Request, peer: Peer, manner: Manner) -> io::Result<bool> {
    let Request { input, settings, container, events } = request;
    let Some(voices) = &service.voices else { return Err(ErrorKind::Unsupported.into()) };
    let mut saying = voices.saying(peer, settings);
    if let Err(error) = saying.push(&input) {
        return refuse(service, stream, &error.into(), manner);
    }
    let mut file = File::new(container, voices.card.rate);
    let (mut begun, mut bytes) = (false, Vec::new());
    loop {
        let samples = match saying.next(true, &mut || liveness(stream) == Liveness::Open) {
            Ok(samples) => samples,
            Err(SpeechError::Job(JobError::Gone)) => return Err(ErrorKind::ConnectionAborted.into()),
            Err(_) if begun && !events => return Err(ErrorKind::ConnectionAborted.into()),
            Err(error) if begun => {
                answer::event(stream.get_mut(), &ApiError::from(error).json(), manner)?;
                return answer::end(stream.get_mut(), manner).map(|()| manner.keep_alive);
            }
            Err(error) => return refuse(service, stream, &error.into(), manner),
        };
        let connection = stream.get_mut();
        connection.within(Some(service.limits.idle));
        if !std::mem::replace(&mut begun, true) {
            let left_out = saying.left_out().len();
            let more = if left_out == 0 { String::new() } else { format!("Ossicle-Left-Out: {left_out}\r\n") };
            answer::begin(connection, if events { answer::EVENTS } else { container.content_type() }, &more, manner)?;
        }
        bytes.clear();
        match &samples {
            Some(samples) => file.push(samples, &mut bytes),
            None => file.finish(&mut bytes),
        }
        match events {
            true if bytes.is_empty() => {}
            true => {
                let delta = json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(&bytes)});
                answer::event(connection, &delta, manner)?;
            }
            false => answer::part(connection, &bytes, manner)?,
        }
        if samples.is_none() {
            if events {
                // A voice has no tokens.
                let usage = json!({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0});
                answer::event(connection, &json!({"type": "speech.audio.done", "usage": usage}), manner)?;
            }
            return answer::end(connection, manner).map(|()| manner.keep_alive);
        }
    }
}

/// Samples as a file that is read while it grows: how long it will be is left open.
struct File {
    container: Container,
    rate: u32,
    begun: bool,
    flac: FlacEncoder,
}

impl File {
    fn new(container: Container, rate: u32) -> Self {
        Self { container, rate, begun: false, flac: FlacEncoder::default() }
    }

    /// Appends what the file has with these samples.
    fn push(&mut self, samples: &[u8], out: &mut Vec<u8>) {
        let begins = !std::mem::replace(&mut self.begun, true);
        match self.container {
            Container::Wav if begins => out.extend(wav_header(self.rate, u64::MAX)),
            Container::Flac if begins => out.extend(flac_header(self.rate, 0)),
            _ => {}
        }
        match self.container {
            Container::Flac => self.flac.push(samples, out),
            Container::Wav | Container::Raw => out.extend(samples),
        }
    }

    /// Appends the file's end.
    fn finish(&mut self, out: &mut Vec<u8>) {
        self.flac.finish(out);
    }
}
