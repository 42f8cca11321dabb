//! Texts that Wyoming clients want said, by a voice that needs no weights.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ossicle::speak::{Pronounced, Settings, SpeakError};
use ossicle_serve::wyoming::event::Event;
use ossicle_serve::{Limits, Speaker, VoiceCard};
use serde_json::json;

use crate::client::{Client, Service, small, wait_until};

/// Says a chunk of two samples for each letter: its place in the alphabet, and the number of the clause. A word in capitals is left out.
#[derive(Clone, Default)]
pub(crate) struct Letters {
    /// Whether it waits.
    pub(crate) shut: Arc<AtomicBool>,
    /// Chunks so far.
    pub(crate) chunks: Arc<AtomicUsize>,
    /// Which voice was asked for last.
    pub(crate) voice: Arc<Mutex<Option<u16>>>,
}

impl Speaker for Letters {
    fn pronounce(&self, text: &str) -> Result<Pronounced, SpeakError> {
        let mut out = Pronounced::default();
        let words: Vec<&str> = text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let letters: String = word.chars().filter(char::is_ascii_lowercase).collect();
            if letters.is_empty() {
                out.left_out.push((*word).to_owned());
            }
            out.phonemes.push_str(&letters);
            if (word.ends_with('.') || at + 1 == words.len()) && !out.phonemes.ends_with('\n') && !out.phonemes.is_empty() {
                out.phonemes.push('\n');
            }
        }
        Ok(out)
    }

    fn say(&mut self, line: &str, settings: Settings, clauses: u32, hear: &mut dyn FnMut(&[f32]) -> bool) -> Result<u32, SpeakError> {
        *self.voice.lock().unwrap() = settings.voice;
        for letter in line.bytes() {
            wait_until("the voice may speak", || !self.shut.load(Ordering::SeqCst));
            self.chunks.fetch_add(1, Ordering::SeqCst);
            let samples = [f32::from(letter - b'a' + 1) * settings.speed, clauses as f32].map(|value| value / 32_767.0);
            if !hear(&samples) {
                break;
            }
        }
        Ok(clauses + 1)
    }
}

/// What [`Letters`] says of these clauses.
pub(crate) fn said(clauses: &[&str]) -> Vec<u8> {
    let one = |(number, clause): (usize, &&str)| {
        clause.bytes().flat_map(|letter| [i16::from(letter - b'a' + 1), number as i16]).collect::<Vec<_>>()
    };
    clauses.iter().enumerate().flat_map(one).flat_map(i16::to_le_bytes).collect()
}

pub(crate) fn speaking(limits: Limits) -> (Service, Letters) {
    let letters = Letters::default();
    let voice = Box::new(letters.clone());
    (Service::start(limits, |server| server.speak(VoiceCard { name: "letters".into(), ..VoiceCard::hibari("") }, voice)), letters)
}

fn text(kind: &str, text: &str) -> Event {
    Event::new(kind, json!({"text": text}))
}

/// One answer, from its start to its stop: the samples, and what the stop says.
fn heard(client: &mut Client) -> (Vec<u8>, Event) {
    let format = json!({"rate": 24_000, "width": 2, "channels": 1});
    assert_eq!(client.event().unwrap(), Event::new("audio-start", format.clone()));
    let mut samples = Vec::new();
    loop {
        let event = client.event().unwrap();
        if event.kind == "audio-stop" {
            return (samples, event);
        }
        assert_eq!((event.kind.as_str(), json!(event.data)), ("audio-chunk", format.clone()));
        samples.extend(event.payload);
    }
}

#[test]
fn describes_its_voice() {
    let (service, _) = speaking(small());
    let mut client = service.client();
    client.write(&Event::new("describe", json!({})));
    let info = client.event().unwrap();
    let tts = &info.data["tts"][0];
    assert_eq!((&tts["installed"], &tts["supports_synthesize_streaming"]), (&json!(true), &json!(true)));
    let voice = &tts["voices"][0];
    assert_eq!((&voice["name"], &voice["languages"], &voice["installed"]), (&json!("letters"), &json!(["en-US"]), &json!(true)));
    assert!(voice["attribution"]["url"].as_str().unwrap().starts_with("https://") && voice["version"].is_string());
}

#[test]
fn voices_of_one_model_are_told_and_asked_for() {
    let letters = Letters::default();
    let names = ["af_one", "bm_two"].map(String::from);
    let service = Service::start(small(), |server| server.speak(VoiceCard::kokoro("letters", &names), Box::new(letters.clone())));
    let mut client = service.client();
    client.write(&Event::new("describe", json!({})));
    let info = client.event().unwrap();
    let voices = info.data["tts"][0]["voices"].as_array().unwrap();
    assert_eq!(voices.iter().map(|voice| voice["name"].as_str().unwrap()).collect::<Vec<_>>(), ["af_one", "bm_two"]);
    for (voice, wanted) in [
        (json!({"name": "bm_two"}), Some(1)),
        (json!({"speaker": "af_one"}), Some(0)),
        (json!({"name": "letters"}), None),
        (json!({"name": "bm_two", "speaker": "letters"}), Some(1)),
        (json!({"name": "bm_two", "speaker": "af_one"}), Some(0)),
    ] {
        client.write(&Event::new("synthesize", json!({"text": "abc", "voice": voice})));
        assert_eq!(heard(&mut client).0, said(&["abc"]));
        assert_eq!(*letters.voice.lock().unwrap(), wanted, "{voice}");
    }
    client.write(&Event::new("synthesize", json!({"text": "abc", "voice": {"name": "af_three"}})));
    let refusal = client.event().unwrap();
    assert!(refusal.data["text"].as_str().unwrap().contains("letters, af_one, bm_two"), "{refusal:?}");
}

#[test]
fn one_connection_many_texts() {
    let (service, _) = speaking(small());
    let mut client = service.client();
    for _ in 0..3 {
        client.write(&text("synthesize", "abc de. xyz"));
        let (samples, stop) = heard(&mut client);
        assert_eq!((samples, stop), (said(&["abcde", "xyz"]), Event::new("audio-stop", json!({}))));
    }
    let voice = json!({"text": "abc", "voice": {"name": "letters", "speaker": "letters"}, "text_format": "text"});
    client.write(&Event::new("synthesize", voice));
    assert_eq!(heard(&mut client).0, said(&["abc"]));
    client.write(&Event::new("synthesize", json!({"text": "abc", "voice": {"language": "en_GB"}})));
    assert_eq!(heard(&mut client).0, said(&["abc"]));
    // Speech to text goes on beside it.
    client.record(100);
    assert_eq!(client.transcript(), "heard 100.");
    client.write(&text("synthesize", "abc ABC."));
    let (samples, stop) = heard(&mut client);
    assert_eq!((samples, &stop.data["left_out"]), (said(&["abc"]), &json!(["ABC."])));
}

#[test]
fn a_text_in_parts_is_said_sentence_by_sentence() {
    let (service, _) = speaking(small());
    let mut client = service.client();
    for _ in 0..2 {
        client.write(&Event::new("synthesize-start", json!({"voice": {"name": "letters"}})));
        for part in ["a", "b c", "d. ef ", "gh"] {
            client.write(&text("synthesize-chunk", part));
        }
        // The first sentence is there before the second has ended.
        assert_eq!(client.event().unwrap().kind, "audio-start");
        let mut samples = Vec::new();
        for _ in 0..4 {
            samples.extend(client.event().unwrap().payload);
        }
        assert_eq!(samples, said(&["abcd"]));
        client.write(&text("synthesize-chunk", "i. jk"));
        client.write(&text("synthesize", "abcd. ef ghi. jk"));
        client.write(&Event::new("synthesize-stop", json!({})));
        for _ in 0..7 {
            samples.extend(client.event().unwrap().payload);
        }
        assert_eq!(samples, said(&["abcd", "efghi", "jk"]));
        assert_eq!([client.event().unwrap().kind, client.event().unwrap().kind], ["audio-stop", "synthesize-stopped"]);
    }
}

#[test]
fn what_cannot_be_said_is_one_error() {
    let (service, _) = speaking(small());
    let voice = |voice: serde_json::Value| vec![Event::new("synthesize", json!({"text": "abc", "voice": voice}))];
    let parts = |parts: &[&str]| {
        let chunks = parts.iter().map(|part| text("synthesize-chunk", part));
        let all = [Event::new("synthesize-start", json!({}))].into_iter().chain(chunks);
        all.chain([Event::new("synthesize-stop", json!({}))]).collect::<Vec<_>>()
    };
    let cases: [(&str, Vec<Event>); 14] = [
        ("no-such-voice", voice(json!({"name": "nobody"}))),
        ("no-such-voice", voice(json!({"language": "de-DE"}))),
        ("no-such-voice", voice(json!({"name": "letters", "speaker": "p\u{7}225"}))),
        ("bad-request", vec![Event::new("synthesize", json!({"text": "<speak/>", "text_format": "ssml"}))]),
        ("bad-event", vec![Event::new("synthesize", json!({}))]),
        ("bad-event", vec![Event::new("synthesize", json!({"text": ["abc"]}))]),
        ("bad-event", vec![text("synthesize-chunk", "abc")]),
        ("bad-event", vec![Event::new("synthesize-stop", json!({}))]),
        ("nothing-to-say", vec![text("synthesize", "")]),
        ("nothing-to-say", vec![text("synthesize", "\0\u{1b}[31 \u{202e} 日本語")]),
        ("nothing-to-say", parts(&[])),
        ("nothing-to-say", parts(&["", " ", "ABC. "])),
        ("too-long", vec![text("synthesize", &"x".repeat(2_001))]),
        ("too-long", parts(&["ABC"; 700])),
    ];
    for (code, events) in cases {
        let mut client = service.client();
        events.iter().for_each(|event| client.write(event));
        assert_eq!(client.refusal(), code, "{events:?}");
    }
    service.is_well();
    let mute = Service::start(small(), |_| {});
    for kind in ["synthesize", "synthesize-start", "synthesize-chunk", "synthesize-stop"] {
        let mut client = mute.client();
        client.write(&text(kind, "abc"));
        assert_eq!(client.refusal(), "no-voice");
    }
}

#[test]
fn clients_take_turns_and_may_leave() {
    let (service, letters) = speaking(Limits { wait: Duration::from_secs(20), ..small() });
    letters.shut.store(true, Ordering::SeqCst);
    let mut long = service.client();
    long.write(&text("synthesize", &"abc. ".repeat(100)));
    let mut gone = service.client();
    gone.write(&text("synthesize", "xxx"));
    let mut short = service.stranger();
    short.write(&text("synthesize", "short"));
    thread::sleep(Duration::from_millis(200));
    drop(gone);
    letters.shut.store(false, Ordering::SeqCst);
    assert_eq!(heard(&mut short).0, said(&["short"]));
    assert_eq!(heard(&mut long).0, said(&["abc"; 100]));
    // Somebody who takes nothing holds up nobody for longer than a sentence.
    let mut deaf = service.client();
    deaf.write(&text("synthesize", &"abc. ".repeat(100)));
    let mut short = service.client();
    short.write(&text("synthesize", "short"));
    assert_eq!(heard(&mut short).0, said(&["short"]));
    drop(deaf);
    service.is_well();
}

#[test]
fn a_busy_voice_and_the_end_of_the_service_are_told() {
    let (mut service, letters) = speaking(small());
    letters.shut.store(true, Ordering::SeqCst);
    let mut first = service.client();
    first.write(&text("synthesize", "abc"));
    thread::sleep(Duration::from_millis(100));
    let mut late = service.client();
    late.write(&text("synthesize", "abc"));
    assert_eq!(late.refusal(), "busy");
    letters.shut.store(false, Ordering::SeqCst);
    assert_eq!(heard(&mut first).0, said(&["abc"]));
    letters.shut.store(true, Ordering::SeqCst);
    first.write(&text("synthesize", "abc"));
    thread::sleep(Duration::from_millis(100));
    service.stop.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(300));
    letters.shut.store(false, Ordering::SeqCst);
    let last = std::iter::from_fn(|| first.event()).last().unwrap();
    assert_eq!((last.kind.as_str(), last.text("code")), ("error", Some("stopping")));
    service.end();
}
