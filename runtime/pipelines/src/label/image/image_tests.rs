use super::*;

#[test]
fn ppm_is_read_with_its_comments() {
    let image = Image::decode(b"P6 # made by hand\n2\t# wide\n1 255\n\x01\x02\x03\x04\x05\x06").unwrap();
    assert_eq!((image.width(), image.height(), image.rgb()), (2, 1, &[1, 2, 3, 4, 5, 6][..]));
}

#[cfg(feature = "images")]
fn png_of(colour: ::png::ColorType, depth: ::png::BitDepth, transparent: Option<Vec<u8>>, data: &[u8]) -> Vec<u8> {
    let mut file = vec![];
    let mut encoder = ::png::Encoder::new(&mut file, 2, 1);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == ::png::ColorType::Indexed {
        encoder.set_palette(vec![9, 8, 7, 1, 2, 3]);
    }
    if let Some(transparent) = transparent {
        encoder.set_trns(transparent);
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    file
}

#[cfg(feature = "images")]
#[test]
fn png_of_every_kind_is_read() {
    use ::png::{BitDepth, ColorType};
    let white = |value: u32, alpha: u32| (255 - (255 - value) * alpha / 255) as u8;
    for (colour, depth, data, rgb) in [
        (ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 4, 5, 6][..], [1, 2, 3, 4, 5, 6]),
        (ColorType::Rgb, BitDepth::Sixteen, &[1, 99, 2, 99, 3, 99, 4, 99, 5, 99, 6, 99], [1, 2, 3, 4, 5, 6]),
        (ColorType::Rgba, BitDepth::Eight, &[1, 2, 3, 0, 4, 5, 6, 255], [255, 255, 255, 4, 5, 6]),
        (ColorType::Rgba, BitDepth::Sixteen, &[1, 9, 2, 9, 3, 9, 0, 9, 4, 9, 5, 9, 6, 9, 255, 255], [255, 255, 255, 4, 5, 6]),
        (ColorType::Grayscale, BitDepth::Eight, &[7, 200], [7, 7, 7, 200, 200, 200]),
        (ColorType::Grayscale, BitDepth::Sixteen, &[7, 1, 200, 1], [7, 7, 7, 200, 200, 200]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &[7, 0, 200, 51], [255, 255, 255, white(200, 51), white(200, 51), white(200, 51)]),
        (ColorType::Grayscale, BitDepth::One, &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
        (ColorType::Indexed, BitDepth::One, &[0b0100_0000], [9, 8, 7, 1, 2, 3]),
    ] {
        let file = png_of(colour, depth, None, data);
        let image = Image::decode(&file).unwrap();
        assert_eq!((image.width(), image.rgb()), (2, &rgb[..]), "{colour:?} {depth:?}");
        // Cut before the picture's last bytes: a check value and the closing chunk stand after it.
        for end in 0..file.len() - 16 {
            assert!(Image::decode(&file[..end]).is_err(), "{colour:?} {depth:?}, {end} of {} bytes", file.len());
        }
    }
}

#[cfg(feature = "images")]
#[test]
fn png_with_transparent_colours_is_on_white_and_stands_upright() {
    use ::png::{BitDepth, ColorType};
    let file = png_of(ColorType::Indexed, BitDepth::One, Some(vec![0, 255]), &[0b0100_0000]);
    assert_eq!(Image::decode(&file).unwrap().rgb(), [255, 255, 255, 1, 2, 3]);
    let file = png_of(ColorType::Grayscale, BitDepth::Eight, Some(vec![0, 7]), &[7, 8]);
    assert_eq!(Image::decode(&file).unwrap().rgb(), [255, 255, 255, 8, 8, 8]);
    let chunk = chunk(b"eXIf", &orientation::tests::exif(6, true));
    let file = png_of(ColorType::Rgb, BitDepth::Eight, None, &[1, 2, 3, 4, 5, 6]);
    // After the signature and the header's chunk.
    let file = [&file[..33], &chunk, &file[33..]].concat();
    let image = Image::decode(&file).unwrap();
    assert_eq!((image.width(), image.height(), image.rgb()), (1, 2, &[1, 2, 3, 4, 5, 6][..]));
}

#[cfg(feature = "images")]
#[test]
fn texts_and_profiles_of_a_png_are_never_unpacked() {
    use ::png::{BitDepth, ColorType};
    let file = png_of(ColorType::Rgb, BitDepth::Eight, None, &[1, 2, 3, 4, 5, 6]);
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 64 << 20], 1);
    let chunks = [chunk(b"iCCP", &[b"a\0\0", &bomb[..]].concat()), chunk(b"zTXt", &[b"a\0\0", &bomb[..]].concat())].concat();
    let image = Image::decode(&[&file[..33], &chunks, &file[33..]].concat()).unwrap();
    assert_eq!(image.rgb(), [1, 2, 3, 4, 5, 6]);
}

/// A chunk of a PNG.
#[cfg(feature = "images")]
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let mut crc = u32::MAX;
    for &byte in &body {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

/// Rows of red, green and blue, eight pixels high and sixteen wide; the first so many columns are another colour.
#[cfg(feature = "images")]
#[track_caller]
fn assert_striped(image: &Image, near: u8, left: Option<[u8; 3]>) {
    assert_eq!((image.width(), image.height()), (16, 24));
    for (row, colour) in [(3, [255, 0, 0]), (11, [0, 255, 0]), (19, [0, 0, 255])] {
        for (column, colour) in [(3, left.unwrap_or(colour)), (13, colour)] {
            let pixel = &image.rgb()[3 * (16 * row + column)..][..3];
            assert!(pixel.iter().zip(colour).all(|(&have, wanted)| have.abs_diff(wanted) < near), "row {row}: {pixel:?}");
        }
    }
}

#[cfg(feature = "images")]
#[test]
fn jpeg_may_have_four_colours_and_any_orientation() {
    assert_striped(&Image::decode(include_bytes!("../testdata/stripes-cmyk.jpg")).unwrap(), 16, None);
    let file = include_bytes!("../testdata/stripes.jpg");
    let stored = Image::decode(file).unwrap();
    for orientation in 1..=8 {
        let exif = [b"Exif\0\0", &orientation::tests::exif(orientation, false)[..]].concat();
        let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
        let image = Image::decode(&[&file[..2], &segment, &file[2..]].concat()).unwrap();
        let (width, rgb) = orientation::upright(16, stored.rgb().to_vec(), orientation);
        assert_eq!((image.width(), image.rgb()), (width, &rgb[..]), "{orientation}");
    }
}

#[cfg(feature = "images")]
#[test]
fn webp_of_every_kind_is_read() {
    assert_striped(&Image::decode(include_bytes!("../testdata/stripes.webp")).unwrap(), 40, None);
    let halved = include_bytes!("../testdata/stripes-half-transparent.webp");
    assert_striped(&Image::decode(halved).unwrap(), 40, Some([255; 3]));
    let first = include_bytes!("../testdata/stripes-animated.webp");
    assert_striped(&Image::decode(first).unwrap(), 40, Some([255; 3]));
    let mut lossless = vec![];
    let rgba = [[1, 2, 3, 0], [4, 5, 6, 255]].concat();
    image_webp::WebPEncoder::new(&mut lossless).encode(&rgba, 2, 1, image_webp::ColorType::Rgba8).unwrap();
    assert_eq!(Image::decode(&lossless).unwrap().rgb(), [255, 255, 255, 4, 5, 6]);
    for file in [&halved[..], first, &lossless] {
        for end in 0..file.len() - 8 {
            let _ = Image::decode(&file[..end]);
        }
    }
}

#[cfg(feature = "images")]
#[test]
fn gif_gives_its_first_frame_on_white() {
    use ::gif::{Encoder, Frame};
    let mut file = vec![];
    let mut encoder = Encoder::new(&mut file, 3, 2, &[9, 8, 7, 1, 2, 3]).unwrap();
    // One row of two at the right of the second row, the first pixel transparent.
    let frame = Frame { left: 1, top: 1, width: 2, height: 1, transparent: Some(0), buffer: vec![0, 1].into(), ..Frame::default() };
    encoder.write_frame(&frame).unwrap();
    encoder.write_frame(&Frame { width: 3, height: 2, buffer: vec![0; 6].into(), ..Frame::default() }).unwrap();
    drop(encoder);
    let image = Image::decode(&file).unwrap();
    assert_eq!((image.width(), image.height()), (3, 2));
    assert_eq!(image.rgb(), [[255; 3], [255; 3], [255; 3], [255; 3], [255; 3], [1, 2, 3]].concat());
    for end in 0..file.len() {
        let _ = Image::decode(&file[..end]);
    }
}

#[cfg(feature = "images")]
#[test]
fn what_would_take_too_much_memory_is_refused_by_its_header() {
    let large = |width: u32, height: u32| {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
        [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[])].concat()
    };
    let jpeg = |side: u16, colours: u8| {
        let [high, low] = side.to_be_bytes();
        let mut file = vec![0xff, 0xd8, 0xff, 0xc2, 0, 8 + 3 * colours, 8, high, low, high, low, colours];
        file.extend((1..=colours).flat_map(|colour| [colour, 0x11, 0]));
        file.extend([0xff, 0xda, 0, 6 + 2 * colours, colours]);
        file.extend((1..=colours).flat_map(|colour| [colour, 0]));
        [&file[..], &[0, 0, 0, 0xff, 0xd9]].concat()
    };
    // An extended WebP of 1 x 1 pixel whose picture has 9000 x 9000.
    let side = 9000u16.to_le_bytes();
    let vp8 = [&b"VP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a"[..], &side, &side].concat();
    let webp = [&b"RIFF\x2c\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0"[..], &vp8].concat();
    let gif = [&b"GIF89a"[..], &9000u16.to_le_bytes(), &9000u16.to_le_bytes(), &[0x80, 0, 0], &[0; 6]].concat();
    let gif = [&gif[..], b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;"].concat();
    for (kind, bytes, memory) in [
        ("ppm", b"P6 4000 4000 255\n".to_vec(), 40 << 20),
        ("png", large(4000, 4000), 80 << 20),
        ("jpeg", jpeg(4000, 3), 180 << 20),
        ("cmyk", jpeg(4000, 4), 240 << 20),
        ("webp", webp, 1 << 30),
        ("gif", gif, 500 << 20),
    ] {
        let line = Image::decode_within(&bytes, memory).unwrap_err();
        assert!(line.contains(" MB are left: give a smaller image") || line.contains("at most 32768 a side"), "{kind}: {line}");
    }
    assert!(Image::decode(&large(30_000, 30_000)).unwrap_err().contains("at most 32768 a side and 64 million"));
}

#[cfg(feature = "images")]
#[test]
fn jpeg_is_read_whole_or_not_at_all() {
    // Drawn for this test: rows of red, green and blue, eight pixels high.
    for file in [&include_bytes!("../testdata/stripes.jpg")[..], include_bytes!("../testdata/stripes-progressive.jpg")] {
        let image = Image::decode(file).unwrap();
        assert_striped(&image, 8, None);
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
    let cases: [(&[u8], &str); 15] = [
        (b"", "give png, jpeg, webp, gif or binary ppm"),
        (b"GIF89a", if cfg!(feature = "images") { "a gif that cannot be read" } else { "this build reads no compressed images" }),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "a picture in HEIC, as phones take them, which is not read here: convert it to jpeg or png",
        ),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "a picture in AVIF, which"),
        (b"II*\0\x08\0\0\0", "a picture in TIFF or"),
        (b"BM\x36\0\0\0\0\0\0\0", "a picture in BMP, which"),
        (b"\xff\x0a\x20", "a picture in JPEG XL, which"),
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
