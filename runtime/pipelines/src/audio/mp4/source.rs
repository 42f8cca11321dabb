//! The bytes of an mp4: of a file at any place, of a stream only onwards.

use std::io::{ErrorKind, Read, SeekFrom};

use symphonia::core::io::MediaSource;

use super::{AudioError, Container};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 14;
/// Bytes of a table read at a time.
const TABLE_BYTES: u64 = 1 << 12;
/// Most bytes of tables that are kept of a stream: nine hours of AAC at 48 kHz. Of a file none are.
const MAX_HELD_BYTES: u64 = 6 << 20;

/// Where something lies: in the file, or in what is held of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Place {
    pub(super) fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

/// What begins a box, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: [u8; 4],
    pub(super) at: u64,
    /// After its header.
    pub(super) body: u64,
    /// Within its parent.
    pub(super) end: u64,
    /// Whether its parent has less room than it says that it takes.
    pub(super) torn: bool,
}

/// A file or stream.
pub(super) struct Source {
    inner: Box<dyn MediaSource>,
    seekable: bool,
    /// Where `inner` stands.
    at: u64,
    /// What was read last, and where it begins.
    window: Vec<u8>,
    window_at: u64,
    /// Bodies of boxes of a stream.
    held: Vec<u8>,
}

impl Source {
    pub(super) fn new(inner: Box<dyn MediaSource>) -> Self {
        let seekable = inner.is_seekable();
        Self { inner, seekable, at: 0, window: Vec::new(), window_at: 0, held: Vec::new() }
    }

    pub(super) fn is_seekable(&self) -> bool {
        self.seekable
    }

    /// The end of the file, where it is known.
    pub(super) fn end(&self) -> u64 {
        self.inner.byte_len().filter(|_| self.seekable).unwrap_or(u64::MAX)
    }

    /// Stands at a place of the file.
    fn go(&mut self, at: u64) -> Result<(), AudioError> {
        if self.at == at {
            return Ok(());
        }
        if self.seekable {
            self.at = self.inner.seek(SeekFrom::Start(at)).map_err(AudioError::Io)?;
            return Ok(());
        }
        let Some(ahead) = at.checked_sub(self.at) else { return Err(AudioError::NeedsSeek(Container::Mp4)) };
        self.at += std::io::copy(&mut (&mut self.inner).take(ahead), &mut std::io::sink()).map_err(AudioError::Io)?;
        Ok(())
    }

    /// Reads once; 0 at the end.
    fn read_some(&mut self, out: &mut [u8]) -> Result<usize, AudioError> {
        loop {
            match self.inner.read(out) {
                Ok(read) => {
                    self.at += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Io(error)),
            }
        }
    }

    /// So many bytes from a place of the file on, fewer only at its end.
    pub(super) fn look(&mut self, at: u64, count: usize) -> Result<&[u8], AudioError> {
        let within = at.checked_sub(self.window_at).filter(|&from| from <= self.window.len() as u64);
        match within {
            Some(from) if from as usize + count <= self.window.len() => {}
            within => {
                match within {
                    Some(from) => drop(self.window.drain(..from as usize)),
                    None => self.window.clear(),
                }
                self.window_at = at;
                self.go(at + self.window.len() as u64)?;
                while self.window.len() < count {
                    let start = self.window.len();
                    self.window.resize(start + CHUNK_BYTES, 0);
                    let mut window = std::mem::take(&mut self.window);
                    let read = self.read_some(&mut window[start..]);
                    window.truncate(start + *read.as_ref().unwrap_or(&0));
                    self.window = window;
                    if read? == 0 {
                        break;
                    }
                }
            }
        }
        let from = (at - self.window_at) as usize;
        Ok(&self.window[from..self.window.len().min(from + count)])
    }

    /// What begins a box at `at`, in a parent that ends at `end`; nothing at the end, and where none begins.
    pub(super) fn header(&mut self, at: u64, end: u64) -> Result<Option<Header>, AudioError> {
        let room = end.saturating_sub(at);
        let Some(&[s0, s1, s2, s3, k0, k1, k2, k3]) = self.look(at, 8)?.first_chunk().filter(|_| room >= 8) else { return Ok(None) };
        let (mut bytes, mut header) = (u64::from(u32::from_be_bytes([s0, s1, s2, s3])), 8);
        if bytes == 1 {
            let Some(&long) = self.look(at, 16)?.get(8..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
            (bytes, header) = (u64::from_be_bytes(long), 16);
        } else if bytes == 0 {
            bytes = room;
        }
        if bytes < header || room < header {
            return Ok(None);
        }
        Ok(Some(Header { kind: [k0, k1, k2, k3], at, body: at + header, end: at + bytes.min(room), torn: bytes > room }))
    }

    /// Where the body of a box can be read again: of a stream it is kept.
    pub(super) fn keep(&mut self, header: &Header) -> Result<Place, AudioError> {
        if self.seekable {
            return Ok(Place { at: header.body, end: header.end });
        }
        let (start, bytes) = (self.held.len() as u64, header.end - header.body);
        if start.saturating_add(bytes) > MAX_HELD_BYTES {
            let feature = format!("an index larger than {} MiB in a stream", MAX_HELD_BYTES >> 20);
            return Err(AudioError::Unsupported { container: Container::Mp4, feature });
        }
        let (mut at, mut left) = (header.body, bytes as usize);
        while left > 0 {
            let piece = self.look(at, left.min(CHUNK_BYTES))?;
            if piece.is_empty() {
                break;
            }
            let piece = piece.to_vec();
            (at, left) = (at + piece.len() as u64, left - piece.len());
            self.held.extend_from_slice(&piece);
        }
        Ok(Place { at: start, end: self.held.len() as u64 })
    }

    /// How much is kept, to go back to.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Forgets what was kept after that.
    pub(super) fn forget(&mut self, held: usize) {
        self.held.truncate(held);
    }

    /// The beginning of what lies in a place, at most `most` bytes.
    pub(super) fn bytes(&mut self, place: Place, most: u64) -> Result<Vec<u8>, AudioError> {
        let mut out = Vec::new();
        self.append(place.at, place.bytes().min(most), &mut out)?;
        Ok(out)
    }

    /// Appends bytes of a file, without what is looked ahead, or of what is held.
    fn append(&mut self, at: u64, count: u64, out: &mut Vec<u8>) -> Result<(), AudioError> {
        if !self.seekable {
            let held = self.held.get(at as usize..).unwrap_or_default();
            out.extend_from_slice(&held[..held.len().min(count as usize)]);
            return Ok(());
        }
        self.go(at)?;
        let start = out.len();
        out.resize(start + count as usize, 0);
        let mut filled = start;
        while filled < out.len() {
            match self.read_some(&mut out[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        out.truncate(filled);
        Ok(())
    }
}

/// A table, of which a few entries are in memory.
#[derive(Default)]
pub(super) struct Table {
    place: Place,
    at: u64,
    window: Vec<u8>,
}

impl Table {
    pub(super) fn new(place: Place) -> Self {
        Self { place, at: 0, window: Vec::new() }
    }

    /// The bytes at this offset; nothing beyond the end.
    pub(super) fn get<const N: usize>(&mut self, source: &mut Source, offset: u64) -> Result<Option<[u8; N]>, AudioError> {
        let Some(at) = self.place.at.checked_add(offset).filter(|&at| at.saturating_add(N as u64) <= self.place.end) else {
            return Ok(None);
        };
        if at < self.at || at + N as u64 > self.at + self.window.len() as u64 {
            self.window.clear();
            self.at = at;
            source.append(at, TABLE_BYTES.min(self.place.end - at), &mut self.window)?;
        }
        Ok(self.window.get((at - self.at) as usize..).and_then(|rest| rest.first_chunk()).copied())
    }

    /// A number of four bytes.
    pub(super) fn number(&mut self, source: &mut Source, offset: u64) -> Result<Option<u32>, AudioError> {
        Ok(self.get(source, offset)?.map(u32::from_be_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use symphonia::core::io::ReadOnlySource;

    use super::*;

    fn file() -> Vec<u8> {
        (0..100_000u32).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn a_file_is_read_anywhere_and_a_stream_onwards() {
        let (mut file_source, mut stream) =
            (Source::new(Box::new(Cursor::new(file()))), Source::new(Box::new(ReadOnlySource::new(Cursor::new(file())))));
        for (at, count) in [(0, 8), (4, 30_000), (29_999, 10), (60_000, 20_000), (99_990, 100), (100_500, 5)] {
            let expected = &file()[at.min(100_000)..(at + count).min(100_000)];
            assert_eq!(file_source.look(at as u64, count).unwrap(), expected, "{at}");
            assert_eq!(stream.look(at as u64, count).unwrap(), expected, "{at}");
        }
        assert_eq!(file_source.look(3, 2).unwrap(), [3, 4]);
        assert!(matches!(stream.look(3, 2), Err(AudioError::NeedsSeek(_))));
    }

    #[test]
    fn tables_are_read_in_pieces_and_end() {
        for seekable in [true, false] {
            let bytes = file();
            let mut source =
                Source::new(if seekable { Box::new(Cursor::new(bytes)) } else { Box::new(ReadOnlySource::new(Cursor::new(bytes))) });
            let header = Header { kind: *b"stsz", at: 92, body: 100, end: 20_100, torn: false };
            let place = source.keep(&header).unwrap();
            let mut table = Table::new(place);
            for offset in [0u64, 4, 4090, 4096, 19_996, 8] {
                let expected: Vec<u8> = (100 + offset as u32..).take(4).map(|n| (n % 251) as u8).collect();
                assert_eq!(table.get::<4>(&mut source, offset).unwrap().unwrap()[..], expected, "{offset}");
            }
            assert_eq!(table.get::<4>(&mut source, 19_997).unwrap(), None);
            assert_eq!(source.held(), if seekable { 0 } else { 20_000 });
        }
    }
}
