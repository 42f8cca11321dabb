//! Pages of Ogg (RFC 3533).

use super::AudioError;
use super::bytes::Bytes;

const MAGIC: &[u8; 4] = b"OggS";
/// Bytes of a page's header before its table of lacing values.
const HEADER_BYTES: usize = 27;
/// Bytes searched for the next page at a time.
const SCAN_BYTES: usize = 4096;

/// One page.
#[derive(Default)]
pub(super) struct Page {
    flags: u8,
    /// Position in the stream after its last packet that ends here; `None` if none does.
    pub(super) granule: Option<u64>,
    pub(super) serial: u32,
    pub(super) sequence: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
    /// Bytes before it that belong to no page.
    pub(super) skipped: u64,
    /// Whether it is whole, with the right checksum.
    intact: bool,
    /// Whether it breaks off.
    torn: bool,
}

impl Page {
    /// Whether its first packet began on an earlier page.
    pub(super) fn is_continued(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether a stream begins with it.
    pub(super) fn is_first(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether its stream ends with it.
    pub(super) fn is_last(&self) -> bool {
        self.flags & 4 != 0
    }

    /// Whether something in it is wrong; one that breaks off is told by its stream's end.
    pub(super) fn is_damaged(&self) -> bool {
        !self.intact && !self.torn
    }

    /// The packets' parts, and whether each ends here.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let (mut lacing, mut body) = (&self.lacing[..], &self.body[..]);
        std::iter::from_fn(move || {
            let segments = lacing.iter().position(|&value| value < 255).map(|last| last + 1);
            let (part, rest) = lacing.split_at(segments.unwrap_or(lacing.len()));
            if part.is_empty() {
                return None;
            }
            let bytes: usize = part.iter().map(|&value| usize::from(value)).sum();
            let (packet, after) = body.split_at(bytes.min(body.len()));
            (lacing, body) = (rest, after);
            Some((packet, segments.is_some()))
        })
    }
}

/// Finds the next page, past whatever stands before it; false at the end. Of one that is cut off, or that fails its checksum where another
/// follows, its packets are used anyway.
pub(super) fn next_page(bytes: &mut Bytes, page: &mut Page) -> Result<bool, AudioError> {
    page.skipped = 0;
    loop {
        let head = bytes.look(HEADER_BYTES)?;
        if head.len() < HEADER_BYTES {
            page.skipped += head.len() as u64;
            return Ok(false);
        }
        // No more is asked for than the page has: a live stream is heard as it comes.
        if head.starts_with(MAGIC) {
            let segments = usize::from(head[HEADER_BYTES - 1]);
            let table = bytes.look(HEADER_BYTES + segments)?;
            let length = HEADER_BYTES + segments + table[HEADER_BYTES..].iter().map(|&value| usize::from(value)).sum::<usize>();
            if page.read(bytes.look(length)?) && (page.intact || is_end_of_page(bytes.look(length + MAGIC.len())?, length)) {
                bytes.skip(length as u64)?;
                return Ok(true);
            }
        }
        let ahead = bytes.look(SCAN_BYTES)?;
        let next = ahead[1..].windows(MAGIC.len()).position(|window| window == MAGIC);
        let skip = next.map_or(ahead.len() - (MAGIC.len() - 1), |next| next + 1) as u64;
        page.skipped += skip;
        bytes.skip(skip)?;
    }
}

/// The position at the end of the last page in these bytes, the last of a file.
pub(super) fn last_position(tail: &[u8]) -> Option<u64> {
    let mut ends = tail.windows(MAGIC.len()).enumerate().rev().filter(|(_, window)| window == MAGIC);
    ends.find_map(|(at, _)| {
        let position = u64::from_le_bytes(*tail.get(at + 6..)?.first_chunk()?);
        Some(position).filter(|&position| position != u64::MAX)
    })
}

/// Whether another page or nothing follows a page of this length.
fn is_end_of_page(bytes: &[u8], length: usize) -> bool {
    bytes.get(length..).is_none_or(|next| next.is_empty() || next == MAGIC)
}

impl Page {
    /// Reads a page, perhaps one that breaks off; false if none begins here.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
        let [_, _, _, _, 0, flags, position @ .., _, _, _, _, _, _, _, _, _, _, _, _, segments] = *header else { return false };
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let Some((lacing, rest)) = rest.split_at_checked(segments.into()) else { return false };
        let body_bytes: usize = lacing.iter().map(|&value| usize::from(value)).sum();
        let body = &rest[..body_bytes.min(rest.len())];
        self.intact = [&header[..22], &[0; 4], &header[26..], lacing, body].into_iter().fold(0, checksum) == number(22);
        let granule = u64::from_le_bytes(position);
        self.granule = (self.intact && granule != u64::MAX).then_some(granule);
        (self.serial, self.sequence) = (number(14), number(18));
        let mut left = body.len();
        self.lacing.clear();
        self.lacing.extend(lacing.iter().copied().take_while(|&value| {
            let whole = usize::from(value) <= left;
            left = left.saturating_sub(value.into());
            whole
        }));
        self.torn = body.len() < body_bytes;
        // What breaks off is not the end.
        self.flags = if self.torn { flags & !4 } else { flags };
        self.body.clear();
        self.body.extend_from_slice(body);
        true
    }
}

/// Goes on with a checksum: polynomial 0x04c11db7, from the highest bit.
fn checksum(sum: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = ((index as u32) << 24, 0);
            while bit < 8 {
                value = (value << 1) ^ (0x04c1_1db7 * (value >> 31));
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    bytes.iter().fold(sum, |sum, &byte| (sum << 8) ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_again_after_damage() {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/tone.opus")).unwrap();
        let pages = |file: &[u8]| {
            let mut bytes = Bytes::new(Box::new(std::io::Cursor::new(file.to_vec())));
            let (mut page, mut found) = (Page::default(), Vec::new());
            while next_page(&mut bytes, &mut page).unwrap() {
                found.push((page.sequence, page.skipped, page.is_first(), page.is_last()));
            }
            (found, page.skipped)
        };
        let (whole, rest) = pages(&file);
        assert!(whole.len() >= 3 && rest == 0);
        assert!(whole.iter().enumerate().all(|(n, page)| *page == (n as u32, 0, n == 0, n + 1 == whole.len())), "{whole:?}");
        let second = file[1..].windows(4).position(|window| window == MAGIC).unwrap() + 1;
        let third = file[second + 1..].windows(4).position(|window| window == MAGIC).unwrap() + 1 + second;
        let mut torn = file.clone();
        torn[second + 40] ^= 1;
        assert_eq!(pages(&torn).0, whole, "its checksum is wrong, its place is right");
        torn[second + 1] = b'x';
        let (found, _) = pages(&torn);
        assert_eq!(found[1], (2, (third - second) as u64, false, whole.len() == 3));
        let (found, rest) = pages(&file[..file.len() - 1]);
        assert_eq!((found.len(), rest), (whole.len(), 0));
        assert!(!found[found.len() - 1].3, "it breaks off");
    }

    #[test]
    fn the_last_page_says_how_long_it_is() {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/tone.opus")).unwrap();
        let seconds = last_position(&file).unwrap() as f64 / 48_000.0;
        assert!((1.0..1.03).contains(&seconds), "{seconds}");
        assert_eq!(last_position(&file[file.len() - 10..]), None);
    }

    #[test]
    fn packets_are_told_apart() {
        let page = Page { lacing: vec![255, 3, 0, 2, 255], body: vec![7; 255 + 3 + 2 + 255], ..Page::default() };
        let parts: Vec<_> = page.parts().map(|(part, ends)| (part.len(), ends)).collect();
        assert_eq!(parts, [(258, true), (0, true), (2, true), (255, false)]);
    }
}
