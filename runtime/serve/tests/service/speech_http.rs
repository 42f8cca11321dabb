//! Texts that HTTP clients want said.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Service, small, wait_until};
use crate::speech::{said, speaking};
use ossicle_serve::Limits;

fn request(body: &str, more: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A request whose connection ends with it.
fn last(body: &Value) -> Vec<u8> {
    request(&body.to_string(), "Connection: close\r\n")
}

/// The head of an answer in small letters, and its body without the lengths of its chunks.
fn parts(bytes: &[u8]) -> (String, Vec<u8>) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    if !head.contains("transfer-encoding: chunked") {
        return (head, bytes[end..].to_vec());
    }
    let (mut rest, mut body) = (&bytes[end..], Vec::new());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        body.extend(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 2 + length..];
        rest = rest.strip_prefix(b"\r\n").unwrap();
        if length == 0 {
            assert!(rest.is_empty());
            return (head, body);
        }
    }
}

fn ask(service: &Service, body: &Value) -> (String, Vec<u8>) {
    parts(&service.say(&last(body)).rest())
}

fn refused(service: &Service, bytes: &[u8]) -> (u16, String) {
    let answer = service.ask(bytes);
    let error = &answer.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(!message.contains('\n') && error["type"].is_string(), "{message}");
    (answer.status, error["param"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_is_said_comes_as_what_was_asked_for() {
    let (service, _) = speaking(small());
    let samples = said(&["abc", "de"]);
    let ask = |more: Value| {
        let mut body = json!({"model": "tts-1", "voice": "alloy", "input": "abc. de."});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&service, &body)
    };
    // MP3 is what clients get who ask for nothing.
    for more in [json!({}), json!({"response_format": "mp3"}), json!({"response_format": "wav", "instructions": "Speak softly."})] {
        let (head, body) = ask(more);
        assert!(head.contains("content-type: audio/wav\r\n") && !head.contains("left-out"), "{head}");
        assert_eq!((&body[..4], &body[44..]), (&b"RIFF"[..], &samples[..]));
    }
    let (head, body) = ask(json!({"response_format": "pcm", "voice": {"id": "letters"}, "model": "letters"}));
    assert!(head.contains("content-type: audio/pcm\r\n"));
    assert_eq!(body, samples);
    let (head, body) = ask(json!({"response_format": "flac"}));
    assert!(head.contains("content-type: audio/flac\r\n"));
    let mut audio = ossicle::audio::AudioReader::bytes(body, ossicle_kernels::simd::Isa::detect()).unwrap();
    assert_eq!(audio.info().sample_rate, 24_000);
    // Resampled to 16 kHz.
    assert!(!audio.read_to_end().unwrap().is_empty());
    let (_, body) = ask(json!({"response_format": "pcm", "speed": 2, "input": "a"}));
    assert_eq!(body, [2, 0, 0, 0]);
    let (head, body) = ask(json!({"response_format": "pcm", "input": "a HUH b"}));
    assert!(head.contains("ossicle-left-out: 1\r\n"));
    assert_eq!(body, said(&["ab"]));
    let (head, body) = ask(json!({"response_format": "pcm", "stream_format": "sse"}));
    assert!(head.contains("content-type: text/event-stream"));
    let events: Vec<Value> =
        String::from_utf8(body).unwrap().split_terminator("\n\n").map(|event| serde_json::from_str(&event[6..]).unwrap()).collect();
    assert_eq!(events.len(), 6);
    assert_eq!(events[0], json!({"type": "speech.audio.delta", "audio": "AQAAAA=="}));
    assert_eq!(events[5]["type"], "speech.audio.done");
}

#[test]
fn samples_come_while_they_are_made_and_a_connection_lasts() {
    let (service, letters) = speaking(small());
    letters.shut.store(true, Ordering::SeqCst);
    let body = json!({"model": "letters", "input": "a", "response_format": "pcm"}).to_string();
    let mut client = service.say(&request(&body, ""));
    thread::sleep(Duration::from_millis(100));
    client.send(&last(&json!({"model": "letters", "input": "b", "response_format": "pcm"})));
    letters.shut.store(false, Ordering::SeqCst);
    let all = client.rest();
    let second = all.windows(8).rposition(|bytes| bytes == b"HTTP/1.1").unwrap();
    assert_eq!((parts(&all[..second]).1, parts(&all[second..]).1), (said(&["a"]), said(&["b"])));
    // HTTP/1.0 has no chunks: the answer ends with the connection.
    let old = String::from_utf8(request(&body, "")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let (head, body) = parts(&service.say(old.as_bytes()).rest());
    assert!(!head.contains("chunked"));
    assert_eq!(body, said(&["a"]));
}

#[test]
fn what_cannot_be_said_is_one_error() {
    let (service, _) = speaking(small());
    let good = || json!({"model": "tts-1", "input": "abc"});
    let with = |name: &str, value: Value| {
        let mut body = good();
        body[name] = value;
        last(&body)
    };
    let cases = [
        (400, "model", last(&json!({"input": "abc"}))),
        (404, "", with("model", json!("whisper-1"))),
        (400, "model", with("model", json!(7))),
        (400, "input", last(&json!({"model": "tts-1"}))),
        (400, "input", with("input", json!(""))),
        (400, "input", with("input", json!("\0\u{7}\u{202e} 日本語"))),
        (400, "input", with("input", json!(["abc"]))),
        (413, "input", with("input", json!("x".repeat(2_001)))),
        (413, "", with("input", json!("x".repeat(100_000)))),
        (400, "voice", with("voice", json!("nobody"))),
        (400, "voice", with("voice", json!({"id": "nobody"}))),
        (400, "voice", with("voice", json!(["alloy"]))),
        (400, "response_format", with("response_format", json!("opus"))),
        (400, "response_format", with("response_format", json!("aac"))),
        (400, "speed", with("speed", json!(4.0))),
        (400, "speed", with("speed", json!("fast"))),
        (400, "stream_format", with("stream_format", json!("x"))),
        (400, "", request("{\"model\": \"tts-1\",", "Connection: close\r\n")),
        (400, "", request("[]", "Connection: close\r\n")),
        (400, "", request("\u{fffd}", "Connection: close\r\n")),
        (400, "", request(&"[".repeat(10_000), "Connection: close\r\n")),
    ];
    for (status, param, bytes) in cases {
        assert_eq!(refused(&service, &bytes), (status, param.to_owned()), "{:.200}", String::from_utf8_lossy(&bytes));
    }
    let form = String::from_utf8(last(&good())).unwrap().replace("application/json", "text/plain");
    assert_eq!(refused(&service, form.as_bytes()).0, 415);
    assert_eq!(service.ask(b"GET /v1/audio/speech HTTP/1.1\r\nConnection: close\r\n\r\n").status, 405);
    let models = service.ask(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").json();
    assert_eq!((&models["data"][0]["id"], &models["data"][1]["id"]), (&json!("fake"), &json!("letters")));
    assert_eq!(service.ask(b"GET /v1/models/letters HTTP/1.1\r\nConnection: close\r\n\r\n").json()["id"], "letters");
    service.is_well();
    let mute = Service::start(small(), |_| {});
    assert_eq!(refused(&mute, &last(&good())).0, 404);
}

#[test]
fn who_leaves_ends_the_work() {
    let (service, letters) = speaking(Limits { text_bytes: 100_000, ..small() });
    letters.shut.store(true, Ordering::SeqCst);
    let client = service.say(&last(&json!({"model": "letters", "input": "abcd. ".repeat(10_000)})));
    thread::sleep(Duration::from_millis(200));
    drop(client);
    letters.shut.store(false, Ordering::SeqCst);
    let (_, body) = ask(&service, &json!({"model": "letters", "input": "a", "response_format": "pcm"}));
    assert_eq!(body, said(&["a"]));
    wait_until("the work of the one that left ends", || letters.chunks.load(Ordering::SeqCst) < 200);
}
