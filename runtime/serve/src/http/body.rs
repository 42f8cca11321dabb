//! The body of a request, as long as its head says or in chunks.

use std::io::{self, BufRead, ErrorKind, Read};

use super::head::Length;

/// Most bytes of the line before a chunk, and of everything behind the last one.
const MAX_LINE_BYTES: u64 = 4 << 10;

/// Reads one request's body and not a byte beyond it.
pub(super) struct Body<'a, R> {
    reader: &'a mut R,
    /// Bytes left of the body or the chunk.
    left: u64,
    chunked: bool,
    ended: bool,
    /// Whether a chunk's line end is still to be read.
    line_end: bool,
    /// Bytes that may still come.
    allowed: u64,
}

impl<'a, R: BufRead> Body<'a, R> {
    /// A body of up to `most` bytes; what is longer ends in [`ErrorKind::FileTooLarge`].
    pub(super) fn new(reader: &'a mut R, length: Length, most: u64) -> Self {
        let (left, chunked) = match length {
            Length::Bytes(bytes) => (bytes, false),
            Length::Chunked => (0, true),
        };
        Self { reader, left, chunked, ended: !chunked && left == 0, line_end: false, allowed: most }
    }

    /// Whether all of it has been read.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') { Ok(line) } else { Err(broken("a chunk's line is cut or too long")) }
    }

    /// Goes to the next chunk, or past the trailer to the end.
    fn advance(&mut self) -> io::Result<()> {
        if self.line_end && self.line()? != b"\r\n" {
            return Err(broken("a chunk is longer than it says"));
        }
        self.line_end = true;
        let line = self.line()?;
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
            return Err(broken("a chunk's length is not a number"));
        };
        self.left = size;
        if size == 0 {
            let mut trailer = 0;
            loop {
                let line = self.line()?;
                trailer += line.len() as u64;
                match &line[..] {
                    b"\r\n" => break,
                    _ if trailer > MAX_LINE_BYTES => return Err(broken("the trailer is too long")),
                    _ => {}
                }
            }
            self.ended = true;
        }
        Ok(())
    }
}

fn broken(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.advance()?;
        }
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        if self.left > self.allowed {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let read = self.reader.by_ref().take(self.left).read(out)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.allowed -= read as u64;
        self.ended = !self.chunked && self.left == 0;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8], length: Length) -> (io::Result<Vec<u8>>, &[u8]) {
        let mut out = Vec::new();
        let mut body = Body::new(&mut bytes, length, 1000);
        let result = body.read_to_end(&mut out);
        assert!(result.is_err() || body.ended());
        (result.map(|_| out), bytes)
    }

    #[test]
    fn counted_and_chunked() {
        let (body, rest) = read(b"bodyGET", Length::Bytes(4));
        assert_eq!((body.unwrap().as_slice(), rest), (&b"body"[..], &b"GET"[..]));
        let (body, rest) = read(b"3;name=x\r\nbod\r\n1\r\ny\r\n0\r\nTrailer: x\r\n\r\nGET", Length::Chunked);
        assert_eq!((body.unwrap().as_slice(), rest), (&b"body"[..], &b"GET"[..]));
    }

    #[test]
    fn broken_bodies() {
        let long = [b"1", &vec![b' '; 1 << 14][..]].concat();
        let trailer = [b"0\r\n", &b"X: y\r\n".repeat(1 << 12)[..]].concat();
        for bytes in [&b"3\r\nbo"[..], b"3\r\nbody\r\n", b"x\r\n", b"-1\r\n", b"fffffffffffffffff\r\n", b"", b"0\r\n", &long, &trailer] {
            assert!(read(bytes, Length::Chunked).0.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        for (bytes, length) in
            [(&b""[..], Length::Bytes(1001)), (b"3\r\nbod\r\n3e6\r\n", Length::Chunked), (b"ffffffffffffffff\r\n", Length::Chunked)]
        {
            assert_eq!(read(bytes, length).0.unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
        assert_eq!(read(b"bod", Length::Bytes(4)).0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn chunks_join(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6)) {
            let mut bytes: Vec<u8> = chunks.iter().flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).collect();
            bytes.extend(b"0\r\n\r\n");
            prop_assert_eq!(read(&bytes, Length::Chunked).0.unwrap(), chunks.concat());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, Length::Chunked);
        }
    }
}
