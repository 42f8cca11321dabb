//! Requests whose body is a JSON object.

use std::io::{self, ErrorKind, Read, Write};

use serde_json::{Map, Value};

use super::Stream;
use super::answer::ApiError;
use super::body::Body;
use super::head::{Head, Length};
use crate::spill::{Share, SpillError};

/// Bytes of a body that are counted at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// Reads a body of up to `most` bytes, which is small.
pub(super) fn read(stream: &mut Stream, head: &Head, most: u64) -> Result<Map<String, Value>, ApiError> {
    parse(&receive(stream, head, most, &mut |_| true)?)
}

/// Reads a body of up to `most` bytes that count as what the service keeps: what was read, and what is made of it.
pub(super) fn read_counted(stream: &mut Stream, head: &Head, most: u64, share: &mut Share) -> Result<Map<String, Value>, ApiError> {
    parse(&receive(stream, head, most, &mut |bytes| share.grow(2 * bytes))?)
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::new(400, format_args!("the body: {error}: give a JSON object")))
}

fn receive(stream: &mut Stream, head: &Head, most: u64, keep: &mut dyn FnMut(u64) -> bool) -> Result<Vec<u8>, ApiError> {
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
    let (mut bytes, mut body) = (Vec::new(), Body::new(stream, head.length, most));
    loop {
        let read: io::Result<usize> = (&mut body).take(BLOCK_BYTES as u64).read_to_end(&mut bytes);
        let read = read.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => ApiError::new(408, "the request took too long to arrive"),
            ErrorKind::FileTooLarge => too_large(),
            _ => ApiError::new(400, error),
        })?;
        if read == 0 {
            return Ok(bytes);
        }
        if !keep(read as u64) {
            return Err(SpillError::Full.into());
        }
    }
}

/// A text in a request: nothing where it is absent, null or empty.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(ApiError::parameter(name, "give a text")),
    }
}
