//! One client of the Wyoming protocol.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use ossicle::whisper::options::TranscribeOptions;
use serde_json::{Value, json};

use super::audio::{Format, Recording, RecordingError};
use super::event::{Event, EventError};
use super::refusal::{Next, Refusal};
use super::spoken::Spoken;
use crate::card::language;
use crate::connection::{Connection, Liveness, liveness};
use crate::job_error::JobError;
use crate::jobs::{Done, Purpose};
use crate::service::Service;
use crate::slots::Peer;
use crate::spill::SpillError;
use crate::text::{Text, describe_audio};

/// Longest bias that is taken from a client, in bytes; the model sees some hundred tokens of it.
const MAX_BIAS_BYTES: usize = 4 << 10;

pub(super) struct Session<'a> {
    pub(super) service: &'a Service,
    pub(super) peer: Peer,
    pub(super) stream: BufReader<Connection>,
    pub(super) options: TranscribeOptions,
    pub(super) recording: Option<Recording>,
    /// When the recording was.
    pub(super) begun: Instant,
    /// A text that comes in parts.
    pub(super) spoken: Option<Spoken>,
}

impl Session<'_> {
    /// How long a recording may still go on: however slowly somebody speaks, it takes no longer than it is long.
    pub(super) fn left(&self) -> Option<Duration> {
        let limits = &self.service.limits;
        let most = Duration::from_secs(limits.audio_seconds.into()) + limits.transfer;
        self.recording.as_ref().map(|_| most.saturating_sub(self.begun.elapsed()))
    }

    /// Waits for an event, while a recording is open no longer than that may be; once it has begun it has to come whole in time.
    pub(super) fn read(&mut self) -> Result<Option<Event>, EventError> {
        let left = self.left();
        self.stream.get_mut().within(left);
        self.stream.fill_buf()?;
        let idle = self.service.limits.idle;
        self.stream.get_mut().within(Some(left.map_or(idle, |left| left.min(idle))));
        Event::read(&mut self.stream)
    }

    pub(super) fn write(&mut self, kind: &str, data: Value) -> Next {
        self.send(&Event::new(kind, data))
    }

    pub(super) fn send(&mut self, event: &Event) -> Next {
        let connection = self.stream.get_mut();
        connection.within(Some(self.service.limits.idle));
        if event.write(connection).is_ok() { Next::Listen } else { Next::Close }
    }

    /// A request for a transcript of the audio that follows.
    pub(super) fn transcribe(&mut self, event: &Event) -> Result<(), Refusal> {
        let card = &self.service.card;
        if let Some(name) = event.text("name").filter(|name| *name != card.name) {
            return Err(Refusal::new("no-such-model", format!("model {name}: give {} or none", card.name)));
        }
        self.options = self.service.options.clone();
        if let Some(asked) = event.text("language").filter(|asked| !asked.is_empty()) {
            self.options.language = (asked != "auto").then(|| language(asked));
        }
        // The model keeps the end of a long prompt, and names come before terms.
        let listed = ["transcript_terms", "transcript_names"].into_iter().filter_map(|key| event.data.get(key)?.as_array());
        let bias: Vec<&str> = listed.flatten().filter_map(Value::as_str).collect();
        if !bias.is_empty() {
            let bias = bias.join(", ");
            let cut = bias.ceil_char_boundary(bias.len().saturating_sub(MAX_BIAS_BYTES));
            self.options.initial_prompt = Some(bias[cut..].to_owned());
        }
        Ok(())
    }

    pub(super) fn start(&mut self, format: Format) -> Result<(), Refusal> {
        let limits = &self.service.limits;
        let recording = Recording::new(format, limits.audio_seconds, limits.upload_bytes, self.service.budget.share(self.peer));
        self.begun = Instant::now();
        self.recording = Some(recording.map_err(|error| self.refusal(RecordingError::Spill(error)))?);
        Ok(())
    }

    pub(super) fn chunk(&mut self, event: &Event) -> Result<(), Refusal> {
        let format = Format::of(&event.data)?;
        if self.recording.is_none() {
            self.start(format)?;
        }
        let pushed = self.recording.as_mut().map_or(Ok(()), |recording| recording.push(format, &event.payload));
        pushed.map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: RecordingError) -> Refusal {
        match error {
            RecordingError::Format(error) => error.into(),
            RecordingError::Audio(error) => Refusal::new("bad-audio", describe_audio(&error)),
            RecordingError::TooLong => JobError::TooLong(self.service.limits.audio_seconds).into(),
            RecordingError::Spill(error) => {
                let code = match error {
                    SpillError::TooLarge { .. } => "too-long",
                    SpillError::Full => "busy",
                    SpillError::Io(_) => "failed",
                };
                Refusal::new(code, error)
            }
        }
    }

    pub(super) fn stop(&mut self) -> Result<Next, Refusal> {
        let options = std::mem::replace(&mut self.options, self.service.options.clone());
        let Some(recording) = self.recording.take().filter(|recording| !recording.is_empty()) else {
            return Ok(self.answer(Text::default(), options.language));
        };
        let audio = recording.into_audio(self.service.card.isa).map_err(|error| self.refusal(error))?;
        let mut ticket = self.service.queue.submit(audio, options, Purpose::Command)?;
        let (mut text, mut begun) = (Text::default(), false);
        loop {
            let done = ticket.next(&mut || liveness(&mut self.stream) != Liveness::Gone)?;
            let streaming = self.service.streaming;
            match done {
                Done::Segment(segment) => {
                    let new = text.push(&segment.text);
                    let start = streaming && !std::mem::replace(&mut begun, true);
                    let written = (!start || matches!(self.write("transcript-start", json!({})), Next::Listen))
                        && (!streaming || matches!(self.write("transcript-chunk", json!({"text": new})), Next::Listen));
                    if !written {
                        return Ok(Next::Close);
                    }
                }
                // The protocol has no place for it.
                Done::Dropped(_) => {}
                Done::All(whole) => return Ok(self.answer(text, whole.summary.language)),
            }
        }
    }

    fn answer(&mut self, text: Text, language: Option<String>) -> Next {
        let text = text.into_string();
        let mut data = json!({"text": text});
        self.service.heard(&text, language.as_deref(), "wyoming");
        if let Some(language) = language {
            data["language"] = language.into();
        }
        match self.write("transcript", data) {
            Next::Listen if self.service.streaming && !text.is_empty() => self.write("transcript-stop", json!({})),
            next => next,
        }
    }

    pub(super) fn recognise(&mut self, event: &Event) -> Result<Next, Refusal> {
        let Some(recogniser) = self.service.recogniser.as_deref() else {
            return Err(Refusal::new("no-sentences", "this service has no commands to recognise"));
        };
        let text = event.text("text").ok_or_else(|| Refusal::new("bad-event", format!("{}: text: give what was said", event.kind)))?;
        let context = event.data.get("context").filter(|context| context.is_object());
        let (kind, mut data) = match recogniser.recognise(text) {
            Some(intent) => {
                self.service.understood(&intent, text);
                ("intent", json!(intent))
            }
            None => {
                let candidates = recogniser.ambiguous(text).iter().map(ToString::to_string).collect::<Vec<_>>().join(", or ");
                let data = if candidates.is_empty() { json!({}) } else { json!({"text": format!("this may be {candidates}")}) };
                ("not-recognized", data)
            }
        };
        if let Some(context) = context {
            data["context"] = context.clone();
        }
        Ok(self.write(kind, data))
    }
}
