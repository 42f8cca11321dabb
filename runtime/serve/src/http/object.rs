//! Requests whose body is a JSON object.

use std::io::{self, ErrorKind, Read, Write};

use serde_json::{Map, Value};

use super::Stream;
use super::answer::ApiError;
use super::body::Body;
use super::head::{Head, Length};

/// Reads a body of up to `most` bytes.
pub(super) fn read(stream: &mut Stream, head: &Head, most: u64) -> Result<Map<String, Value>, ApiError> {
    let content_type = head.content_type.as_deref().unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(415, "content-type: give application/json"));
    }
    let too_large = || ApiError::new(413, format_args!("the request is larger than {most} bytes"));
    if matches!(head.length, Length::Bytes(bytes) if bytes > most) {
        return Err(too_large());
    }
    if head.expects_continue {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|error| ApiError::new(400, error))?;
    }
    let mut bytes = Vec::new();
    let read: io::Result<usize> = Body::new(stream, head.length, most).read_to_end(&mut bytes);
    read.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => ApiError::new(408, "the request took too long to arrive"),
        ErrorKind::FileTooLarge => too_large(),
        _ => ApiError::new(400, error),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::new(400, format_args!("the body: {error}: give a JSON object")))
}

/// A text in a request: nothing where it is absent, null or empty.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(ApiError::parameter(name, "give a text")),
    }
}
