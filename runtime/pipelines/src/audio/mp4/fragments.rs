//! Where the packets of a track lie in an mp4 that was written piece by piece: each piece has an index of its own.

use super::AudioError;
use super::source::{Header, Source, Table};
use super::tables::Extent;

/// Bytes in front of a run's entries: version, flags and how many there are; two more fields may follow.
const RUN_HEAD: u64 = 8;

const BASE_OFFSET: u32 = 1;
const DESCRIPTION: u32 = 2;
const DEFAULT_DURATION: u32 = 8;
const DEFAULT_BYTES: u32 = 0x10;
const DATA_OFFSET: u32 = 1;
const FIRST_FLAGS: u32 = 4;
const BYTES: u32 = 0x200;
/// Fields of an entry, of four bytes each: duration, bytes, flags, offset of its time.
const FIELDS: [u32; 4] = [0x100, BYTES, 0x400, 0x800];

/// A box within the index of a piece, by offsets in it.
struct Inner {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

/// Packets that follow one another.
struct Run {
    at: u64,
    left: u32,
    /// Bytes of an entry, and where in it the packet's bytes stand.
    stride: u64,
    sizes: Option<u64>,
}

/// The packets of a track in one piece, of which the index is read as they are needed.
pub(super) struct Piece {
    index: Table,
    bytes: u64,
    /// Where the index begins in the file.
    start: u64,
    track: u32,
    /// Bytes of packets whose run and piece say nothing of them.
    usual_bytes: u32,
    /// Where the next box of the piece begins, and the next one of its part for the track.
    next: u64,
    part: Option<(u64, u64)>,
    default_bytes: u32,
    base: u64,
    at: u64,
    run: Option<Run>,
    /// Whether an index does not have what it promises.
    pub(super) torn: bool,
}

impl Piece {
    /// The piece whose index (`moof`) has this header.
    pub(super) fn new(source: &mut Source, header: &Header, track: u32, usual_bytes: u32) -> Result<Self, AudioError> {
        let place = source.keep(header)?;
        let (start, base, at) = (header.at, header.at, header.at);
        let (next, part, run, torn) = (0, None, None, header.torn);
        let index = Table::new(place);
        Ok(Self { index, bytes: place.bytes(), start, track, usual_bytes, next, part, default_bytes: usual_bytes, base, at, run, torn })
    }

    /// Where the next packet lies; nothing at the end.
    pub(super) fn next(&mut self, source: &mut Source) -> Result<Option<Extent>, AudioError> {
        loop {
            if let Some(run) = self.run.as_mut().filter(|run| run.left > 0) {
                let bytes = match run.sizes {
                    Some(offset) => self.index.number(source, run.at + offset)?,
                    None => Some(self.default_bytes),
                };
                let Some(bytes) = bytes else {
                    (self.torn, self.run) = (true, None);
                    continue;
                };
                run.at += run.stride;
                // Packets without a byte stand for one: there may be any number of them.
                run.left = if run.sizes.is_none() && bytes == 0 { 0 } else { run.left - 1 };
                let extent = Extent { at: self.at, bytes: bytes.into() };
                self.at = self.at.saturating_add(bytes.into());
                return Ok(Some(extent));
            }
            match self.part {
                Some((next, end)) => match self.inner(source, next, end)? {
                    Some(inner) => {
                        self.part = Some((inner.end, end));
                        if &inner.kind == b"trun" {
                            self.run = self.run(source, &inner)?;
                        }
                    }
                    None => (self.part, self.run) = (None, None),
                },
                None => {
                    let Some(inner) = self.inner(source, self.next, self.bytes)? else { return Ok(None) };
                    self.next = inner.end;
                    if &inner.kind == b"traf" {
                        self.part = self.begin(source, &inner)?;
                    }
                }
            }
        }
    }

    fn inner(&mut self, source: &mut Source, at: u64, end: u64) -> Result<Option<Inner>, AudioError> {
        let Some([s0, s1, s2, s3, kind @ ..]) = self.index.get::<8>(source, at)?.filter(|_| at + 8 <= end) else { return Ok(None) };
        let (bytes, room) = (u64::from(u32::from_be_bytes([s0, s1, s2, s3])), end - at);
        if bytes < 8 {
            self.torn = true;
            return Ok(None);
        }
        self.torn |= bytes > room;
        Ok(Some(Inner { kind, body: at + 8, end: at + bytes.min(room) }))
    }

    /// Begins a part (`traf`) if it is of the track: the first box in it says so.
    fn begin(&mut self, source: &mut Source, part: &Inner) -> Result<Option<(u64, u64)>, AudioError> {
        let mut at = part.body;
        while let Some(inner) = self.inner(source, at, part.end)? {
            at = inner.end;
            if &inner.kind != b"tfhd" {
                continue;
            }
            let (Some(flags), Some(track)) = (self.index.number(source, inner.body)?, self.index.number(source, inner.body + 4)?) else {
                return Ok(None);
            };
            if track != self.track {
                return Ok(None);
            }
            let mut field = inner.body + 8;
            self.base = self.start;
            if flags & BASE_OFFSET != 0 {
                self.base = self.index.get(source, field)?.map_or(self.start, u64::from_be_bytes);
                field += 8;
            }
            field += 4 * u64::from((flags & DESCRIPTION).count_ones() + (flags & DEFAULT_DURATION).count_ones());
            let given = if flags & DEFAULT_BYTES != 0 { self.index.number(source, field)? } else { None };
            (self.default_bytes, self.at) = (given.unwrap_or(self.usual_bytes), self.base);
            return Ok(Some((part.body, part.end)));
        }
        Ok(None)
    }

    fn run(&mut self, source: &mut Source, inner: &Inner) -> Result<Option<Run>, AudioError> {
        let (Some(flags), Some(left)) = (self.index.number(source, inner.body)?, self.index.number(source, inner.body + 4)?) else {
            return Ok(None);
        };
        let mut at = inner.body + RUN_HEAD;
        if flags & DATA_OFFSET != 0 {
            let Some(offset) = self.index.number(source, at)? else { return Ok(None) };
            let Some(place) = self.base.checked_add_signed(offset.cast_signed().into()) else {
                self.torn = true;
                return Ok(None);
            };
            self.at = place;
            at += 4;
        }
        at += if flags & FIRST_FLAGS != 0 { 4 } else { 0 };
        let stride = 4 * u64::from((flags & (0xf << 8)).count_ones());
        let before = FIELDS.iter().take_while(|&&field| field != BYTES).filter(|&&field| flags & field != 0).count() as u64;
        let sizes = (flags & BYTES != 0).then_some(4 * before);
        // More entries than there is room for are none.
        let room = inner.end.saturating_sub(at).checked_div(stride).unwrap_or(u64::MAX);
        self.torn |= room < u64::from(left);
        Ok(Some(Run { at, left: left.min(u32::try_from(room).unwrap_or(u32::MAX)), stride, sizes }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    fn words(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        boxed(kind, &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
    }

    fn extents(parts: &[Vec<u8>]) -> (Vec<(u64, u64)>, bool) {
        let file = [&[7; 100][..], &boxed(b"moof", &[words(b"mfhd", &[0, 1]), parts.concat()].concat())].concat();
        let mut source = Source::new(Box::new(Cursor::new(file)));
        let header = source.header(100, u64::MAX).unwrap().unwrap();
        let mut piece = Piece::new(&mut source, &header, 2, 9).unwrap();
        let mut found = Vec::new();
        while let Some(extent) = piece.next(&mut source).unwrap() {
            found.push((extent.at, extent.bytes));
            assert!(found.len() < 100);
        }
        (found, piece.torn)
    }

    #[test]
    fn packets_lie_in_runs() {
        let other = boxed(b"traf", &[words(b"tfhd", &[0, 1]), words(b"trun", &[0x200, 1, 55])].concat());
        let runs = [words(b"trun", &[0x301, 2, 1000, 7, 10, 7, 20]), words(b"trun", &[0x204, 1, 0, 30])].concat();
        let ours = boxed(b"traf", &[words(b"tfhd", &[0x2_0000, 2]), runs].concat());
        let later = boxed(b"traf", &[words(b"tfhd", &[0x3b, 2, 0, 5000, 1, 1024, 40, 0]), words(b"trun", &[0, 2])].concat());
        let usual = boxed(b"traf", &[words(b"tfhd", &[0, 2]), words(b"trun", &[1, 2, 0xffff_fff0])].concat());
        let found = extents(&[other, ours, later, usual]);
        assert_eq!(found.0, [(1100, 10), (1110, 20), (1130, 30), (5000, 40), (5040, 40), (84, 9), (93, 9)]);
        assert!(!found.1);
    }

    #[test]
    fn runs_that_promise_too_much_end() {
        let run =
            |run: &[u32], default: u32| extents(&[boxed(b"traf", &[words(b"tfhd", &[0x10, 2, default]), words(b"trun", run)].concat())]);
        assert_eq!(run(&[0x200, u32::MAX, 10, 20], 0), (vec![(100, 10), (110, 20)], true));
        assert_eq!(run(&[0, u32::MAX], 0), (vec![(100, 0)], false));
        assert_eq!(run(&[1, 1, 0x8000_0000], 5), (vec![], true));
        assert_eq!(run(&[0x200], 5), (vec![], false));
        // The first packet's flags once made a demuxer look for a size that is not there.
        assert_eq!(run(&[4, 1, 0x204], 5), (vec![(100, 5)], false));
    }
}
