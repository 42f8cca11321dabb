//! The head of a request: RFC 9112, parsed by httparse.

use std::io::{self, BufRead, Read};

use httparse::{EMPTY_HEADER, Status};

/// Most bytes of a head.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most fields of a head.
const MAX_FIELDS: usize = 64;

/// What a body is delimited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
}

/// What of a request's head matters here.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) content_type: Option<String>,
    pub(super) length: Length,
    /// The site whose page makes the request, as browsers say it; programs have none.
    pub(super) origin: Option<String>,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether it may send another request.
    pub(super) keep_alive: bool,
    /// Whether the answer may come in chunks, which HTTP/1.0 does not know (RFC 9112, section 6.1).
    pub(super) takes_chunks: bool,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum HeadError {
    /// Nothing, or nothing more, can be read.
    Io(io::Error),
    /// It is longer, or has more fields, than is taken.
    TooLarge,
    /// It breaks a rule.
    Bad(&'static str),
}

/// Reads a head; `None` where the connection ends before one begins.
pub(super) fn read(reader: &mut impl BufRead) -> Result<Option<Head>, HeadError> {
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        let most = (MAX_HEAD_BYTES + 1).saturating_sub(start) as u64;
        reader.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(HeadError::Io)?;
        match &bytes[start..] {
            [] if start == 0 => return Ok(None),
            [] => return Err(HeadError::Bad("the request ends within its head")),
            _ if bytes.len() > MAX_HEAD_BYTES => return Err(HeadError::TooLarge),
            // Empty lines before a request are allowed; httparse passes over them.
            b"\r\n" | b"\n" if bytes.iter().any(|&byte| byte != b'\r' && byte != b'\n') => return parse(&bytes).map(Some),
            _ => {}
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Head, HeadError> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(HeadError::Bad("the request's head is incomplete")),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Bad("the request is not HTTP/1.1")),
    }
    let field = |name: &'static str| {
        let mut values = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        let value = values.next().map(|field| str::from_utf8(field.value).map(str::trim));
        match (value, values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(value)), None) => Ok(Some(value)),
            _ => Err(HeadError::Bad("a field is there twice or is not text")),
        }
    };
    // Others are refused by httparse.
    let is_1_0 = request.version == Some(0);
    let length = match (field("transfer-encoding")?, field("content-length")?) {
        // Two answers to one question are how requests are smuggled.
        (Some(_), Some(_)) => return Err(HeadError::Bad("both content-length and transfer-encoding")),
        (Some(encoding), None) if encoding.eq_ignore_ascii_case("chunked") && !is_1_0 => Length::Chunked,
        (Some(_), None) => return Err(HeadError::Bad("transfer-encoding: only chunked is known here")),
        (None, Some(digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Length::Bytes(digits.parse().map_err(|_| HeadError::Bad("content-length is beyond all bounds"))?)
        }
        (None, Some(_)) => return Err(HeadError::Bad("content-length is not a number")),
        (None, None) => Length::Bytes(0),
    };
    let connection = field("connection")?.unwrap_or("").to_ascii_lowercase();
    let says = |word: &str| connection.split(',').any(|option| option.trim() == word);
    Ok(Head {
        method: request.method.unwrap_or("").to_owned(),
        path: request.path.unwrap_or("").split('?').next().unwrap_or("").to_owned(),
        content_type: field("content-type")?.map(str::to_owned),
        length,
        origin: field("origin")?.map(str::to_owned),
        // Of an HTTP/1.0 client it means nothing (RFC 9110, section 10.1.1).
        expects_continue: !is_1_0 && field("expect")?.is_some_and(|value| value.eq_ignore_ascii_case("100-continue")),
        keep_alive: !is_1_0 && !says("close"),
        takes_chunks: !is_1_0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<Head>, HeadError> {
        read(&mut text.as_bytes())
    }

    #[test]
    fn what_matters_of_a_head() {
        let head =
            head("\r\nPOST /v1/x?y=1 HTTP/1.1\r\nContent-Length: 12\r\nExpect: 100-Continue\r\nConnection: Keep-Alive, Close\r\n\r\nbody");
        let head = head.unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), head.length), ("POST", "/v1/x", Length::Bytes(12)));
        assert!(head.expects_continue && !head.keep_alive);
        let chunked = self::head("GET / HTTP/1.1\nTransfer-Encoding: Chunked\n\n").unwrap().unwrap();
        assert_eq!((chunked.length, chunked.keep_alive), (Length::Chunked, true));
        assert!(chunked.takes_chunks);
        let old = self::head("GET / HTTP/1.0\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n").unwrap().unwrap();
        assert!(!old.keep_alive && !old.expects_continue && !old.takes_chunks);
        assert!(self::head("").unwrap().is_none());
    }

    #[test]
    fn ambiguous_and_broken_heads_are_refused() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "No colon\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            assert!(matches!(head(&text), Err(HeadError::Bad(_))), "{fields}");
        }
        for text in ["GET / HTTP/1.1\r\nHost: x", "\0\0\0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
            assert!(matches!(head(text), Err(HeadError::Bad(_))), "{text}");
        }
    }

    #[test]
    fn a_head_has_bounds() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
        let blank = "\r\n".repeat(MAX_HEAD_BYTES);
        for text in [long, many, blank] {
            assert!(matches!(head(&text), Err(HeadError::TooLarge)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&mut &bytes[..]);
            let _ = read(&mut &[b"GET / HTTP/1.1\r\n", &bytes[..], b"\r\n\r\n"].concat()[..]);
        }
    }
}
