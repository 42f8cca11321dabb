//! Forms as `multipart/form-data` (RFC 7578), part by part as they arrive.

use std::fmt;
use std::io::{self, Read};

use httparse::{EMPTY_HEADER, Status};
use memchr::memmem::Finder;

/// Bytes taken from the body at a time.
const BLOCK_BYTES: usize = 16 << 10;
/// Most bytes of a part's head.
const MAX_HEAD_BYTES: usize = 4 << 10;
/// Most fields of a part's head.
const MAX_FIELDS: usize = 16;
/// Most parts of a form.
const MAX_PARTS: usize = 64;
/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY_BYTES: usize = 70;

/// Why bytes are no form.
#[derive(Debug)]
pub(super) enum FormError {
    Io(io::Error),
    /// A rule that is broken.
    Bad(&'static str),
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Bad(reason) => f.write_str(reason),
        }
    }
}

/// The boundary named in a content type; `None` if it is another type or names none.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()).then_some(boundary)
}

/// The value of a parameter among `; name=value` or `; name="value"`, where a quoted value may hold semicolons.
fn parameter<'a>(mut parameters: &'a str, name: &str) -> Option<&'a str> {
    loop {
        let (key, rest) = parameters.split_once('=')?;
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(';').unwrap_or(rest.len())),
        };
        if key.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
            return Some(value.trim_end());
        }
        parameters = rest;
    }
}

/// A form that is being read.
pub(super) struct Form<R> {
    body: R,
    /// What ends a part: line end, two dashes, boundary.
    end: Finder<'static>,
    buffer: Vec<u8>,
    /// Bytes of the buffer already handed out.
    taken: usize,
    parts: usize,
    content_type: Option<String>,
}

impl<R: Read> Form<R> {
    /// A form whose parts `boundary` divides.
    pub(super) fn new(body: R, boundary: &str) -> Self {
        let end = Finder::new(&format!("\r\n--{boundary}")).into_owned();
        // So that the first boundary is like the others.
        Self { body, end, buffer: b"\r\n".to_vec(), taken: 0, parts: 0, content_type: None }
    }

    /// Goes to the next part, over what is left of this one, and gives its name; `None` at the end of the form.
    pub(super) fn next(&mut self) -> Result<Option<String>, FormError> {
        while self.data()?.is_some() {}
        self.taken += self.end.needle().len();
        while self.rest().len() < 2 {
            self.fill()?;
        }
        match self.rest() {
            [b'-', b'-', ..] => return Ok(None),
            [b'\r', b'\n', ..] => self.taken += 2,
            _ => return Err(FormError::Bad("a boundary does not end its line")),
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(FormError::Bad("too many parts"));
        }
        self.head().map(Some)
    }

    /// The next bytes of the part; `None` at its end.
    pub(super) fn data(&mut self) -> Result<Option<&[u8]>, FormError> {
        loop {
            let len = match self.end.find(self.rest()) {
                Some(0) => return Ok(None),
                Some(at) => at,
                // All but what may be the beginning of a boundary.
                None => (self.rest().len() + 1).saturating_sub(self.end.needle().len()),
            };
            if len > 0 {
                let start = self.taken;
                self.taken += len;
                return Ok(Some(&self.buffer[start..start + len]));
            }
            self.fill()?;
        }
    }

    /// A part's fields: its name is what matters.
    fn head(&mut self) -> Result<String, FormError> {
        let rest = loop {
            let rest = self.rest();
            if memchr::memmem::find(rest, b"\r\n\r\n").is_some() || rest.starts_with(b"\r\n") {
                break rest;
            }
            if rest.len() > MAX_HEAD_BYTES {
                return Err(FormError::Bad("a part's head is too long"));
            }
            self.fill()?;
        };
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let (len, fields) = match httparse::parse_headers(rest, &mut fields) {
            Ok(Status::Complete(parsed)) => parsed,
            _ => return Err(FormError::Bad("a part's head is malformed")),
        };
        let disposition = fields.iter().find(|field| field.name.eq_ignore_ascii_case("content-disposition"));
        let disposition = disposition.and_then(|field| str::from_utf8(field.value).ok()).and_then(|value| value.split_once(';'));
        let name = disposition.and_then(|(_, parameters)| parameter(parameters, "name"));
        let name = name.ok_or(FormError::Bad("a part has no name"))?.to_owned();
        let content_type = fields.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"));
        self.content_type = content_type.and_then(|field| str::from_utf8(field.value).ok()).map(str::to_owned);
        self.taken += len;
        Ok(name)
    }

    /// What the part says that it is.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Takes in more of the body.
    fn fill(&mut self) -> Result<(), FormError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + BLOCK_BYTES, 0);
        let read = loop {
            match self.body.read(&mut self.buffer[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(len + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(FormError::Bad("the form ends before its last boundary")),
            Ok(_) => Ok(()),
            Err(error) => Err(FormError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn parts(bytes: &[u8], step: usize) -> Result<Vec<(String, Vec<u8>)>, FormError> {
        let mut form = Form::new(Drip(bytes, step), "bound");
        let mut parts = Vec::new();
        while let Some(name) = form.next()? {
            let mut data = Vec::new();
            while let Some(more) = form.data()? {
                data.extend_from_slice(more);
            }
            parts.push((name, data));
        }
        Ok(parts)
    }

    fn write(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = b"a preamble\r\n".to_vec();
        for (name, data) in parts {
            bytes.extend(format!("--bound\r\nContent-Disposition: form-data; filename=\"a; name=x.wav\"; name=\"{name}\"\r\n\r\n").bytes());
            bytes.extend([data, &b"\r\n"[..]].concat());
        }
        bytes.extend(b"--bound--\r\nan epilogue");
        bytes
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data;charset=x; Boundary=\"a b;c\""), Some("a b;c"));
        let long = format!("multipart/form-data; boundary={}", "x".repeat(MAX_BOUNDARY_BYTES + 1));
        for bad in ["multipart/form-data", "multipart/mixed; boundary=a", "application/json", "multipart/form-data; boundary=", &long] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_form() {
        let head = "--bound\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        let long = format!("--bound\r\nX: {}", "x".repeat(2 * MAX_HEAD_BYTES));
        let many = head.repeat(MAX_PARTS + 1).replace("--bound", "\r\n--bound");
        for bytes in ["", "--bound", "--bound-x", head, "--bound\r\n\r\nx\r\n--bound--", "--bound\r\nX: y\r\n\r\n", &long, &many] {
            assert!(matches!(parts(bytes.as_bytes(), 1000), Err(FormError::Bad(_))), "{bytes:?}");
        }
        assert!(parts(b"--bound--", 1).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn parts_come_back_however_they_arrive(
            parts in proptest::collection::vec(("[a-z_\\[\\]]{1,9}", proptest::collection::vec(proptest::sample::select(b"\r\n-boundx\0".to_vec()), 0..60)), 0..5),
            step in 1usize..40,
        ) {
            let clash = parts.iter().any(|(_, data)| memchr::memmem::find(&[b"\r\n", &data[..]].concat(), b"\r\n--bound").is_some());
            prop_assume!(!clash);
            prop_assert_eq!(super::tests::parts(&write(&parts), step).unwrap(), parts);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, step in 1usize..40) {
            let _ = parts(&bytes, step);
            let _ = parts(&[b"--bound\r\n", &bytes[..]].concat(), step);
        }
    }
}
