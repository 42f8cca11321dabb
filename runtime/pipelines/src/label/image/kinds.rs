//! What a file is, by its first bytes.

/// A kind of file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ppm,
    Png,
    Jpeg,
    WebP,
    Gif,
    /// Not read here; the line says what it is and what to do.
    Refused(String),
}

/// The kind of a file that begins with `bytes`.
pub(super) fn of(bytes: &[u8]) -> Kind {
    match bytes {
        [b'P', b'6', ..] => Kind::Ppm,
        [0x89, b'P', b'N', b'G', ..] => Kind::Png,
        [0xff, 0xd8, ..] => Kind::Jpeg,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::WebP,
        [b'G', b'I', b'F', b'8', ..] => Kind::Gif,
        _ => Kind::Refused(match name(bytes) {
            Some(name) => format!("a picture in {name}, which is not read here: convert it to jpeg or png"),
            None => "not an image that is known here: give png, jpeg, webp, gif or binary ppm (P6)".into(),
        }),
    }
}

/// What people call kinds that are not read.
fn name(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => of_brands(brands),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some("TIFF or a camera's raw format"),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some("BMP"),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Some("JPEG 2000"),
        _ => None,
    }
}

/// The main brand, its version, and the others of an ISO base media file: <https://mp4ra.org/registered-types/brands>.
fn of_brands(brands: &[u8]) -> Option<&'static str> {
    let has = |names: &[&[u8; 4]]| brands.as_chunks::<4>().0.iter().take(8).any(|brand| names.contains(&brand));
    if has(&[b"avif", b"avis"]) {
        Some("AVIF")
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        Some("HEIC, as phones take them")
    } else {
        None
    }
}
