//! How a camera was held: the orientation in EXIF.

/// The orientation's tag.
const TAG: u16 = 0x0112;

/// One of eight, as EXIF counts them from 1; 1 if the data do not tell.
pub(super) fn of(exif: &[u8]) -> u8 {
    find(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)).filter(|orientation| (1..=8).contains(orientation)).unwrap_or(1)
}

/// The tag's value in the first directory of a TIFF: <https://www.cipa.jp/std/documents/download_e.html?DC-008-Translation-2023-E>.
fn find(tiff: &[u8]) -> Option<u8> {
    let big = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => false,
        [b'M', b'M', 0, 42] => true,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let (high, low) = if big { (short(4)?, short(6)?) } else { (short(6)?, short(4)?) };
    let directory = usize::from(high) << 16 | usize::from(low);
    let entries = usize::from(short(directory)?);
    let entry = (0..entries).map(|entry| directory + 2 + 12 * entry).find(|&entry| short(entry) == Some(TAG))?;
    u8::try_from(short(entry + 8)?).ok()
}

/// The pixels of an image as people see it, and its width; `rgb` is `[height][width][3]`.
pub(super) fn upright(width: usize, rgb: Vec<u8>, orientation: u8) -> (usize, Vec<u8>) {
    let height = rgb.len() / (3 * width.max(1));
    let (columns, rows) = if orientation >= 5 { (height, width) } else { (width, height) };
    // Where the pixel comes from that is seen in column x of row y.
    let source = |x: usize, y: usize| match orientation {
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        8 => (width - 1 - y, x),
        _ => (x, y),
    };
    if !(2..=8).contains(&orientation) {
        return (width, rgb);
    }
    let mut turned = Vec::with_capacity(rgb.len());
    for y in 0..rows {
        for x in 0..columns {
            let (column, row) = source(x, y);
            turned.extend_from_slice(&rgb[3 * (row * width + column)..][..3]);
        }
    }
    (columns, turned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// EXIF data that tell an orientation, after another entry.
    pub(in super::super) fn exif(orientation: u8, big: bool) -> Vec<u8> {
        let short = |x: u16| if big { x.to_be_bytes() } else { x.to_le_bytes() };
        let long = |x: u32| if big { x.to_be_bytes() } else { x.to_le_bytes() };
        let mut data = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        data.extend(long(8));
        data.extend(short(2));
        for (tag, value) in [(0x0100, 77), (TAG, u16::from(orientation))] {
            data.extend([short(tag), short(3)].concat());
            data.extend(long(1));
            data.extend([short(value), [0; 2]].concat());
        }
        data.extend([0; 4]);
        data
    }

    #[test]
    fn the_tag_is_found_in_either_byte_order_and_nonsense_is_upright() {
        for orientation in 1..=8 {
            for big in [false, true] {
                let data = exif(orientation, big);
                assert_eq!((of(&data), of(&[b"Exif\0\0", &data[..]].concat())), (orientation, orientation));
                for end in 0..data.len() {
                    assert!([1, orientation].contains(&of(&data[..end])));
                }
            }
        }
        assert_eq!((of(b""), of(&exif(0, true)), of(&exif(9, false))), (1, 1, 1));
        assert_eq!(of(b"II*\0\xff\xff\xff\xff\xff\xff"), 1);
    }

    #[test]
    fn each_orientation_turns_the_picture_upright() {
        // Seen as it should be: two rows of three.
        let seen = ["abc", "def"];
        for (orientation, stored) in [
            (1, &["abc", "def"][..]),
            (2, &["cba", "fed"]),
            (3, &["fed", "cba"]),
            (4, &["def", "abc"]),
            (5, &["ad", "be", "cf"]),
            (6, &["cf", "be", "ad"]),
            (7, &["fc", "eb", "da"]),
            (8, &["da", "eb", "fc"]),
        ] {
            let rgb: Vec<u8> = stored.concat().bytes().flat_map(|pixel| [pixel, 0, pixel]).collect();
            let (width, turned) = upright(stored[0].len(), rgb, orientation);
            let letters: String = turned.chunks(3).map(|pixel| char::from(pixel[2])).collect();
            assert_eq!((width, letters), (3, seen.concat()), "{orientation}");
        }
    }
}
