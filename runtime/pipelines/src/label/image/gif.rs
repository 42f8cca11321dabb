//! GIF: the first frame.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{Budget, Image, on_white};

/// Bytes a pixel: the frame, and what it is drawn on.
const BYTES_PER_PIXEL: usize = 8;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Image, String> {
    let broken = |error: DecodingError| format!("a gif that cannot be read ({error}): give a whole file");
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.check_frame_consistency(true);
    options.check_lzw_end_code(false);
    if let Some(limit) = NonZeroU64::new(budget.0 as u64) {
        options.set_memory_limit(MemoryLimit::Bytes(limit));
    }
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(broken)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    budget.check(width, height, BYTES_PER_PIXEL)?;
    let frame = decoder.read_next_frame().map_err(broken)?.ok_or("a gif without a picture: give a whole file")?;
    let mut rgb = vec![255; 3 * width * height];
    let (left, top, columns) = (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width));
    for (y, row) in frame.buffer.chunks_exact(4 * columns.max(1)).enumerate() {
        let target = rgb.get_mut(3 * ((top + y) * width + left)..).and_then(|rest| rest.get_mut(..3 * columns));
        let target = target.ok_or("a gif whose frame lies outside its picture")?;
        for (pixel, &[red, green, blue, alpha]) in target.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<4>().0) {
            *pixel = [red, green, blue].map(|value| on_white(value, alpha));
        }
    }
    Image::new(width, rgb).ok_or_else(|| "an empty gif".into())
}
