//! PNG.

use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, Transformations};

use super::{Budget, Image, flatten, on_white, orientation};

/// Bytes that the decoder may take for rows and chunks: a row of the widest image with 16 bits, and what cameras write about a picture.
const DECODER_BYTES: usize = 16 << 20;

/// Bytes a pixel: grey with alpha and what becomes of it; or RGB, turned.
const BYTES_PER_PIXEL: usize = 6;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Image, String> {
    let broken = |error: DecodingError| format!("a png that cannot be read ({error}): give a whole file");
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: DECODER_BYTES });
    // A few bytes of either can stand for gigabytes.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes and less than 8 bits to 8 bits, 16 bits to 8.
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    budget.check(width, height, BYTES_PER_PIXEL)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("a png too large for this machine")?];
    let info = reader.next_frame(&mut pixels).map_err(broken)?;
    pixels.truncate(info.buffer_size());
    let rgb = match info.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => flatten(pixels),
        ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [on_white(grey, alpha); 3]).collect(),
        ColorType::Indexed => return Err("a png whose palette cannot be read".into()),
    };
    let turned = reader.info().exif_metadata.as_deref().map_or(1, orientation::of);
    let (width, rgb) = orientation::upright(width, rgb, turned);
    Image::new(width, rgb).ok_or_else(|| "an empty png".into())
}
