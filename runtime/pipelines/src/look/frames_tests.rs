use super::*;

/// Hands out a few bytes at a time, as a pipe may.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(out.len());
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn frames(bytes: &[u8], raw: Option<Raw>) -> Result<Vec<Frame>, FrameError> {
    let mut all: Option<Vec<Frame>> = None;
    for step in [1, 7, 1 << 20] {
        let mut reader = FrameReader::new(Slow(bytes, step), raw)?;
        let mut found = vec![];
        while let Some(frame) = reader.next_frame()? {
            found.push(frame);
        }
        if let Some(all) = &all {
            assert!(all.iter().map(|frame| &frame.bytes).eq(found.iter().map(|frame| &frame.bytes)), "{step} bytes at a time");
        }
        all = Some(found);
    }
    Ok(all.unwrap_or_default())
}

fn problem(bytes: &[u8], raw: Option<Raw>) -> String {
    frames(bytes, raw).expect_err("refused").to_string()
}

/// A JPEG's bytes as far as cutting goes: an image within a segment, stuffed bytes, a restart, a second scan.
fn jpeg(more: u8) -> Vec<u8> {
    let inner = [0xff, 0xd8, 0xff, 0xd9, more];
    let mut out = vec![0xff, 0xd8, 0xff, 0xe1, 0, 2 + inner.len() as u8];
    out.extend(inner);
    out.extend([0xff, 0xda, 0, 3, 1, 5, 6, 0xff, 0, 0xff, 0, 9, 0xff, 0xd3, 4, 0xff, 0xda, 0, 2, 8, 0xff, 0xff, 0xd9]);
    out
}

#[test]
fn jpeg_images_are_cut_at_their_ends() {
    let (one, two) = (jpeg(1), jpeg(2));
    let found = frames(&[one.clone(), two.clone()].concat(), None).unwrap();
    assert_eq!(found.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>(), [one.clone(), two.clone()]);
    assert_eq!(found.iter().map(Frame::index).collect::<Vec<_>>(), [0, 1]);
    let multipart = [
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n".as_slice(),
        &one,
        b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n",
        &two,
        b"\r\n",
    ];
    assert_eq!(frames(&multipart.concat(), None).unwrap().len(), 2);
    assert!(problem(&one[..one.len() - 1], None).contains("frame 0: cut off"));
    assert!(problem(&[one, vec![0; MAX_BETWEEN + 1]].concat(), None).contains("frame 1: no JPEG image begins"));
}

#[test]
fn png_and_ppm_images_follow_each_other() {
    let chunk = |kind: &[u8; 4], data: &[u8]| [&(data.len() as u32).to_be_bytes(), kind.as_slice(), data, &[0; 4]].concat();
    let png = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", b"IEND"), chunk(b"IEND", b"")].concat();
    assert_eq!(frames(&[png.clone(), png.clone()].concat(), None).unwrap().len(), 2);
    assert!(problem(&png[..30], None).contains("cut off"));
    let ppm = b"P6\n2 1\n255\nabcdef".to_vec();
    let found = frames(&[ppm.clone(), ppm.clone()].concat(), None).unwrap();
    assert_eq!(found.len(), 2);
    let image = found[1].decode().unwrap();
    assert_eq!((image.width(), image.height(), image.rgb()), (2, 1, b"abcdef".as_slice()));
    assert!(problem(b"P6\n2 1\n65535\nabcdef", None).contains("65535"));
    assert!(problem(b"P6\n99999999 99999999\n255\n", None).contains("larger"));
    assert!(problem(&ppm[..ppm.len() - 1], None).contains("cut off after 5 of 6 bytes"));
}

#[test]
fn yuv4mpeg2_says_its_size_and_rate() {
    let frame = [b"FRAME\n".as_slice(), &[235; 4], &[128; 2]].concat();
    let stream = [b"YUV4MPEG2 W2 H2 F30000:1001 Ip A1:1 C420mpeg2\n".to_vec(), frame.clone(), frame.clone()].concat();
    let found = frames(&stream, None).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].decode().unwrap().rgb(), [255; 12]);
    let reader = FrameReader::new(&stream[..], None).unwrap();
    assert!((reader.rate().unwrap() - 29.97).abs() < 0.001);
    let mono = [b"YUV4MPEG2 W2 H1 F1:0 Cmono XCOLORRANGE=FULL\nFRAME\n".as_slice(), &[7, 9]].concat();
    let found = frames(&mono, None).unwrap();
    assert_eq!(found[0].decode().unwrap().rgb(), [7, 7, 7, 9, 9, 9]);
    assert_eq!(FrameReader::new(&mono[..], None).unwrap().rate(), None);
    assert!(problem(b"YUV4MPEG2 W2 H2 C444\n", None).contains("C444"));
    assert!(problem(b"YUV4MPEG2 W2 H2 C420p10\n", None).contains("C420p10"));
    assert!(problem(b"YUV4MPEG2 H2\n", None).contains("no size"));
    assert!(problem(&[stream, b"NONSENSE\n".to_vec()].concat(), None).contains("FRAME was expected"));
}

#[test]
fn bare_pixels_are_what_they_are_said_to_be() {
    let rgb = Raw { layout: RawLayout::Rgb24, width: 1, height: 2 };
    let found = frames(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], Some(rgb)).unwrap();
    assert_eq!(found[1].decode().unwrap().rgb(), [7, 8, 9, 10, 11, 12]);
    let yuv = Raw { layout: RawLayout::Yuv420p, width: 3, height: 1 };
    assert_eq!(frames(&[16, 235, 16, 128, 128, 128, 128], Some(yuv)).unwrap()[0].decode().unwrap().rgb()[3..6], [255; 3]);
    assert!(problem(&[0; 7], Some(rgb)).contains("frame 1: cut off after 1 of 6 bytes"));
    assert!(problem(&[], Some(Raw { width: usize::MAX, ..rgb })).contains("too large"));
    assert!(problem(b"RIFFxxxx", None).contains("RIFF"));
    assert!(frames(b"", None).unwrap().is_empty());
}
