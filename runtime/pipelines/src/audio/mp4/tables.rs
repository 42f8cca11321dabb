//! Where the packets of a track lie, by the tables of its index: read as they are needed, so that an index may be of any size.

use super::AudioError;
use super::source::{Place, Source, Table};

/// Bytes in front of the entries of a table: version, flags and how many there are.
const HEAD: u64 = 8;
/// The same of sizes, which may be all alike.
const SIZES_HEAD: u64 = 12;
/// Most entries of times that are added up.
const MAX_TIMES: u64 = 1 << 24;

/// Where the tables of a track are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    /// Duration of packets (`stts`).
    pub(super) times: Option<Place>,
    /// Bytes of packets (`stsz`).
    pub(super) sizes: Option<Place>,
    /// Packets of chunks (`stsc`).
    pub(super) chunks: Option<Place>,
    /// Places of chunks in the file, of four bytes (`stco`) or eight (`co64`).
    pub(super) offsets: Option<(Place, u64)>,
}

impl Places {
    /// Time that all packets take, in the track's units.
    pub(super) fn duration(&self, source: &mut Source) -> Result<Option<u64>, AudioError> {
        let Some(mut times) = self.times.map(Table::new) else { return Ok(None) };
        let entries = times.number(source, 4)?.unwrap_or(0).into();
        let mut duration = 0u64;
        for entry in 0..entries {
            let Some([a, b, c, d, e, f, g, h]) = times.get(source, HEAD + 8 * entry)?.filter(|_| entry < MAX_TIMES) else {
                return Ok(None);
            };
            let (count, each) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            duration = duration.saturating_add(u64::from(count) * u64::from(each));
        }
        Ok(Some(duration))
    }
}

/// A packet, or several without a gap between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// The packets of a track in order.
pub(super) struct Packets {
    sizes: Table,
    /// Bytes of each packet, where all are alike.
    alike: Option<u32>,
    chunks: Table,
    groups: u64,
    offsets: Table,
    offset_bytes: u64,
    /// Packets in all, and of which it is the turn.
    count: u32,
    packet: u32,
    /// The chunk that is read, the group that says how many packets it has, and how many of them are left.
    chunk: u32,
    group: u64,
    left: u32,
    at: u64,
    /// Whether the tables do not have what they promise.
    pub(super) torn: bool,
}

impl Packets {
    /// Of these tables; nothing if there are none.
    pub(super) fn new(places: &Places, source: &mut Source) -> Result<Option<Self>, AudioError> {
        let (Some(sizes), Some(chunks), Some((offsets, offset_bytes))) = (places.sizes, places.chunks, places.offsets) else {
            return Ok(None);
        };
        let (mut sizes, mut chunks, offsets) = (Table::new(sizes), Table::new(chunks), Table::new(offsets));
        let alike = sizes.number(source, 4)?.filter(|&size| size > 0);
        let count = sizes.number(source, 8)?.unwrap_or(0);
        let groups = chunks.number(source, 4)?.unwrap_or(0).into();
        let (packet, chunk, group, left, at, torn) = (0, 0, 0, 0, 0, false);
        Ok(Some(Self { sizes, alike, chunks, groups, offsets, offset_bytes, count, packet, chunk, group, left, at, torn }))
    }

    /// Frames of samples, which old writers all give one byte.
    pub(super) fn are_at_least(&mut self, bytes: u32) {
        self.alike = self.alike.map(|size| size.max(bytes));
    }

    /// Where the next packet lies; of packets that are all alike as many as lie together and take at most `most` bytes. Nothing at the end.
    pub(super) fn next(&mut self, source: &mut Source, most: u64) -> Result<Option<Extent>, AudioError> {
        if self.packet == self.count {
            return Ok(None);
        }
        if self.left == 0 && !self.next_chunk(source)? {
            self.torn = true;
            self.count = self.packet;
            return Ok(None);
        }
        let (packets, bytes) = match self.alike {
            Some(size) => {
                let together = u32::try_from(most / u64::from(size)).unwrap_or(u32::MAX);
                let packets = together.clamp(1, self.left.min(self.count - self.packet));
                (packets, u64::from(packets) * u64::from(size))
            }
            None => match self.sizes.number(source, SIZES_HEAD + 4 * u64::from(self.packet))? {
                Some(size) => (1, size.into()),
                None => {
                    self.torn = true;
                    self.count = self.packet;
                    return Ok(None);
                }
            },
        };
        let extent = Extent { at: self.at, bytes };
        self.at = self.at.saturating_add(bytes);
        self.packet += packets;
        self.left -= packets;
        Ok(Some(extent))
    }

    /// Goes on with the next chunk; false if there is none.
    fn next_chunk(&mut self, source: &mut Source) -> Result<bool, AudioError> {
        let offset = HEAD + self.offset_bytes * u64::from(self.chunk);
        let at = match self.offset_bytes {
            4 => self.offsets.number(source, offset)?.map(u64::from),
            _ => self.offsets.get(source, offset)?.map(u64::from_be_bytes),
        };
        let Some(at) = at else { return Ok(false) };
        // Chunks count from 1; a group holds up to the first of the next.
        while self.group + 1 < self.groups {
            match self.chunks.number(source, HEAD + 12 * (self.group + 1))? {
                Some(first) if first <= self.chunk + 1 => self.group += 1,
                _ => break,
            }
        }
        let Some(packets) = self.chunks.number(source, HEAD + 12 * self.group + 4)?.filter(|&packets| packets > 0) else {
            return Ok(false);
        };
        (self.at, self.left) = (at, packets);
        self.chunk += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn extents(sizes: &[u32], chunks: &[u32], offsets: &[u32]) -> (Vec<(u64, u64)>, bool) {
        let parts = [sizes, chunks, offsets].map(numbers);
        let mut ends = parts.iter().scan(0, |end, part| {
            *end += part.len() as u64;
            Some(Place { at: *end - part.len() as u64, end: *end })
        });
        let places = Places { times: None, sizes: ends.next(), chunks: ends.next(), offsets: ends.next().map(|place| (place, 4)) };
        let mut source = Source::new(Box::new(Cursor::new(parts.concat())));
        let mut packets = Packets::new(&places, &mut source).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(extent) = packets.next(&mut source, 100).unwrap() {
            found.push((extent.at, extent.bytes));
        }
        (found, packets.torn)
    }

    #[test]
    fn packets_lie_in_chunks() {
        let sizes = [0, 0, 5, 10, 20, 30, 40, 50];
        // Two packets in each of the first two chunks, then one.
        let chunks = [0, 2, 1, 2, 1, 3, 1, 1];
        let found = extents(&sizes, &chunks, &[0, 3, 1000, 500, 2000]);
        assert_eq!(found, (vec![(1000, 10), (1010, 20), (500, 30), (530, 40), (2000, 50)], false));
        // Of packets all alike those that lie together, as far as there is room.
        let found = extents(&[0, 30, 8], &[0, 1, 1, 5, 1], &[0, 2, 1000, 2000]);
        assert_eq!(found, (vec![(1000, 90), (1090, 60), (2000, 90)], false));
    }

    #[test]
    fn tables_that_promise_too_much_end() {
        let one_chunk = [0, 1, 1, 2, 1];
        assert_eq!(extents(&[0, 0, u32::MAX, 10], &one_chunk, &[0, u32::MAX, 7]), (vec![(7, 10)], true));
        assert_eq!(extents(&[0, 0, 9, 10, 10, 10], &one_chunk, &[0, u32::MAX, 7]), (vec![(7, 10), (17, 10)], true));
        assert_eq!(extents(&[0, 0, 1, 10], &[0, 1, 1, 0, 1], &[0, 1, 7]), (vec![], true));
        assert_eq!(extents(&[0, 0, 1, 10], &[0, u32::MAX], &[0, 1, 7]), (vec![], true));
    }
}
