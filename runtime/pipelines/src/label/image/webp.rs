//! WebP: <https://developers.google.com/speed/webp/docs/riff_container>.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::{Budget, Image, flatten, orientation};

/// Bytes a pixel: two frames of four, luma and chroma, transparency while it is unpacked.
const BYTES_PER_PIXEL: usize = 16;

/// Most bytes of what a camera wrote about a picture.
const EXIF_BYTES: usize = 1 << 20;

/// Bytes of an animation frame's header: place, size, duration.
const FRAME_HEADER: usize = 16;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Image, String> {
    let broken = |error: DecodingError| format!("a webp that cannot be read ({error}): give a whole file");
    check_frames(bytes.get(12..).unwrap_or_default(), budget)?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    budget.check(width, height, BYTES_PER_PIXEL)?;
    decoder.set_memory_limit(EXIF_BYTES);
    let turned = decoder.exif_metadata().ok().flatten().map_or(1, |exif| orientation::of(&exif));
    if decoder.is_animated() {
        decoder.set_background_color([255; 4]).map_err(broken)?;
    }
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("a webp too large for this machine")?];
    decoder.read_image(&mut pixels).map_err(broken)?;
    let rgb = if decoder.has_alpha() { flatten(pixels) } else { pixels };
    let (width, rgb) = orientation::upright(width, rgb, turned);
    Image::new(width, rgb).ok_or_else(|| "an empty webp".into())
}

/// Refuses pictures that are too large by their own headers: the decoder takes memory for them whatever size the file gives in front.
fn check_frames(mut chunks: &[u8], budget: Budget) -> Result<(), String> {
    while let [a, b, c, d, l0, l1, l2, l3, rest @ ..] = chunks {
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let body = &rest[..length.min(rest.len())];
        match [*a, *b, *c, *d] {
            // Three bytes of a frame tag, three of a start code, then 14 bits of either side.
            tag if &tag == b"VP8 " => {
                if let [_, _, _, _, _, _, w0, w1, h0, h1, ..] = *body {
                    let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
                    budget.check(side(w0, w1), side(h0, h1), BYTES_PER_PIXEL)?;
                }
            }
            // A signature, then 14 bits of either side less one.
            tag if &tag == b"VP8L" => {
                if let [_, b0, b1, b2, b3, ..] = *body {
                    let bits = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
                    budget.check((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, BYTES_PER_PIXEL)?;
                }
            }
            tag if &tag == b"ANMF" => check_frames(body.get(FRAME_HEADER..).unwrap_or_default(), budget)?,
            _ => {}
        }
        chunks = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Ok(())
}
