//! Events, from and to bytes.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Most bytes of an event's first line.
pub const MAX_HEADER_BYTES: usize = 16 << 10;
/// Most bytes of an event's data.
pub const MAX_DATA_BYTES: usize = 64 << 10;
/// Most bytes of an event's payload: half a minute of 16 kHz speech.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// The protocol's version that this is written from.
const VERSION: &str = "1.10.2";

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// What happened or is wanted, such as `audio-chunk`.
    pub kind: String,
    /// What is known about it.
    pub data: Map<String, Value>,
    /// Samples, for example.
    pub payload: Vec<u8>,
}

/// Why bytes are no event.
#[derive(Debug)]
pub enum EventError {
    /// The bytes could not be read.
    Io(io::Error),
    /// They end within an event.
    Truncated,
    /// A part is longer than is taken.
    TooLong {
        /// Which part.
        part: &'static str,
        /// Most bytes of it.
        most: usize,
    },
    /// A part is not the JSON it should be.
    Json {
        /// Which part.
        part: &'static str,
        /// Where and why.
        error: serde_json::Error,
    },
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Truncated => f.write_str("the connection ended within an event"),
            Self::TooLong { part, most } => write!(f, "{part}: longer than {most} bytes"),
            Self::Json { part, error } => write!(f, "{part}: {error}: give a JSON object"),
        }
    }
}

impl std::error::Error for EventError {}

impl From<io::Error> for EventError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An event's first line.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    kind: String,
    data: Option<Map<String, Value>>,
    data_length: Option<usize>,
    payload_length: Option<usize>,
}

impl Event {
    /// An event without payload. `data` should be an object; anything else counts as none.
    pub fn new(kind: &str, data: Value) -> Self {
        let data = if let Value::Object(data) = data { data } else { Map::new() };
        Self { kind: kind.into(), data, payload: Vec::new() }
    }

    /// Reads an event; `None` where the bytes end before one begins.
    ///
    /// # Errors
    /// If the bytes are no event, or a part of it is longer than is taken here.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>, EventError> {
        const LINE: &str = "an event's first line";
        let mut line = Vec::new();
        reader.take(MAX_HEADER_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
        match line.last() {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(_) if line.len() > MAX_HEADER_BYTES => return Err(EventError::TooLong { part: LINE, most: MAX_HEADER_BYTES }),
            Some(_) => return Err(EventError::Truncated),
        }
        let header: Header = serde_json::from_slice(&line).map_err(|error| EventError::Json { part: LINE, error })?;
        let mut data = header.data.unwrap_or_default();
        let more = read_part(reader, header.data_length, "an event's data", MAX_DATA_BYTES)?;
        if !more.is_empty() {
            let more: Map<String, Value> =
                serde_json::from_slice(&more).map_err(|error| EventError::Json { part: "an event's data", error })?;
            data.extend(more);
        }
        let payload = read_part(reader, header.payload_length, "an event's payload", MAX_PAYLOAD_BYTES)?;
        Ok(Some(Self { kind: header.kind, data, payload }))
    }

    /// The event as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data = if self.data.is_empty() { String::new() } else { Value::Object(self.data.clone()).to_string() };
        let mut header = serde_json::json!({"type": self.kind, "version": VERSION});
        for (name, length) in [("data_length", data.len()), ("payload_length", self.payload.len())] {
            if length > 0 {
                header[name] = length.into();
            }
        }
        let mut bytes = header.to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(data.as_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Writes the event at once.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.to_bytes())?;
        out.flush()
    }

    /// A text in the data.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key)?.as_str()
    }
}

/// Reads `length` bytes; memory grows with what comes, not with what is announced.
fn read_part(reader: &mut impl BufRead, length: Option<usize>, part: &'static str, most: usize) -> Result<Vec<u8>, EventError> {
    let length = length.unwrap_or(0);
    if length > most {
        return Err(EventError::TooLong { part, most });
    }
    let mut bytes = Vec::new();
    reader.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(EventError::Truncated) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Event>, EventError> {
        Event::read(&mut &*bytes)
    }

    #[test]
    fn data_of_line_and_tail_are_merged() {
        let bytes = b"{\"type\": \"x\", \"data\": {\"a\": 1, \"b\": 1}, \"data_length\": 8, \"payload_length\": 3}\n{\"b\": 2}pcm";
        let event = read(bytes).unwrap().unwrap();
        assert_eq!(event, Event { payload: b"pcm".into(), ..Event::new("x", json!({"a": 1, "b": 2})) });
    }

    #[test]
    fn null_is_nothing() {
        let event = read(b"{\"type\": \"ping\", \"data\": null, \"data_length\": null, \"payload_length\": 0}\n").unwrap();
        assert_eq!(event, Some(Event::new("ping", json!({}))));
        assert!(read(b"").unwrap().is_none());
    }

    #[test]
    fn what_is_no_event() {
        let deep = format!("{{\"type\": \"x\", \"data\": {}", "{\"a\":".repeat(2000));
        let bad: [&[u8]; 9] = [
            b"\n",
            b"{}\n",
            b"[]\n",
            b"{\"type\": 1}\n",
            b"{\"type\": \"x\", \"payload_length\": -1}\n",
            b"{\"type\": \"x\", \"data_length\": 2}\n[]",
            b"{\"type\": \"x\", \"data\": []}\n",
            b"\xff\xfe\n",
            &[deep.as_bytes(), b"\n"].concat(),
        ];
        for bytes in bad {
            assert!(matches!(read(bytes), Err(EventError::Json { .. })), "{:?}", String::from_utf8_lossy(bytes));
        }
        for cut in [&b"{\"type\""[..], b"{\"type\": \"x\", \"payload_length\": 4}\npcm"] {
            assert!(matches!(read(cut), Err(EventError::Truncated)));
        }
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_read() {
        for (line, most) in [("data_length", MAX_DATA_BYTES), ("payload_length", MAX_PAYLOAD_BYTES)] {
            for length in [most + 1, usize::MAX] {
                let bytes = format!("{{\"type\": \"x\", \"{line}\": {length}}}\n");
                assert!(matches!(read(bytes.as_bytes()), Err(EventError::TooLong { most: m, .. }) if m == most));
            }
        }
        let endless = vec![b' '; 10 * MAX_HEADER_BYTES];
        let mut rest = &endless[..];
        assert!(matches!(Event::read(&mut rest), Err(EventError::TooLong { most: MAX_HEADER_BYTES, .. })));
        assert_eq!(endless.len() - rest.len(), MAX_HEADER_BYTES + 1);
    }

    proptest! {
        #[test]
        fn bytes_and_back(kind in "[a-z-]{1,12}", texts in proptest::collection::btree_map(".{0,8}", ".{0,40}", 0..4), payload: Vec<u8>) {
            let event = Event { payload, ..Event::new(&kind, json!(texts)) };
            let bytes = event.to_bytes();
            let mut rest = &bytes[..];
            prop_assert_eq!(Event::read(&mut rest).unwrap(), Some(event));
            prop_assert!(rest.is_empty());
            for cut in 1..bytes.len() {
                prop_assert!(read(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = Event::read(&mut rest) {}
        }
    }
}
