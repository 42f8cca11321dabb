//! Images: 8-bit RGB from binary PPM, and from PNG and JPEG with the feature `images`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::LabelError;

/// Most pixels of an image.
const MAX_PIXELS: usize = 1 << 26;

/// Sides of an image, at most.
const MAX_SIDE: usize = 1 << 15;

/// Most bytes of a file: what the largest image takes, and a header.
const MAX_BYTES: u64 = 3 * MAX_PIXELS as u64 + (1 << 20);

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// `rgb` is `[height][width][3]`; none if it is not whole rows, empty, or larger than 2^26 pixels or 2^15 on a side.
    pub fn new(width: usize, rgb: Vec<u8>) -> Option<Self> {
        let whole = width > 0 && !rgb.is_empty() && rgb.len().is_multiple_of(width.checked_mul(3)?);
        (whole && fits(width, rgb.len() / (3 * width)).is_ok()).then_some(Self { width, rgb })
    }

    /// Reads a file, by its first bytes, whatever it is called.
    ///
    /// # Errors
    /// [`LabelError::Read`] if it cannot be read, [`LabelError::Image`] if it is no image of a kind that is known.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        let mut file = File::open(path).map_err(|source| LabelError::Read { path: path.to_owned(), source })?;
        Self::read_from(path, &mut file)
    }

    /// Reads a stream to its end; errors call it `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(path: &Path, stream: &mut dyn Read) -> Result<Self, LabelError> {
        let mut bytes = vec![];
        let read = stream.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| LabelError::Read { path: path.to_owned(), source })?;
        Self::decode(&bytes).map_err(|problem| LabelError::Image { path: path.to_owned(), problem })
    }

    /// Decodes a file's bytes.
    ///
    /// # Errors
    /// What is wrong with them, and what would be right.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("larger than {} MB: give a smaller image", MAX_BYTES >> 20));
        }
        match bytes {
            [b'P', b'6', ..] => ppm(bytes),
            [0x89, b'P', b'N', b'G', ..] => compressed::png(bytes),
            [0xff, 0xd8, ..] => compressed::jpeg(bytes),
            _ => Err("not an image that is known here: give png, jpeg or binary ppm (P6)".into()),
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.rgb.len() / (3 * self.width)
    }

    /// `[height][width][3]`
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
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

/// Binary PPM with 8 bits: <https://netpbm.sourceforge.net/doc/ppm.html>.
fn ppm(bytes: &[u8]) -> Result<Image, String> {
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
    fits(width, height)?;
    let pixels = rest.get(1..).and_then(|rest| rest.get(..3 * width * height)).filter(|_| rest[0].is_ascii_whitespace());
    let pixels = pixels.ok_or_else(|| format!("a ppm of {width} x {height} that ends early: give the whole file"))?;
    Image::new(width, pixels.to_vec()).ok_or_else(wrong)
}

#[cfg(feature = "images")]
mod compressed {
    use std::io::Cursor;

    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    use super::{Image, MAX_PIXELS, MAX_SIDE, fits};

    pub(super) fn png(bytes: &[u8]) -> Result<Image, String> {
        let broken = |error: png::DecodingError| format!("a png that cannot be read ({error}): give a whole file");
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: 8 * MAX_PIXELS });
        // Palettes and less than 8 bits to 8 bits, 16 bits to 8.
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(broken)?;
        let (width, height) = (reader.info().width as usize, reader.info().height as usize);
        fits(width, height)?;
        let mut pixels = vec![0; reader.output_buffer_size().ok_or("a png too large for this machine")?];
        let info = reader.next_frame(&mut pixels).map_err(broken)?;
        pixels.truncate(info.buffer_size());
        // What is transparent keeps its colour.
        let rgb = match info.color_type {
            png::ColorType::Rgb => pixels,
            png::ColorType::Rgba => pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
            png::ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            png::ColorType::GrayscaleAlpha => pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
            png::ColorType::Indexed => return Err("a png whose palette cannot be read".into()),
        };
        Image::new(width, rgb).ok_or_else(|| "an empty png".into())
    }

    /// Marker behind the last scan; within a scan, where a zero follows 255, these bytes stand for nothing else.
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

    /// What stands behind the first scan's marker. Segments in front of it are passed over by their lengths: one may hold a small picture.
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

    pub(super) fn jpeg(bytes: &[u8]) -> Result<Image, String> {
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
        fits(width, height)?;
        let rgb = decoder.decode().map_err(broken)?;
        Image::new(width, rgb).ok_or_else(|| "an empty jpeg".into())
    }
}

#[cfg(not(feature = "images"))]
mod compressed {
    use super::Image;

    const WITHOUT: &str = "this build reads no compressed images: convert it to binary ppm, or build with the feature images";

    pub(super) fn png(_: &[u8]) -> Result<Image, String> {
        Err(WITHOUT.into())
    }

    pub(super) fn jpeg(_: &[u8]) -> Result<Image, String> {
        Err(WITHOUT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ppm_is_read_with_its_comments() {
        let image = Image::decode(b"P6 # made by hand\n2\t# wide\n1 255\n\x01\x02\x03\x04\x05\x06").unwrap();
        assert_eq!((image.width(), image.height(), image.rgb()), (2, 1, &[1, 2, 3, 4, 5, 6][..]));
    }

    #[cfg(feature = "images")]
    #[test]
    fn png_of_every_kind_is_read() {
        use png::{BitDepth, ColorType};
        let encode = |colour, depth, data: &[u8]| {
            let mut file = vec![];
            let mut encoder = png::Encoder::new(&mut file, 2, 1);
            encoder.set_color(colour);
            encoder.set_depth(depth);
            if colour == ColorType::Indexed {
                encoder.set_palette(vec![9, 8, 7, 1, 2, 3]);
            }
            encoder.write_header().unwrap().write_image_data(data).unwrap();
            file
        };
        for (colour, depth, data, rgb) in [
            (ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 4, 5, 6][..], [1, 2, 3, 4, 5, 6]),
            (ColorType::Rgb, BitDepth::Sixteen, &[1, 99, 2, 99, 3, 99, 4, 99, 5, 99, 6, 99], [1, 2, 3, 4, 5, 6]),
            (ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 0, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6]),
            (ColorType::Grayscale, BitDepth::Eight, &[7, 200], [7, 7, 7, 200, 200, 200]),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, &[7, 0, 200, 9], [7, 7, 7, 200, 200, 200]),
            (ColorType::Grayscale, BitDepth::One, &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
            (ColorType::Indexed, BitDepth::One, &[0b0100_0000], [9, 8, 7, 1, 2, 3]),
        ] {
            let file = encode(colour, depth, data);
            let image = Image::decode(&file).unwrap();
            assert_eq!((image.width(), image.rgb()), (2, &rgb[..]), "{colour:?} {depth:?}");
            // Cut before the picture's last bytes: a check value and the closing chunk stand behind it.
            for end in 0..file.len() - 16 {
                assert!(Image::decode(&file[..end]).is_err(), "{colour:?} {depth:?}, {end} of {} bytes", file.len());
            }
        }
    }

    #[cfg(feature = "images")]
    #[test]
    fn jpeg_is_read_whole_or_not_at_all() {
        // Drawn for this test: rows of red, green and blue, eight pixels high.
        for file in [&include_bytes!("testdata/stripes.jpg")[..], include_bytes!("testdata/stripes-progressive.jpg")] {
            let image = Image::decode(file).unwrap();
            assert_eq!((image.width(), image.height()), (16, 24));
            for (row, colour) in [(3, [255, 0, 0]), (11, [0, 255, 0]), (19, [0, 0, 255])] {
                let pixel = &image.rgb()[3 * (16 * row + 7)..][..3];
                assert!(pixel.iter().zip(colour).all(|(&have, wanted)| have.abs_diff(wanted) < 8), "row {row}: {pixel:?}");
            }
            for end in 0..file.len() {
                assert!(Image::decode(&file[..end]).is_err(), "{end} of {} bytes", file.len());
            }
            // A thumbnail in front, which ends, changes nothing; nor does what some cameras write behind the picture.
            let thumbnail = [&[0xff, 0xe1, 0, 8][..], &[0xff, 0xda, 1, 0xff, 0xd9, 0]].concat();
            let framed = [&file[..2], &thumbnail, &file[2..], b"\xff\xdamaker's notes"].concat();
            assert_eq!(Image::decode(&framed).unwrap(), image);
            let cut = [&file[..2], &thumbnail, &file[2..file.len() - 2]].concat();
            assert!(Image::decode(&cut).unwrap_err().contains("ends early"));
        }
    }

    #[test]
    fn what_is_no_image_is_told_in_a_line() {
        let cases: [(&[u8], &str); 10] = [
            (b"", "give png, jpeg or binary ppm"),
            (b"GIF89a", "give png, jpeg or binary ppm"),
            (b"P6", "not a binary ppm"),
            (b"P6 2 1 65535\n", "not a binary ppm"),
            (b"P6 0 1 255\n", "not a binary ppm"),
            (b"P6 99999999999999999999 1 255\n", "not a binary ppm"),
            (b"P6 1 32769 255\n", "1 x 32769 pixels, at most 32768 a side"),
            (b"P6 4294967296 4294967296 255\n", "give a smaller image"),
            (b"P6 2 2 255\n\x00\x00", "ends early"),
            (b"P6 2 2 255", "ends early"),
        ];
        for (bytes, wanted) in cases {
            let line = Image::decode(bytes).unwrap_err();
            assert!(line.contains(wanted), "{bytes:?}: {line}");
        }
        for start in [&b"\x89PNG\r\n\x1a\nxx"[..], b"\xff\xd8\xff\xe0xx"] {
            assert!(Image::decode(start).is_err());
        }
    }
}
