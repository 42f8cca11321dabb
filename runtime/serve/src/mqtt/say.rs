//! Texts that a broker's clients want said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use ossicle::speak::{Settings, wav_header};
use rumqttc::{Publish, QoS};
use serde_json::{Value, json};

use super::{MAX_TEXT_BYTES, Mqtt};
use crate::speech::{SpeechError, Voices};

/// Texts that wait for the voice; more are refused.
const MAX_TEXTS: usize = 8;
/// Most seconds of speech in one message.
const MAX_SPEECH_SECONDS: usize = 60;
/// How long speech waits for messages before it to leave.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether the service ends, or messages have left.
const LOOK: Duration = Duration::from_millis(50);

/// Takes samples as they are made: signed 16 bits, little-endian, 24 kHz, one channel.
pub type Player = Box<dyn FnMut(&[u8]) -> std::io::Result<()> + Send>;

/// What is wanted.
#[derive(Debug, PartialEq)]
struct Wanted {
    text: String,
    settings: Settings,
}

/// The end of the line at which texts arrive.
pub(super) struct Texts {
    sender: SyncSender<Result<Wanted, String>>,
    report: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The end at which they are said.
pub(crate) struct Speech {
    receiver: Receiver<Result<Wanted, String>>,
    player: Option<Player>,
}

/// A line for texts; what is said goes to `player`, or to the broker.
pub(super) fn line(player: Option<Player>, report: Arc<dyn Fn(&str) + Send + Sync>) -> (Texts, Speech) {
    let (sender, receiver) = mpsc::sync_channel(MAX_TEXTS);
    (Texts { sender, report }, Speech { receiver, player })
}

impl Texts {
    /// Takes a message. One that was kept by the broker is old, and is not said.
    pub(super) fn take(&self, message: &Publish) {
        if !message.retain && self.sender.try_send(wanted(&message.payload)).is_err() {
            (self.report)(&format!("{MAX_TEXTS} texts wait to be said: one more is lost"));
        }
    }
}

/// A message that is a text, or an object with one and perhaps with a speed.
fn wanted(payload: &[u8]) -> Result<Wanted, String> {
    let text = str::from_utf8(payload).map_err(|_| "the message is not UTF-8".to_owned())?;
    let plain = |text: &str| Wanted { text: text.to_owned(), settings: Settings::default() };
    if !text.trim_start().starts_with('{') {
        return Ok(plain(text));
    }
    let object: Value = serde_json::from_str(text).map_err(|error| format!("{error}: give a text, or an object with text"))?;
    let text = object.get("text").and_then(Value::as_str).ok_or("text: give what is to be said")?;
    match object.get("speed") {
        None | Some(Value::Null) => Ok(plain(text)),
        Some(speed) => {
            let speed = speed.as_f64().filter(|speed| (0.5..=2.0).contains(speed)).ok_or("speed: give a number from 0.5 to 2")?;
            Ok(Wanted { settings: Settings { speed: speed as f32, ..Settings::default() }, ..plain(text) })
        }
    }
}

impl Speech {
    /// Says texts until `stop` holds.
    pub(crate) fn run(mut self, mqtt: &Mqtt, voices: &Voices, stop: &dyn Fn() -> bool) {
        loop {
            match self.receiver.recv_timeout(LOOK) {
                Ok(wanted) => {
                    let told = wanted.and_then(|wanted| self.say(mqtt, voices, wanted, stop));
                    mqtt.publish("said", &told.unwrap_or_else(|error| json!({"error": error})));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if stop() {
                return;
            }
        }
    }

    /// Says one; what can be told of it.
    fn say(&mut self, mqtt: &Mqtt, voices: &Voices, wanted: Wanted, stop: &dyn Fn() -> bool) -> Result<Value, String> {
        let rate = voices.card.rate;
        let mut saying = voices.saying(None, wanted.settings);
        saying.push(&wanted.text).map_err(|error| error.to_string())?;
        let (mut speech, mut bytes) = (Vec::new(), 0);
        loop {
            match saying.next(true, &mut || !stop()) {
                Ok(None) => break,
                Ok(Some(samples)) => {
                    bytes += samples.len();
                    match &mut self.player {
                        Some(player) => player(&samples).map_err(|error| format!("the speech cannot be played: {error}"))?,
                        None if bytes > MAX_SPEECH_SECONDS * 2 * rate as usize => {
                            return Err("the speech is longer than a minute: send the text in parts".into());
                        }
                        None => speech.extend(samples),
                    }
                }
                Err(SpeechError::Job(crate::job_error::JobError::Gone)) => return Err(crate::job_error::JobError::Stopping.to_string()),
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.player.is_none() {
            let wav = [&wav_header(rate, speech.len() as u64)[..], &speech].concat();
            mqtt.speech(wav, stop)?;
        }
        let seconds = (bytes as f64 / f64::from(2 * rate) * 1000.0).round() / 1000.0;
        let text = &wanted.text[..wanted.text.floor_char_boundary(MAX_TEXT_BYTES)];
        let mut told = json!({"text": text, "seconds": seconds});
        if !saying.left_out().is_empty() {
            told["left_out"] = json!(saying.left_out());
        }
        Ok(told)
    }
}

/// Messages that have been handed over and have not left yet.
#[derive(Clone, Default)]
pub(super) struct Leaving(Arc<AtomicUsize>);

impl Leaving {
    /// Hands a message over. It is counted before: it may have left by the time that `publish` is back.
    pub(super) fn hand_over<E>(&self, publish: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        self.0.fetch_add(1, Ordering::Relaxed);
        publish().inspect_err(|_| self.left())
    }

    pub(super) fn left(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Mqtt {
    /// Publishes a recording once all messages before it have left, so that no more than one waits.
    fn speech(&self, wav: Vec<u8>, stop: &dyn Fn() -> bool) -> Result<(), String> {
        let since = Instant::now();
        while !self.leaving.is_empty() {
            if stop() || since.elapsed() > PATIENCE {
                return Err("the broker takes no messages: the speech is lost".into());
            }
            std::thread::sleep(LOOK);
        }
        let topic = super::topic(&self.name, "speech");
        let sent = self.leaving.hand_over(|| self.client.try_publish(topic, QoS::AtMostOnce, false, wav));
        sent.map_err(|_| "too many messages wait for the broker: the speech is lost".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_plain_or_in_an_object() {
        let speed = |text: &str, speed| Ok(Wanted { text: text.into(), settings: Settings { speed, ..Settings::default() } });
        assert_eq!(wanted(b"It is on."), speed("It is on.", 1.0));
        assert_eq!(wanted(b" {\"text\": \"It is on.\", \"speed\": 1.5}"), speed("It is on.", 1.5));
        assert_eq!(wanted(b"{\"text\": \"x\", \"speed\": null, \"more\": 1}"), speed("x", 1.0));
        for bad in [&b"\xff"[..], b"{", b"{\"text\": 1}", b"{\"text\": \"x\", \"speed\": 9}", b"{}"] {
            let error = wanted(bad).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_has_left_is_counted() {
        let leaving = Leaving::default();
        leaving.left();
        assert!(leaving.is_empty());
        leaving.hand_over(|| Ok::<(), ()>(())).unwrap();
        assert!(!leaving.is_empty());
        leaving.left();
        assert!(leaving.is_empty());
        // One that leaves at once, and one that is not taken.
        leaving
            .hand_over(|| {
                leaving.left();
                Ok::<(), ()>(())
            })
            .unwrap();
        assert!(leaving.is_empty());
        leaving.hand_over(|| Err(())).unwrap_err();
        assert!(leaving.is_empty());
    }
}
