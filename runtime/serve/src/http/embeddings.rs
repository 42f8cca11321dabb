//! OpenAI's interface for embeddings: texts, and images too, to vectors.

use std::io::{self, ErrorKind};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{self, ApiError, JSON, Manner};
use super::head::Head;
use super::{Stream, object, refuse};
use crate::connection::{Liveness, liveness};
use crate::embed::{Embeddings, Input, InputError};
use crate::job_error::JobError;
use crate::service::Service;
use crate::slots::Peer;
use crate::spill::Share;

/// Names under which clients that know only OpenAI's ask for the model that is here.
const MODELS: [&str; 3] = ["text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"];

/// Inputs of one request, at most.
const MAX_INPUTS: usize = 512;
/// Bytes of a request, at most.
const MAX_BYTES: u64 = 32 << 20;

/// A request for vectors, and its share of what the service keeps.
pub(super) struct Request {
    inputs: Vec<Input>,
    base64: bool,
    _share: Share,
}

/// Reads a request.
pub(super) fn take(service: &Service, stream: &mut Stream, head: &Head, peer: Peer) -> Result<Request, ApiError> {
    let Some(Embeddings { name, width, .. }) = &service.embeddings else {
        return Err(ApiError::new(404, "this service makes no embeddings"));
    };
    let mut share = service.budget.share(peer);
    let mut fields = object::read_counted(stream, head, MAX_BYTES.min(service.limits.upload_bytes), &mut share)?;
    let model =
        object::text(&fields, "model")?.ok_or_else(|| ApiError::parameter("model", format_args!("give {name} or {}", MODELS[0])))?;
    if model != name && !MODELS.contains(&model) {
        let message = format!("model {}: makes no embeddings here: give {name} or {}", model.escape_debug(), MODELS[0]);
        return Err(ApiError::new(404, message).code("model_not_found"));
    }
    let base64 = match object::text(&fields, "encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(ApiError::parameter("encoding_format", "give float or base64")),
    };
    match fields.get("dimensions") {
        None | Some(Value::Null) => {}
        Some(value) if value.as_u64() == Some(*width as u64) => {}
        Some(_) => return Err(ApiError::parameter("dimensions", format_args!("this model has {width}"))),
    }
    let inputs = match fields.remove("input") {
        Some(Value::Array(inputs)) => inputs,
        Some(Value::Null) | None => Vec::new(),
        Some(input) => vec![input],
    };
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return Err(ApiError::parameter("input", format_args!("give 1 to {MAX_INPUTS} texts or images")));
    }
    let numbered = |(at, value): (usize, Value)| {
        input(value, service.limits.text_bytes).map_err(|problem| ApiError::parameter("input", format_args!("number {at}: {problem}")))
    };
    Ok(Request { inputs: inputs.into_iter().enumerate().map(numbered).collect::<Result<_, _>>()?, base64, _share: share })
}

/// A text, or an image: a `data:` URL, `{"image": ...}` with such a URL or base64 alone, or `{"type": "image_url", ...}` as chats have it.
fn input(value: Value, most: usize) -> Result<Input, String> {
    let what = "give a text, a data: URL of an image, {\"text\": ...} or {\"image\": ...}; tokens are not taken";
    match value {
        Value::String(text) if text.starts_with("data:") => image(&text),
        Value::String(text) if text.trim().is_empty() => Err("give a text that is not empty".into()),
        Value::String(text) if text.len() > most => Err(format!("the text is longer than {most} bytes: send it in parts")),
        Value::String(text) => Ok(Input::Text(text)),
        Value::Object(mut object) => {
            let url = |object: &Map<String, Value>| object.get("image_url")?.get("url")?.as_str().map(str::to_owned);
            match (object.remove("text"), object.remove("image"), url(&object)) {
                (Some(Value::String(text)), None, None) if !text.starts_with("data:") => input(Value::String(text), most),
                (None, Some(Value::String(bytes)), None) => image(&bytes),
                (None, None, Some(url)) => image(&url),
                _ => Err(what.into()),
            }
        }
        _ => Err(what.into()),
    }
}

/// The bytes of an image in base64, with or without `data:image/...;base64,` before it.
fn image(text: &str) -> Result<Input, String> {
    let bytes = match text.strip_prefix("data:") {
        None if text.contains("://") => return Err("an image is not fetched from elsewhere: send its bytes in base64".into()),
        None => text,
        Some(url) => match url.split_once(',') {
            Some((kind, bytes)) if kind.ends_with(";base64") => bytes,
            _ => return Err("give the image as data:image/...;base64,...".into()),
        },
    };
    BASE64_STANDARD.decode(bytes.trim()).map(Input::Image).map_err(|error| format!("the image is no base64: {error}"))
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Numbers,
    /// Of a long text: what its vector does not tell of.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_left_out: Option<usize>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Plain(Vec<f32>),
    /// Little-endian f32 in base64.
    Coded(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Encodes the inputs and answers with their vectors, or with the first fault.
pub(super) fn answer(service: &Service, stream: &mut Stream, request: Request, peer: Peer, manner: Manner) -> io::Result<bool> {
    let Some(embeddings) = &service.embeddings else { return Err(ErrorKind::Unsupported.into()) };
    let (mut data, mut tokens) = (Vec::with_capacity(request.inputs.len()), 0);
    for (index, input) in request.inputs.into_iter().enumerate() {
        let vector = match embeddings.embed(input, peer, &mut || liveness(stream) == Liveness::Open) {
            Ok(Ok(vector)) => vector,
            Ok(Err(InputError::Embed(error))) => return refuse(service, stream, &ApiError::new(500, error), manner),
            Ok(Err(error)) => {
                let error = ApiError::parameter("input", format_args!("number {index}: {error}"));
                return refuse(service, stream, &error, manner);
            }
            Err(JobError::Gone) => return Err(ErrorKind::ConnectionAborted.into()),
            Err(error) => return refuse(service, stream, &error.into(), manner),
        };
        tokens += vector.tokens;
        let embedding = match request.base64 {
            true => Numbers::Coded(BASE64_STANDARD.encode(vector.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())),
            false => Numbers::Plain(vector.values),
        };
        let tokens_left_out = Some(vector.left_out).filter(|&left_out| left_out > 0);
        data.push(Item { object: "embedding", index, embedding, tokens_left_out });
    }
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let list = List { object: "list", data, model: &embeddings.name, usage };
    let body = serde_json::to_string(&list)?;
    let connection = stream.get_mut();
    connection.within(Some(service.limits.transfer));
    answer::whole(connection, JSON, &body, manner).map(|()| manner.keep_alive)
}
