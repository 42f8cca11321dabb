//! Texts that a Wyoming client wants said: at once, or in parts while they are written.

use serde_json::{Value, json};

use super::event::Event;
use super::refusal::{Next, Refusal};
use super::session::Session;
use super::spoken::Spoken;
use crate::connection::{Liveness, liveness};
use crate::speech::{SpeechError, Voices};

impl From<SpeechError> for Refusal {
    fn from(error: SpeechError) -> Self {
        let code = match error {
            SpeechError::Job(error) => return error.into(),
            SpeechError::Speak(_) => "failed",
            SpeechError::TooLong(_) => "too-long",
            SpeechError::Nothing => "nothing-to-say",
        };
        Self::new(code, error)
    }
}

fn shape(rate: u32) -> Value {
    json!({"rate": rate, "width": 2, "channels": 1})
}

impl Session<'_> {
    fn voices(&self) -> Result<&Voices, Refusal> {
        self.service.voices.as_ref().ok_or_else(|| Refusal::new("no-voice", "this service has no voice"))
    }

    /// Nothing said yet, by the voice that the event asks for.
    fn spoken(&self, event: &Event) -> Result<Spoken, Refusal> {
        let voices = self.voices()?;
        let card = &voices.card;
        let voice = event.data.get("voice").and_then(Value::as_object);
        let asked = |key: &str| voice.and_then(|voice| voice.get(key)?.as_str()).filter(|asked| !asked.is_empty());
        let refuse = |what: &str, asked: &str, right: &str| {
            Err(Refusal::new("no-such-voice", format!("{what} {}: give {right} or none", asked.escape_debug())))
        };
        match (asked("name"), asked("language"), asked("speaker")) {
            (Some(name), ..) if card.named(name).is_none() => return refuse("voice", name, &card.names()),
            // A name says more than a language.
            (None, Some(tag), _) if !card.speaks(tag) => return refuse("language", tag, &card.languages.join(", ")),
            (_, _, Some(speaker)) if card.named(speaker).is_none() => return refuse("speaker", speaker, &card.names()),
            _ => {}
        }
        let named = |key: &str| asked(key).and_then(|name| card.named(name));
        // A speaker says more than a name, but not where it is the model's own name.
        let speaker = named("speaker").filter(|settings| settings.voice.is_some());
        let settings = speaker.or_else(|| named("name")).unwrap_or_default();
        match event.text("text_format") {
            None | Some("" | "text") => Ok(Spoken { saying: voices.saying(self.peer, settings), begun: false }),
            Some(format) => Err(Refusal::new("bad-request", format!("text_format {}: give text or none", format.escape_debug()))),
        }
    }

    /// A whole text. While one comes in parts, it is that one again, for services that take no parts.
    pub(super) fn synthesize(&mut self, event: &Event) -> Result<Next, Refusal> {
        if self.spoken.is_some() {
            return Ok(Next::Listen);
        }
        let mut spoken = self.spoken(event)?;
        spoken.saying.push(given(event)?)?;
        self.say(&mut spoken, true)
    }

    pub(super) fn synthesize_start(&mut self, event: &Event) -> Result<(), Refusal> {
        self.spoken = Some(self.spoken(event)?);
        Ok(())
    }

    pub(super) fn synthesize_chunk(&mut self, event: &Event) -> Result<Next, Refusal> {
        let mut spoken = self.taken()?;
        spoken.saying.push(given(event)?)?;
        let next = self.say(&mut spoken, false);
        self.spoken = Some(spoken);
        next
    }

    pub(super) fn synthesize_stop(&mut self) -> Result<Next, Refusal> {
        let mut spoken = self.taken()?;
        match self.say(&mut spoken, true)? {
            Next::Listen => Ok(self.send(&Event::new("synthesize-stopped", json!({})))),
            Next::Close => Ok(Next::Close),
        }
    }

    fn taken(&mut self) -> Result<Spoken, Refusal> {
        self.voices()?;
        self.spoken.take().ok_or_else(|| Refusal::new("bad-event", "send synthesize-start first"))
    }

    /// Says what is there of a text, or all of it.
    fn say(&mut self, spoken: &mut Spoken, whole: bool) -> Result<Next, Refusal> {
        let shape = shape(self.voices()?.card.rate);
        while let Some(samples) = spoken.saying.next(whole, &mut || liveness(&mut self.stream) != Liveness::Gone)? {
            let start = !std::mem::replace(&mut spoken.begun, true);
            let chunk = Event { payload: samples, ..Event::new("audio-chunk", shape.clone()) };
            if start && matches!(self.send(&Event::new("audio-start", shape.clone())), Next::Close)
                || matches!(self.send(&chunk), Next::Close)
            {
                return Ok(Next::Close);
            }
        }
        if !whole {
            return Ok(Next::Listen);
        }
        let left_out = spoken.saying.left_out();
        // Clients pass over what they do not know; nothing is left out in silence.
        let data = if left_out.is_empty() { json!({}) } else { json!({"left_out": left_out}) };
        Ok(self.send(&Event::new("audio-stop", data)))
    }
}

/// The text of an event.
fn given(event: &Event) -> Result<&str, Refusal> {
    event.text("text").ok_or_else(|| Refusal::new("bad-event", format!("{}: text: give what is to be said", event.kind)))
}
