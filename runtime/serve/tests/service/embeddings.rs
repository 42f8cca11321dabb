//! Vectors of texts and images, by a model that needs no weights.

use ossicle_serve::{Embedder, Input, InputError, Limits, Vector};
use serde_json::{Value, json};

use crate::client::{Answer, Service, small};

/// The number of bytes, and whether it is an image.
struct Lengths;

impl Embedder for Lengths {
    fn width(&self) -> usize {
        2
    }

    fn embed(&mut self, input: &Input) -> Result<Vector, InputError> {
        match input {
            Input::Text(text) if text == "images only" => Err(InputError::Kind("texts")),
            Input::Text(text) => Ok(Vector { values: vec![text.len() as f32 + 0.1, 0.0], tokens: 3, left_out: text.len() / 100 }),
            Input::Image(bytes) if bytes.is_empty() => Err(InputError::Image("it is empty".into())),
            Input::Image(bytes) => Ok(Vector { values: vec![bytes.len() as f32, 1.0], tokens: 0, left_out: 0 }),
        }
    }
}

fn service() -> Service {
    Service::start(Limits { text_bytes: 200, ..small() }, |server| server.embed("lengths".into(), Box::new(Lengths)))
}

fn send(service: &Service, body: &str) -> Answer {
    let length = body.len();
    let head = "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
    service.ask(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}

fn ask(service: &Service, input: Value, more: Value) -> Answer {
    let mut body = json!({"model": "lengths", "input": input});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    send(service, &body.to_string())
}

#[test]
fn texts_and_images_become_vectors_in_their_order() {
    let service = service();
    let answer = ask(&service, json!("a dog"), json!({}));
    assert_eq!(answer.status, 200);
    let item = json!({"object": "embedding", "index": 0, "embedding": [5.1, 0.0]});
    let expected = json!({"object": "list", "data": [item], "model": "lengths", "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    assert_eq!(answer.json(), expected);
    let images = ["data:image/png;base64,AAAA", "data:;base64,AAAAAA=="];
    let inputs = json!([
        "ab", images[0], {"text": "abc"}, {"image": images[1]}, {"image": "AAA="}, {"type": "image_url", "image_url": {"url": images[0]}}, "é"
    ]);
    let answer = ask(&service, inputs, json!({"encoding_format": "float", "dimensions": 2})).json();
    let vectors: Vec<&Value> = answer["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
    let expected = [
        json!([2.1, 0.0]),
        json!([3.0, 1.0]),
        json!([3.1, 0.0]),
        json!([4.0, 1.0]),
        json!([2.0, 1.0]),
        json!([3.0, 1.0]),
        json!([2.1, 0.0]),
    ];
    assert_eq!(vectors, expected.iter().collect::<Vec<_>>());
    assert_eq!(answer["data"][6]["index"], 6);
    let coded = ask(&service, json!(["a"]), json!({"encoding_format": "base64"})).json();
    // 1.1 and 0 in f32.
    assert_eq!(coded["data"][0]["embedding"], "zcyMPwAAAAA=");
    let long = ask(&service, json!("x".repeat(200)), json!({"model": "text-embedding-3-small", "user": "me"})).json();
    assert_eq!(long["data"][0]["tokens_left_out"], 2);
    let models = service.ask(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").json();
    assert_eq!(models["data"][1]["id"], "lengths");
}

#[test]
fn what_has_no_vector_is_one_error() {
    let service = service();
    let good = json!("x");
    let cases = [
        (404, ask(&service, good.clone(), json!({"model": "tts-1"}))),
        (400, ask(&service, good.clone(), json!({"model": 7}))),
        (400, ask(&service, good.clone(), json!({"encoding_format": "int8"}))),
        (400, ask(&service, good.clone(), json!({"dimensions": 3}))),
        (400, ask(&service, json!(null), json!({}))),
        (400, ask(&service, json!([]), json!({}))),
        (400, ask(&service, json!(""), json!({}))),
        (400, ask(&service, json!(["x", " \n"]), json!({}))),
        (400, ask(&service, json!([1, 2, 3]), json!({}))),
        (400, ask(&service, json!([[1, 2], [3]]), json!({}))),
        (400, ask(&service, json!({"text": 1}), json!({}))),
        (400, ask(&service, json!({"text": "a", "image": "AAAA"}), json!({}))),
        (400, ask(&service, json!("x".repeat(201)), json!({}))),
        (400, ask(&service, json!("x".repeat(100_000)), json!({}))),
        (400, ask(&service, json!(vec!["x"; 513]), json!({}))),
        (400, ask(&service, json!("data:image/png;base64,???"), json!({}))),
        (400, ask(&service, json!("data:image/png,abc"), json!({}))),
        (400, ask(&service, json!({"image": "https://example.org/a.png"}), json!({}))),
        (400, ask(&service, json!({"image": ""}), json!({}))),
        (400, ask(&service, json!("images only"), json!({}))),
        (413, ask(&service, json!("x".repeat(4_100_000)), json!({}))),
        (400, send(&service, "{\"model\": \"lengths\", \"input\": \"\\ud800\"}")),
        (400, send(&service, "{")),
        (400, send(&service, &"[".repeat(100_000))),
    ];
    for (number, (status, answer)) in cases.iter().enumerate() {
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == *status && !message.contains('\n') && message.len() < 300, "{number}: {} {message}", answer.status);
    }
    assert_eq!(service.ask(b"GET /v1/embeddings HTTP/1.1\r\nConnection: close\r\n\r\n").status, 405);
    service.is_well();
    let without = Service::start(small(), |_| {});
    assert_eq!(send(&without, "{}").status, 404);
}
