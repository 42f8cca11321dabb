//! Images: 8-bit RGB from binary PPM, and from PNG, JPEG, WebP and GIF with the feature `images`.
//!
//! A picture is what people see: turned as its EXIF orientation says, what is transparent on white, of several frames the first.

#[cfg(feature = "images")]
mod gif;
#[cfg(feature = "images")]
mod jpeg;
mod kinds;
#[cfg(any(feature = "images", test))]
mod orientation;
#[cfg(feature = "images")]
mod png;
#[cfg(feature = "images")]
mod webp;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::LabelError;
use kinds::Kind;

/// What the names of images end with that are read here, without the point.
pub const ENDINGS: [&str; 9] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "ppm", "pnm"];

/// What the names of images end with that are not.
const UNREAD: [&str; 17] =
    ["heic", "heif", "avif", "tif", "tiff", "bmp", "jxl", "jp2", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "svg"];

/// Whether a file's name ends like an image's.
pub fn has_image_ending(path: &Path) -> bool {
    ends_with_one(path, &ENDINGS)
}

/// Whether a file's name ends like an image's of a kind that is not read here.
pub fn has_unread_image_ending(path: &Path) -> bool {
    ends_with_one(path, &UNREAD)
}

fn ends_with_one(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// Most pixels of an image.
const MAX_PIXELS: usize = 1 << 26;

/// Sides of an image, at most.
const MAX_SIDE: usize = 1 << 15;

/// Most bytes of a file: what the largest image takes, and a header.
const MAX_BYTES: u64 = 3 * MAX_PIXELS as u64 + (1 << 20);

/// Bytes that reading an image may take by default: enough for every kind at its largest.
const MAX_MEMORY: usize = 1 << 30;

/// An image.
///
/// ```
/// let red = ossicle::Image::new(2, [255, 0, 0].repeat(4)).expect("two rows of two pixels");
/// assert_eq!((red.width(), red.height()), (2, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// `rgb` is `[height][width][3]`; none if it is not whole rows, empty, or larger than 2^26 pixels or 2^15 on a side.
    ///
    /// ```
    /// assert!(ossicle::Image::new(2, vec![0; 12]).is_some());
    /// assert!(ossicle::Image::new(2, vec![0; 13]).is_none());
    /// ```
    pub fn new(width: usize, rgb: Vec<u8>) -> Option<Self> {
        let whole = width > 0 && !rgb.is_empty() && rgb.len().is_multiple_of(width.checked_mul(3)?);
        (whole && fits(width, rgb.len() / (3 * width)).is_ok()).then_some(Self { width, rgb })
    }

    /// Reads a file, by its first bytes, whatever it is called.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let cat = ossicle::Image::read("samples/cat.jpg".as_ref())?;
    /// assert!(cat.width() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LabelError::Read`] if it cannot be read, [`LabelError::Image`] if it is no image of a kind that is known, or too large.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        Self::read_within(path, MAX_MEMORY)
    }

    /// [`read`](Self::read) with at most `memory` bytes, the file's own among them: what would take more is refused by its header.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_within(path: &Path, memory: usize) -> Result<Self, LabelError> {
        let mut file = File::open(path).map_err(|source| LabelError::Read { path: path.to_owned(), source })?;
        Self::read_from(path, &mut file, memory)
    }

    /// [`read_within`](Self::read_within) of a stream to its end; errors call it `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(path: &Path, stream: &mut dyn Read, memory: usize) -> Result<Self, LabelError> {
        let memory = memory.min(MAX_MEMORY);
        let mut bytes = vec![];
        let most = MAX_BYTES.min(memory as u64 / 2);
        let read = stream.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|source| LabelError::Read { path: path.to_owned(), source })?;
        let image = if bytes.len() as u64 > most { Err(too_large(most)) } else { Self::decode_within(&bytes, memory) };
        image.map_err(|problem| LabelError::Image { path: path.to_owned(), problem })
    }

    /// Decodes a file's bytes.
    ///
    /// ```
    /// let image = ossicle::Image::decode(b"P6 1 1 255\n\x01\x02\x03")?;
    /// assert_eq!(image.rgb(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with them, and what would be right.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        Self::decode_within(bytes, MAX_MEMORY)
    }

    /// The same with at most `memory` bytes, `bytes` twice among them.
    ///
    /// ```
    /// assert!(ossicle::Image::decode_within(b"P6 100 100 255\n", 1000).is_err());
    /// ```
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_within(bytes: &[u8], memory: usize) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(MAX_BYTES));
        }
        // What was read may lie in a vector of twice its size.
        let budget = Budget(memory.saturating_sub(2 * bytes.len()));
        match kinds::of(bytes) {
            Kind::Ppm => ppm(bytes, budget),
            Kind::Refused(line) => Err(line),
            #[cfg(feature = "images")]
            Kind::Png => png::decode(bytes, budget),
            #[cfg(feature = "images")]
            Kind::Jpeg => jpeg::decode(bytes, budget),
            #[cfg(feature = "images")]
            Kind::WebP => webp::decode(bytes, budget),
            #[cfg(feature = "images")]
            Kind::Gif => gif::decode(bytes, budget),
            #[cfg(not(feature = "images"))]
            _ => Err("this build reads no compressed images: convert it to binary ppm, or build with the feature images".into()),
        }
    }

    /// Columns.
    ///
    /// ```
    /// assert_eq!(ossicle::Image::new(3, vec![0; 9]).map(|image| image.width()), Some(3));
    /// ```
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    ///
    /// ```
    /// assert_eq!(ossicle::Image::new(3, vec![0; 18]).map(|image| image.height()), Some(2));
    /// ```
    pub fn height(&self) -> usize {
        self.rgb.len() / (3 * self.width)
    }

    /// `[height][width][3]`
    ///
    /// ```
    /// let image = ossicle::Image::new(1, vec![1, 2, 3]).expect("one pixel");
    /// assert_eq!(image.rgb(), [1, 2, 3]);
    /// ```
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

fn too_large(bytes: u64) -> String {
    format!("larger than {} MB: give a smaller image", bytes >> 20)
}

/// Refuses what is larger than an image may be.
fn fits(width: usize, height: usize) -> Result<(), String> {
    let fits = width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
    if fits {
        Ok(())
    } else {
        Err(format!("{width} x {height} pixels, at most {MAX_SIDE} a side and {} million: give a smaller image", MAX_PIXELS >> 20))
    }
}

/// Bytes that decoding may take.
#[derive(Clone, Copy)]
struct Budget(usize);

impl Budget {
    /// Refuses an image of these sides if it is too large, or if a decoder that takes so many bytes a pixel would go beyond the budget.
    fn check(self, width: usize, height: usize, bytes_per_pixel: usize) -> Result<(), String> {
        fits(width, height)?;
        let needed = width * height * bytes_per_pixel;
        if needed <= self.0 {
            return Ok(());
        }
        let [needed, left] = [needed, self.0].map(|bytes| bytes as f64 / 1e6);
        Err(format!("{width} x {height} pixels take {needed:.1} MB to read, {left:.1} MB are left: give a smaller image, or more memory"))
    }
}

/// One channel of a pixel on white.
#[cfg(feature = "images")]
fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Red, green, blue and alpha become red, green and blue on white, in place.
#[cfg(feature = "images")]
fn flatten(mut rgba: Vec<u8>) -> Vec<u8> {
    let pixels = rgba.len() / 4;
    for pixel in 0..pixels {
        let alpha = rgba[4 * pixel + 3];
        for channel in 0..3 {
            rgba[3 * pixel + channel] = on_white(rgba[4 * pixel + channel], alpha);
        }
    }
    rgba.truncate(3 * pixels);
    rgba
}

/// Binary PPM with 8 bits: <https://netpbm.sourceforge.net/doc/ppm.html>.
fn ppm(bytes: &[u8], budget: Budget) -> Result<Image, String> {
    let wrong = || "not a binary ppm of 8 bits (P6, width, height, 255, pixels)".to_owned();
    let mut rest = &bytes[2..];
    let mut figures = [0usize; 3];
    for figure in &mut figures {
        loop {
            match rest {
                [b'#', ..] => {
                    let line = rest.iter().position(|&byte| byte == b'\n').ok_or_else(wrong)?;
                    rest = &rest[line..];
                }
                [byte, after @ ..] if byte.is_ascii_whitespace() => rest = after,
                _ => break,
            }
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = str::from_utf8(&rest[..digits]).map_err(|_| wrong())?;
        *figure = text.parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
    }
    let [width, height, 255] = figures else { return Err(wrong()) };
    budget.check(width, height, 3)?;
    let pixels = rest.get(1..).and_then(|rest| rest.get(..3 * width * height)).filter(|_| rest[0].is_ascii_whitespace());
    let pixels = pixels.ok_or_else(|| format!("a ppm of {width} x {height} that ends early: give the whole file"))?;
    Image::new(width, pixels.to_vec()).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
