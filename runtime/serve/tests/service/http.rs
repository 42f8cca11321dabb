//! What HTTP clients see.

use crate::client::{Service, TRANSCRIPTIONS, form, post, small, wav};
use serde_json::json;

const MODEL: (&str, &str) = ("model", "fake");

#[test]
fn shapes_of_a_transcript() {
    let service = Service::start(small(), |_| {});
    let ask = |fields: &[(&str, &str)]| {
        let answer = service.ask(&post(TRANSCRIPTIONS, &form(&[&[MODEL], fields].concat(), Some(&wav(24_000)))));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    };
    let usage = json!({"type": "duration", "seconds": 2.0});
    let text = "heard 16000. heard 8000.";
    assert_eq!(ask(&[]).json(), json!({"text": text, "usage": usage}));
    assert_eq!(ask(&[("response_format", "text")]).body, format!("{text}\n"));
    let srt = ask(&[("response_format", "srt")]).body;
    assert_eq!(srt, "1\n00:00:00,000 --> 00:00:01,000\nheard 16000.\n\n2\n00:00:01,000 --> 00:00:01,500\nheard 8000.\n\n");
    assert!(ask(&[("response_format", "vtt")]).body.starts_with("WEBVTT\n\n00:00.000 --> "));
    let verbose = ask(&[("response_format", "verbose_json"), ("temperature", "0.5"), ("prompt", "Ada")]).json();
    assert_eq!((&verbose["language"], &verbose["duration"], &verbose["task"]), (&json!("english"), &json!(1.5), &json!("transcribe")));
    assert_eq!(verbose["segments"][1]["text"], " heard 8000 after Ada.");
    assert_eq!(verbose["segments"][1]["temperature"], 0.5);
    assert_eq!(verbose.get("words"), None);
    let words = ask(&[("response_format", "verbose_json"), ("timestamp_granularities[]", "word")]).json();
    assert_eq!(words["words"][1], json!({"word": "heard", "start": 1.0, "end": 1.5}));
    assert_eq!(words.get("segments"), None);
    let both = [("response_format", "verbose_json"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")];
    assert_eq!(ask(&both).json()["segments"][0].get("words"), None);
    // However a client writes the list, and whatever it leaves empty.
    let lists: [&[(&str, &str)]; 6] = [
        &[("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        &[("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
        &[("timestamp_granularities", "word,segment")],
        &[("timestamp_granularities[]", " segment, word ")],
        &[("timestamp_granularities", r#"["word", "segment"]"#)],
        &[("timestamp_granularities[]", r#"["segment"]"#), ("timestamp_granularities[]", "\"word\""), ("timestamp_granularities[]", "")],
    ];
    for list in lists {
        let answer = ask(&[&[("response_format", "verbose_json")], list].concat()).json();
        assert!(answer["words"][1]["word"] == "heard" && answer["segments"][1]["text"] == " heard 8000.", "{list:?}: {answer}");
    }
    let names = ["language", "prompt", "temperature", "response_format", "stream", "timestamp_granularities[]", "include[]", "x"];
    assert_eq!(ask(&names.map(|name| (name, ""))).json(), json!({"text": text, "usage": usage}));
    assert_eq!(ask(&[("timestamp_granularities", "[]"), ("temperature", " ")]).json()["text"], text);
    let translated = service.ask(&post("/v1/audio/translations", &form(&[MODEL], Some(&wav(100)))));
    assert_eq!(translated.json()["text"], "translated 100.");
}

#[test]
fn a_transcript_as_it_grows() {
    let service = Service::start(small(), |_| {});
    let answer = service.ask(&post(TRANSCRIPTIONS, &form(&[MODEL, ("stream", "true")], Some(&wav(24_000)))));
    assert!(answer.head.contains("content-type: text/event-stream"), "{answer:?}");
    let events: Vec<serde_json::Value> =
        answer.body.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
    let delta = |text: &str| json!({"type": "transcript.text.delta", "delta": text});
    let done = json!({"type": "transcript.text.done", "text": "heard 16000. heard 8000."});
    assert_eq!(events, [delta("heard 16000."), delta(" heard 8000."), done]);
    assert!(answer.body.ends_with("\r\n0\r\n\r\n"));
    // HTTP/1.0 knows neither chunks nor `100 Continue`: the connection's end is the answer's.
    let request = post(TRANSCRIPTIONS, &form(&[MODEL, ("stream", "true")], Some(&wav(24_000))));
    let first = request.iter().position(|&byte| byte == b'\n').unwrap();
    let request = [format!("POST {TRANSCRIPTIONS} HTTP/1.0\r\nExpect: 100-continue\r\n").as_bytes(), &request[first + 1..]].concat();
    let old = String::from_utf8(service.say(&request).rest()).unwrap();
    assert!(old.starts_with("HTTP/1.1 200 OK\r\n") && !old.to_ascii_lowercase().contains("chunked"), "{old}");
    let lines = |body: &str| body.lines().filter(|line| line.starts_with("data: ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&old), lines(&answer.body));
    assert_eq!(old.split_once("\r\n\r\n").unwrap().1, lines(&old).iter().map(|line| format!("{line}\n\n")).collect::<String>());
    // An error before the first word is an answer of its own.
    let refused = service.ask(&post(TRANSCRIPTIONS, &form(&[MODEL, ("stream", "true"), ("language", "de")], Some(&wav(10)))));
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[test]
fn chunked_bodies_and_many_requests_on_a_connection() {
    let service = Service::start(small(), |_| {});
    let mut client = service.say(b"");
    let body = form(&[MODEL], Some(&wav(16_000)));
    let mut chunked =
        format!("POST {TRANSCRIPTIONS} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            .into_bytes();
    for chunk in body.chunks(1000) {
        chunked.extend([format!("{:X}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    chunked.extend(b"0\r\n\r\n");
    client.send(&[&chunked[..], b"GET /v1/models HTTP/1.1\r\n\r\n", b"GET /v1/models/fake HTTP/1.0\r\n\r\n"].concat());
    let answer = client.answer();
    let bodies: Vec<&str> = answer.body.split("\r\n").filter(|line| line.contains('{')).collect();
    // Each body runs into the next answer's first line.
    assert_eq!(bodies.len(), 3, "{answer:?}");
    assert!(bodies[0].starts_with(r#"{"text":"heard 16000.""#), "{bodies:?}");
    assert!(bodies[1].starts_with(r#"{"data":[{"created":0,"id":"fake","#), "{bodies:?}");
    assert!(bodies[2].contains(r#""id":"fake""#), "{bodies:?}");
}

#[test]
fn a_recording_may_be_the_body_and_have_no_header() {
    let service = Service::start(small(), |_| {});
    let bare = |kind: &str, body: &[u8]| {
        let length = body.len();
        let head =
            format!("POST {TRANSCRIPTIONS} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    // A second of mu-law at 8 kHz, and half a second with two channels.
    let mulaw = vec![0x80; 8_000];
    let part = String::from_utf8_lossy(&form(&[MODEL], Some(b"!"))).replace("audio/wav", "audio/basic");
    let part: Vec<u8> = part.bytes().flat_map(|byte| if byte == b'!' { mulaw.clone() } else { vec![byte] }).collect();
    for (request, samples) in [
        (bare("audio/wav", &wav(16_000)), 16_000),
        (bare("application/octet-stream", &wav(8_000)), 8_000),
        (bare("audio/basic", &mulaw), 16_000),
        (bare("audio/PCMU; rate=8000; channels=2", &mulaw), 8_000),
        (post(TRANSCRIPTIONS, &part), 16_000),
    ] {
        let answer = service.ask(&request);
        assert_eq!((answer.status, answer.json()["text"].clone()), (200, json!(format!("heard {samples}."))), "{answer:?}");
    }
    assert_eq!(service.ask(&bare("text/plain", b"words")).status, 415);
    assert_eq!(service.ask(&bare("audio/wav", b"words")).status, 415);
}

#[test]
fn what_is_asked_for_the_head_alone_has_no_body() {
    let service = Service::start(small(), |_| {});
    for (path, status) in [("/health", 200), ("/v1/models", 200), ("/v1/models/other", 404), (TRANSCRIPTIONS, 405)] {
        let request = |method: &str| format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n").into_bytes();
        let (head, get) = (service.ask(&request("HEAD")), service.ask(&request("GET")));
        assert_eq!((head.status, head.body.as_str()), (status, ""));
        assert_eq!(head.head, get.head, "{path}");
    }
}

#[test]
fn other_methods_are_told_which_to_use() {
    let service = Service::start(small(), |_| {});
    for (method, path, allow) in
        [("GET", TRANSCRIPTIONS, "post"), ("PUT", "/health", "get, head"), ("DELETE", "/v1/models/fake", "get, head")]
    {
        let answer = service.ask(format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains(&format!("\r\nallow: {allow}\r\n")), "{answer:?}");
    }
}

#[test]
fn pages_of_web_sites_are_refused() {
    let service = Service::start(small(), |_| {});
    let request = post(TRANSCRIPTIONS, &form(&[MODEL], Some(&wav(10))));
    for origin in ["http://evil.example:8000", "null", "http://127.0.0.1:8000"] {
        let from_page = String::from_utf8_lossy(&request).replacen("\r\n", &format!("\r\nOrigin: {origin}\r\n"), 1);
        assert_eq!(service.ask(from_page.as_bytes()).status, 403, "{origin}");
    }
    assert_eq!(service.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(service.ask(&request).status, 200);
}

#[test]
fn errors_have_the_right_status() {
    let service = Service::start(small(), |_| {});
    let file = wav(10);
    let transcribe = |fields: &[(&str, &str)]| post(TRANSCRIPTIONS, &form(fields, Some(&file)));
    let with = |field| transcribe(&[MODEL, field]);
    let of = |file: &[u8]| post(TRANSCRIPTIONS, &form(&[MODEL], Some(file)));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").into_bytes();
    let json = b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let endless =
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999999\r\n\r\n";
    let nan = [&wav(0)[..20], b"\x03\0", &wav(0)[22..34], b"\x20\0data\x08\0\0\0", &[0, 0, 0xc0, 0x7f, 0, 0, 0, 0]].concat();
    let cases: [(u16, Option<&str>, Vec<u8>); 27] = [
        (400, Some("file"), post(TRANSCRIPTIONS, &form(&[MODEL], None))),
        (400, Some("file"), of(&file[..44])),
        (400, Some("file"), of(b"")),
        (400, Some("file"), of(&nan)),
        (400, Some("model"), transcribe(&[])),
        (404, None, transcribe(&[("model", "gpt-4o-transcribe")])),
        (400, None, with(("language", "de"))),
        (400, Some("response_format"), with(("response_format", "diarized_json"))),
        (400, Some("temperature"), with(("temperature", "nan"))),
        (400, Some("temperature"), with(("temperature", "1.5"))),
        (400, Some("timestamp_granularities"), with(("timestamp_granularities[]", "word"))),
        (400, Some("timestamp_granularities"), with(("timestamp_granularities", "words"))),
        (400, Some("timestamp_granularities"), with(("timestamp_granularities", "[1]"))),
        (400, Some("timestamp_granularities"), with(("timestamp_granularities", "word,[segment"))),
        (400, Some("model"), transcribe(&[("model", "")])),
        (400, Some("stream"), with(("stream", "maybe"))),
        (400, Some("include"), with(("include[]", "logprobs"))),
        (413, None, with(("prompt", &"x".repeat(20_000)))),
        (415, Some("file"), of(b"some words")),
        (415, None, json),
        (413, None, endless.to_vec()),
        (413, Some("file"), of(&wav(101 * 16_000))),
        (400, None, post(TRANSCRIPTIONS, b"--b\r\n")),
        (404, None, get("/")),
        (404, None, get("/v1/models/other")),
        (405, None, get(TRANSCRIPTIONS)),
        (405, None, post("/health", b"")),
    ];
    for (status, param, request) in cases {
        let (answer, lead) = (service.ask(&request), String::from_utf8_lossy(&request[..request.len().min(400)]).into_owned());
        assert_eq!(answer.status, status, "{answer:?} to {lead}");
        let error = &answer.json()["error"];
        assert_eq!(error["param"].as_str(), param, "{answer:?} to {lead}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()) && error["type"] == "invalid_request_error");
    }
    service.is_well();
}
