//! What Wyoming clients see.

use crate::client::{Service, TRANSCRIPTIONS, form, post, small, wav};
use ossicle_serve::Limits;
use ossicle_serve::wyoming::event::Event;
use serde_json::json;

#[test]
fn describes_itself() {
    let service = Service::with_lights();
    let mut client = service.client();
    client.write(&Event::new("describe", json!({})));
    let info = client.event().unwrap();
    assert_eq!(info.kind, "info");
    let asr = &info.data["asr"][0];
    assert_eq!((&asr["models"][0]["name"], &asr["models"][0]["languages"]), (&json!("fake"), &json!(["en"])));
    assert_eq!((&asr["supports_transcript_streaming"], &asr["requires_external_vad"]), (&json!(false), &json!(true)));
    assert_eq!(info.data["intent"][0]["models"][0]["languages"], json!(["en"]));
    assert_eq!(info.data["tts"], json!([]));
}

#[test]
fn one_connection_many_requests() {
    let service = Service::start(small(), |_| {});
    let mut client = service.client();
    for samples in [16_000, 1, 40_000] {
        client.write(&Event::new("transcribe", json!({"language": "en"})));
        client.record(samples);
        let expected = match samples {
            40_000 => "heard 16000. heard 16000. heard 8000.".into(),
            samples => format!("heard {samples}."),
        };
        assert_eq!(client.transcript(), expected);
        client.write(&Event::new("ping", json!({})));
        assert_eq!(client.event().unwrap(), Event::new("pong", json!({"text": null})));
    }
    // Unknown events are passed over; without audio nothing was said; a chunk may come without a start.
    client.write(&Event::new("run-pipeline", json!({"start_stage": "asr"})));
    client.audio("audio-start", &[]);
    client.audio("audio-stop", &[]);
    assert_eq!(client.transcript(), "");
    client.audio("audio-chunk", &[0; 20]);
    client.audio("audio-stop", &[]);
    assert_eq!(client.transcript(), "heard 10.");
}

#[test]
fn streams_when_told_to() {
    let service = Service::start(small(), |server| server.stream_transcripts(true));
    let mut client = service.client();
    client.record(32_000);
    let events: Vec<(String, Option<String>)> =
        (0..5).map(|_| client.event().unwrap()).map(|event| (event.kind.clone(), event.text("text").map(str::to_owned))).collect();
    let text = |kind: &str, text: &str| (kind.to_owned(), Some(text.to_owned()));
    let expected = [
        ("transcript-start".into(), None),
        text("transcript-chunk", "heard 16000."),
        text("transcript-chunk", " heard 16000."),
        text("transcript", "heard 16000. heard 16000."),
        ("transcript-stop".into(), None),
    ];
    assert_eq!(events, expected);
}

#[test]
fn options_of_a_request_end_with_it() {
    let service = Service::start(small(), |_| {});
    let mut client = service.client();
    let names = json!({"name": "fake", "language": "en-GB", "transcript_terms": ["kitchen"], "transcript_names": ["Ada", 7]});
    client.write(&Event::new("transcribe", names));
    client.record(100);
    assert_eq!(client.transcript(), "heard 100 after kitchen, Ada.");
    client.record(100);
    assert_eq!(client.transcript(), "heard 100.");
}

#[test]
fn commands_in_text() {
    let service = Service::with_lights();
    for kind in ["recognize", "transcript"] {
        let mut client = service.client();
        client.write(&Event::new(kind, json!({"text": "lights off in the kitchen", "context": {"id": 1}})));
        let intent = client.event().unwrap();
        assert_eq!(intent.kind, "intent");
        let entities = json!([{"name": "area", "value": "kitchen"}]);
        assert_eq!(json!(intent.data), json!({"name": "HassTurnOff", "entities": entities, "context": {"id": 1}}));
        client.write(&Event::new(kind, json!({"text": "good morning"})));
        assert_eq!(client.event().unwrap(), Event::new("not-recognized", json!({})));
    }
    // Only who speaks to an assistant gives commands.
    let mut client = service.client();
    client.record(5);
    assert_eq!(client.transcript(), "lights off in the kitchen");
    let answer = service.ask(&post(TRANSCRIPTIONS, &form(&[("model", "fake")], Some(&wav(5)))));
    assert_eq!(answer.json()["text"], "heard 5.");
    let service = Service::start(small(), |_| {});
    let mut client = service.client();
    client.write(&Event::new("recognize", json!({"text": "lights off in the kitchen"})));
    assert_eq!(client.refusal(), "no-sentences");
}

#[test]
fn what_cannot_be_done_is_said() {
    let service = Service::start(Limits { audio_seconds: 1, ..small() }, |_| {});
    let audio = |rate: i64, width: i64| Event::new("audio-start", json!({"rate": rate, "width": width, "channels": 1}));
    let cases: [(&str, Vec<Event>); 6] = [
        ("no-such-model", vec![Event::new("transcribe", json!({"name": "whisper-large"}))]),
        ("bad-audio", vec![audio(1, 2)]),
        ("bad-audio", vec![audio(16_000, -1)]),
        (
            "bad-audio",
            vec![
                audio(16_000, 2),
                Event { payload: vec![0; 3], ..Event::new("audio-chunk", audio(16_000, 2).data.into()) },
                Event::new("audio-stop", json!({})),
            ],
        ),
        ("bad-audio", vec![audio(16_000, 2), Event::new("audio-chunk", audio(48_000, 2).data.into())]),
        ("bad-request", {
            let chunk = Event { payload: vec![0; 2], ..Event::new("audio-chunk", audio(16_000, 2).data.into()) };
            vec![Event::new("transcribe", json!({"language": "German"})), chunk, Event::new("audio-stop", json!({}))]
        }),
    ];
    for (code, events) in cases {
        let mut client = service.client();
        events.iter().for_each(|event| client.write(event));
        assert_eq!(client.refusal(), code, "{events:?}");
    }
    let mut client = service.client();
    client.record(16_001);
    assert_eq!(client.refusal(), "too-long");
    service.is_well();
}

#[test]
fn a_client_that_says_no_more_still_gets_its_transcript() {
    let service = Service::start(small(), |_| {});
    service.close();
    let mut client = service.client();
    client.record(100);
    client.half_close();
    service.wait_begun(1);
    service.open();
    assert_eq!(client.transcript(), "heard 100.");
    assert!(client.event().is_none());
}
