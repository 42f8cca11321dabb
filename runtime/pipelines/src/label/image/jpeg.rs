//! JPEG.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Budget, Image, MAX_SIDE, orientation};

/// Bytes a pixel of a progressive image: coefficients of 16 bits for each of three colours, and RGB.
const BYTES_PER_PIXEL: usize = 12;
/// The same with a fourth colour.
const BYTES_PER_PIXEL_CMYK: usize = 16;

/// Marker after the last scan; within a scan, where a zero follows 255, these bytes stand for nothing else.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// What stands after the first scan's marker. Segments in front of it are passed over by their lengths: one may hold a small picture.
fn scans(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(2..)?;
    loop {
        rest = match rest {
            [0xff, 0xda, scans @ ..] => return Some(scans),
            [0xff, 0xff, ..] => &rest[1..],
            [0xff, _, high, low, ..] => rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..)?,
            _ => return None,
        };
    }
}

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Image, String> {
    // The decoder fills what is missing with grey, and does not always notice.
    if !scans(bytes).is_some_and(|scans| scans.windows(2).any(|pair| pair == END_OF_IMAGE)) {
        return Err("a jpeg that ends early: give the whole file".into());
    }
    let options = DecoderOptions::default().set_max_width(MAX_SIDE).set_max_height(MAX_SIDE).set_strict_mode(true);
    let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    let broken = |error| format!("a jpeg that cannot be read ({error}): give a whole file");
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or("a jpeg without dimensions")?;
    let four = matches!(decoder.input_colorspace(), Some(ColorSpace::CMYK | ColorSpace::YCCK));
    budget.check(width, height, if four { BYTES_PER_PIXEL_CMYK } else { BYTES_PER_PIXEL })?;
    let rgb = decoder.decode().map_err(broken)?;
    let turned = decoder.exif().map_or(1, |exif| orientation::of(exif));
    let (width, rgb) = orientation::upright(width, rgb, turned);
    Image::new(width, rgb).ok_or_else(|| "an empty jpeg".into())
}
