//! What of an mp4 is shown to its demuxer: the index of its audio, and only if that is of a size that one has.
//!
//! A demuxer keeps tags, pictures and tables in memory. Boxes that decoding does without are renamed to `free`, which is skipped unread;
//! what remains is measured first.

use std::io::{Cursor, Read, Result as IoResult, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::{AudioError, Container};

/// Largest index: nine hours of AAC at 48 kHz. Its demuxer keeps about as much.
const MAX_INDEX_BYTES: u64 = 6 << 20;
/// Largest packet.
const MAX_SAMPLE_BYTES: u32 = 1 << 20;
/// Most boxes of a file: 40 hours in pieces of a second.
const MAX_BOXES: usize = 1 << 20;
/// Most boxes that are hidden.
const MAX_HIDDEN: usize = 1 << 14;
/// How deep boxes lie in each other, at most; real ones five.
const MAX_DEPTH: u32 = 8;
/// Bytes that may come before the end of the index in a stream that cannot go back.
const MAX_STREAM_HEAD_BYTES: u64 = 16 << 20;

/// Boxes that hold others on the way to the tables.
const FOLDERS: [&[u8; 4]; 8] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"];
/// Boxes that decoding does without.
const NOT_NEEDED: [&[u8; 4]; 15] =
    [b"udta", b"meta", b"uuid", b"ilst", b"ctts", b"stss", b"stsh", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"cslg", b"iods"];

/// Sample entries that are known by name only.
const REFUSED: [(&[u8; 4], &str); 12] = [
    (b"samr", "AMR"),
    (b"sawb", "AMR-WB"),
    (b"sawp", "AMR-WB+"),
    (b"ac-3", "AC-3"),
    (b"ec-3", "E-AC-3"),
    (b"ac-4", "AC-4"),
    (b"dtsc", "DTS"),
    (b"mha1", "MPEG-H"),
    (b"QDM2", "QDesign"),
    (b"ima4", "IMA ADPCM"),
    (b"Qclp", "QCELP"),
    (b"enca", "encrypted audio"),
];

/// Where something stands in the file, and what it is.
struct Found {
    kind: [u8; 4],
    at: u64,
    /// After its header.
    body: u64,
    end: u64,
}

/// What the walk over the boxes collects.
#[derive(Default)]
struct Walk {
    /// Where names of boxes are to read `free`.
    hidden: Vec<u64>,
    index_bytes: u64,
    boxes: usize,
    /// The name of an encoding that is not decoded.
    refused: Option<&'static str>,
    /// Whether a box goes on beyond the end of the file.
    torn: bool,
    /// Whether there is an index.
    indexed: bool,
}

fn malformed(detail: &str) -> AudioError {
    AudioError::Malformed { container: Container::Mp4, detail: detail.into(), frames: 0 }
}

fn unsupported(feature: impl Into<String>) -> AudioError {
    AudioError::Unsupported { container: Container::Mp4, feature: feature.into() }
}

impl Walk {
    fn next(&mut self, source: &mut (impl Read + Seek + ?Sized), at: u64, end: u64) -> Result<Option<Found>, AudioError> {
        self.boxes += 1;
        if self.boxes > MAX_BOXES {
            return Err(unsupported(format!("an index of more than {MAX_BOXES} boxes")));
        }
        source.seek(SeekFrom::Start(at)).map_err(AudioError::Io)?;
        let Some(head) = read::<8>(source)?.filter(|_| at.saturating_add(8) <= end) else { return Ok(None) };
        let [s0, s1, s2, s3, kind @ ..] = head;
        let (mut bytes, mut header) = (u64::from(u32::from_be_bytes([s0, s1, s2, s3])), 8);
        if bytes == 1 {
            let Some(long) = read::<8>(source)? else { return Ok(None) };
            (bytes, header) = (u64::from_be_bytes(long), 16);
        } else if bytes == 0 {
            bytes = end - at;
        }
        if bytes < header || end - at < header {
            return Ok(None);
        }
        self.torn |= at.saturating_add(bytes) > end;
        Ok(Some(Found { kind, at, body: at + header, end: at.saturating_add(bytes).min(end) }))
    }

    fn hide(&mut self, found: &Found) -> Result<(), AudioError> {
        if self.hidden.len() == MAX_HIDDEN {
            return Err(unsupported(format!("more than {MAX_HIDDEN} boxes beside its audio")));
        }
        self.hidden.push(found.at + 4);
        Ok(())
    }

    /// Goes through the boxes between two places.
    fn boxes(&mut self, source: &mut (impl Read + Seek + ?Sized), mut at: u64, end: u64, depth: u32) -> Result<(), AudioError> {
        while let Some(found) = self.next(source, at, end)? {
            at = found.end;
            self.visit(source, &found, depth)?;
        }
        Ok(())
    }

    fn visit(&mut self, source: &mut (impl Read + Seek + ?Sized), found: &Found, depth: u32) -> Result<(), AudioError> {
        let bytes = found.end - found.body;
        match &found.kind {
            kind if NOT_NEEDED.contains(&kind) => self.hide(found)?,
            b"trak" if !is_audio(source, found)? => self.hide(found)?,
            b"mdat" | b"free" | b"skip" | b"wide" => {}
            kind if FOLDERS.contains(&kind) => {
                self.indexed |= kind == b"moov";
                if kind == b"moof" {
                    // Each is gone before the next comes.
                    self.index_bytes = 0;
                }
                if depth < MAX_DEPTH {
                    self.boxes(source, found.body, found.end, depth + 1)?;
                }
            }
            kind => {
                self.index_bytes = self.index_bytes.saturating_add(bytes);
                if self.index_bytes > MAX_INDEX_BYTES {
                    let limit = MAX_INDEX_BYTES >> 20;
                    return Err(unsupported(format!("an index larger than {limit} MiB")));
                }
                if kind == b"stsz" {
                    check_samples(source, found)?;
                } else if kind == b"stsd" {
                    self.refused = self.refused.or(refused(source, found)?);
                }
            }
        }
        Ok(())
    }
}

/// The next bytes, or nothing at the end.
fn read<const N: usize>(source: &mut (impl Read + ?Sized)) -> Result<Option<[u8; N]>, AudioError> {
    let mut bytes = [0; N];
    match source.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(AudioError::Io(error)),
    }
}

/// Whether a track is of sound, as the handler in its media box has it.
fn is_audio(source: &mut (impl Read + Seek + ?Sized), track: &Found) -> Result<bool, AudioError> {
    let mut walk = Walk::default();
    let mut at = track.body;
    while let Some(found) = walk.next(source, at, track.end)? {
        at = found.end;
        if &found.kind != b"mdia" {
            continue;
        }
        let mut at = found.body;
        while let Some(inner) = walk.next(source, at, found.end)? {
            at = inner.end;
            if &inner.kind == b"hdlr" {
                source.seek(SeekFrom::Start(inner.body + 8)).map_err(AudioError::Io)?;
                return Ok(read(source)? == Some(*b"soun"));
            }
        }
    }
    Ok(false)
}

/// Refuses packets that no recording has: a demuxer makes room for one before it reads it.
fn check_samples(source: &mut (impl Read + Seek + ?Sized), table: &Found) -> Result<(), AudioError> {
    source.seek(SeekFrom::Start(table.body + 4)).map_err(AudioError::Io)?;
    let Some(sizes) = read::<8>(source)? else { return Ok(()) };
    let [a, b, c, d, ..] = sizes;
    let mut largest = u32::from_be_bytes([a, b, c, d]);
    if largest == 0 {
        let mut table = std::io::BufReader::new((&mut *source).take(table.end.saturating_sub(table.body + 12)));
        while let Some(size) = read(&mut table)? {
            largest = largest.max(u32::from_be_bytes(size));
        }
    }
    if largest > MAX_SAMPLE_BYTES { Err(malformed(&format!("a packet of {largest} bytes"))) } else { Ok(()) }
}

/// The name of the encoding in a sample description if it is not decoded.
fn refused(source: &mut (impl Read + Seek + ?Sized), description: &Found) -> Result<Option<&'static str>, AudioError> {
    source.seek(SeekFrom::Start(description.body)).map_err(AudioError::Io)?;
    let mut bytes = Vec::new();
    (&mut *source).take((description.end - description.body).min(4096)).read_to_end(&mut bytes).map_err(AudioError::Io)?;
    let Some(kind) = bytes.get(12..16) else { return Ok(None) };
    if let Some((_, name)) = REFUSED.iter().find(|(known, _)| *known == kind) {
        return Ok(Some(name));
    }
    if kind != b"mp4a" {
        return Ok(None);
    }
    let specific = bytes.windows(4).position(|window| window == b"esds").and_then(|at| object_type(&bytes[at + 8..]));
    Ok(match specific {
        Some(5) => Some("HE-AAC"),
        Some(29) => Some("HE-AAC v2"),
        Some(42) => Some("xHE-AAC"),
        Some(23 | 39) => Some("AAC-LD"),
        _ => None,
    })
}

/// The kind of AAC in the descriptors of an `esds` box.
fn object_type(mut bytes: &[u8]) -> Option<u8> {
    loop {
        let (&tag, mut rest) = bytes.split_first()?;
        // Its length, seven bits at a time.
        for _ in 0..4 {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            if byte & 0x80 == 0 {
                break;
            }
        }
        match tag {
            3 => bytes = rest.get(3..)?,
            4 => bytes = rest.get(13..)?,
            5 => return rest.first().map(|first| first >> 3),
            _ => return None,
        }
    }
}

/// The source with what its demuxer does without hidden from it, and whether it is cut off.
pub(super) fn checked(mut source: Box<dyn MediaSource>) -> Result<(Box<dyn MediaSource>, bool), AudioError> {
    let mut walk = Walk::default();
    let length = source.byte_len().unwrap_or(u64::MAX);
    walk.boxes(&mut *source, 0, length, 0)?;
    source.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
    if let Some(name) = walk.refused {
        return Err(unsupported(name));
    }
    if !walk.indexed {
        return Err(malformed("its index is missing: it is cut off, or its recorder never came to its end"));
    }
    Ok((Box::new(Hiding { source, at: 0, hidden: walk.hidden }), walk.torn))
}

/// The same of a stream that cannot go back, as far as the end of its index.
pub(super) fn checked_stream(mut stream: Box<dyn Read + Send + Sync>) -> Result<Box<dyn Read + Send + Sync>, AudioError> {
    let mut head = Vec::new();
    while let Some(header) = read::<8>(&mut stream)? {
        let [s0, s1, s2, s3, kind @ ..] = header;
        let bytes = u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        head.extend_from_slice(&header);
        if &kind == b"mdat" || &kind == b"moof" {
            break;
        }
        if bytes < 8 || head.len() as u64 + bytes > MAX_STREAM_HEAD_BYTES {
            return Err(AudioError::NeedsSeek(Container::Mp4));
        }
        (&mut stream).take(bytes - 8).read_to_end(&mut head).map_err(AudioError::Io)?;
        if &kind == b"moov" {
            break;
        }
    }
    let mut walk = Walk::default();
    let length = head.len() as u64;
    walk.boxes(&mut Cursor::new(&mut head), 0, length, 0)?;
    if let Some(name) = walk.refused {
        return Err(unsupported(name));
    }
    hide(&mut head, 0, &walk.hidden);
    Ok(Box::new(Cursor::new(head).chain(stream)))
}

/// Renames what lies within `bytes`, which begin at `at`.
fn hide(bytes: &mut [u8], at: u64, hidden: &[u64]) {
    let end = at + bytes.len() as u64;
    let first = hidden.partition_point(|&place| place + 4 <= at);
    for &place in hidden[first..].iter().take_while(|&&place| place < end) {
        for (offset, &letter) in b"free".iter().enumerate() {
            let here = (place + offset as u64).checked_sub(at).and_then(|here| bytes.get_mut(usize::try_from(here).ok()?));
            if let Some(byte) = here {
                *byte = letter;
            }
        }
    }
}

/// A source in which some boxes are renamed.
struct Hiding {
    source: Box<dyn MediaSource>,
    at: u64,
    /// Places of names, in order.
    hidden: Vec<u64>,
}

impl Read for Hiding {
    fn read(&mut self, out: &mut [u8]) -> IoResult<usize> {
        let read = self.source.read(out)?;
        hide(&mut out[..read], self.at, &self.hidden);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Hiding {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.at = self.source.seek(to)?;
        Ok(self.at)
    }
}

impl MediaSource for Hiding {
    fn is_seekable(&self) -> bool {
        self.source.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        self.source.byte_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn names_are_hidden_however_they_are_read() {
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), boxed(b"udta", b"picture")].concat())].concat();
        for piece in [1, 3, 7, 1000] {
            let (mut source, torn) = checked(Box::new(Cursor::new(file.clone()))).unwrap();
            assert!(!torn);
            let mut read = Vec::new();
            let mut block = vec![0; piece];
            loop {
                match source.read(&mut block).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&block[..count]),
                }
            }
            let text = String::from_utf8_lossy(&read).into_owned();
            assert!(text.contains("freepicture") && !text.contains("udta") && text.contains("mvhd"), "{piece}");
        }
    }

    #[test]
    fn the_kind_of_aac_is_found() {
        // Object type 2 (LC) and 5 (with band replication), lengths short and long.
        for (first, expected) in [(0x12, 2), (0x2b, 5)] {
            let short = [3, 25, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, first, 0x10];
            assert_eq!(object_type(&short), Some(expected));
            let long =
                [&[3, 0x80, 0x80, 0x80, 25, 0, 0, 0, 4, 0x80, 0x80, 0x80, 17][..], &[0; 13], &[5, 0x80, 0x80, 0x80, 2, first]].concat();
            assert_eq!(object_type(&long), Some(expected));
        }
    }

    #[test]
    fn a_long_header_that_its_parent_has_no_room_for_ends_it() {
        // The box says that its length follows, and its parent ends there.
        let inside = [&[0, 0, 0, 1][..], b"trak"].concat();
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"moov", &inside), boxed(b"mdat", &[9; 40])].concat();
        assert!(!checked(Box::new(Cursor::new(file))).unwrap().1);
    }

    #[test]
    fn an_index_without_bounds_is_refused() {
        let table = boxed(b"stts", &vec![0; 11 << 20]);
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"moov", &table)].concat();
        let refused = |error: AudioError| error.to_string() == "m4a: cannot decode an index larger than 6 MiB";
        assert!(checked(Box::new(Cursor::new(file.clone()))).err().is_some_and(refused));
        assert!(checked_stream(Box::new(Cursor::new(file))).err().is_some_and(refused));
    }
}
