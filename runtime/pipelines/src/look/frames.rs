//! Frames of a stream, one after the other.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use super::error::FrameError;
use super::jpeg::Progress;
use super::yuv;
use crate::label::Image;

/// Most bytes of one frame, as it comes.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

/// Most bytes between two JPEG images, such as the headers of a multipart stream.
const MAX_BETWEEN: usize = 64 << 10;

/// Most bytes of a line of a header.
const MAX_LINE: usize = 1024;

/// Bare pixels: nothing in the stream says what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// How they lie.
    pub layout: RawLayout,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// How bare pixels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawLayout {
    /// Red, green and blue, a byte each.
    Rgb24,
    /// Planes of luma, and of chroma halved both ways; luma from 16 to 235.
    Yuv420p,
}

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// JPEG images, with or without something between them.
    Jpeg,
    Png,
    Ppm,
    /// YUV4MPEG2.
    Y4m {
        width: usize,
        height: usize,
        grey: bool,
        full: bool,
        rate: Option<f64>,
    },
    Raw(Raw),
}

/// A frame as it came, not decoded yet: one that is not looked at costs little.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: Kind,
    index: u64,
    bytes: Vec<u8>,
}

/// Reads frames: JPEG images one after another (MJPEG, also in a multipart stream), PNG or binary PPM images, YUV4MPEG2, or bare pixels.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    kind: Kind,
    count: u64,
}

impl Frame {
    /// The image.
    ///
    /// # Errors
    /// It is damaged.
    pub fn decode(&self) -> Result<Image, FrameError> {
        let damaged = |problem: String| FrameError::Damaged { frame: self.index, problem };
        let whole = |width: usize, rgb: Vec<u8>| Image::new(width, rgb).ok_or_else(|| damaged("of no size".into()));
        match self.kind {
            Kind::Jpeg | Kind::Png | Kind::Ppm => Image::decode(&self.bytes).map_err(damaged),
            Kind::Y4m { width, grey: true, full, .. } => whole(width, yuv::grey(&self.bytes, full)),
            Kind::Y4m { width, height, full, .. } => whole(width, yuv::colours_420(&self.bytes, width, height, full)),
            Kind::Raw(Raw { layout: RawLayout::Rgb24, width, .. }) => whole(width, self.bytes.clone()),
            Kind::Raw(Raw { layout: RawLayout::Yuv420p, width, height }) => {
                whole(width, yuv::colours_420(&self.bytes, width, height, false))
            }
        }
    }

    /// Frames before it.
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl<R: Read> FrameReader<R> {
    /// Looks at the stream's first bytes, unless it is told what they are.
    ///
    /// # Errors
    /// The stream cannot be read, is of no known kind, or its header is damaged.
    pub fn new(mut reader: R, raw: Option<Raw>) -> Result<Self, FrameError> {
        // A pipe hands out what there is, perhaps one byte.
        let mut start = vec![];
        (&mut reader).take(4).read_to_end(&mut start).map_err(FrameError::Read)?;
        let mut reader = BufReader::with_capacity(1 << 16, Cursor::new(start.clone()).chain(reader));
        if let Some(raw) = raw {
            bytes_of(raw.width, raw.height, 3).ok_or_else(|| FrameError::Damaged { frame: 0, problem: "the size is too large".into() })?;
            return Ok(Self { reader, kind: Kind::Raw(raw), count: 0 });
        }
        let kind = match start.as_slice() {
            [0xff, 0xd8, ..] | [b'-', b'-', ..] | [b'\r' | b'\n', ..] => Kind::Jpeg,
            [0x89, b'P', b'N', b'G', ..] => Kind::Png,
            [b'P', b'6', ..] => Kind::Ppm,
            [b'Y', b'U', b'V', b'4', ..] => y4m(&mut reader)?,
            // An empty stream has no frames, of whatever kind.
            [] => Kind::Jpeg,
            _ => return Err(FrameError::Unknown { start }),
        };
        Ok(Self { reader, kind, count: 0 })
    }

    /// Frames a second, if the stream says so.
    pub fn rate(&self) -> Option<f64> {
        match self.kind {
            Kind::Y4m { rate, .. } => rate,
            _ => None,
        }
    }

    /// The next frame; none at the stream's end.
    ///
    /// # Errors
    /// The stream cannot be read on, or a frame is cut off or too large; later frames may be whole.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let (index, kind) = (self.count, self.kind);
        let bytes = match kind {
            Kind::Jpeg => self.jpeg()?,
            Kind::Png => self.png()?,
            Kind::Ppm => self.ppm()?,
            Kind::Y4m { width, height, grey, .. } => match self.line()? {
                None => None,
                Some(line) if line.starts_with("FRAME") => self.exact(planes(width, height, grey))?,
                Some(line) => return Err(self.damaged(format!("{line:?} where FRAME was expected"))),
            },
            Kind::Raw(Raw { layout: RawLayout::Rgb24, width, height }) => self.exact(bytes_of(width, height, 3))?,
            Kind::Raw(Raw { layout: RawLayout::Yuv420p, width, height }) => self.exact(planes(width, height, false))?,
        };
        self.count += u64::from(bytes.is_some());
        Ok(bytes.map(|bytes| Frame { kind, index, bytes }))
    }

    fn damaged(&self, problem: impl Into<String>) -> FrameError {
        FrameError::Damaged { frame: self.count, problem: problem.into() }
    }

    /// So many bytes; none if the stream ends before the first one.
    fn exact(&mut self, count: Option<usize>) -> Result<Option<Vec<u8>>, FrameError> {
        let count = count.ok_or_else(|| self.damaged("larger than any frame that is read"))?;
        let mut bytes = Vec::with_capacity(count);
        (&mut self.reader).take(count as u64).read_to_end(&mut bytes).map_err(FrameError::Read)?;
        match bytes.len() {
            0 => Ok(None),
            len if len < count => Err(self.damaged(format!("cut off after {len} of {count} bytes"))),
            _ => Ok(Some(bytes)),
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, FrameError> {
        let byte = self.reader.fill_buf().map_err(FrameError::Read)?.first().copied();
        self.reader.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Option<String>, FrameError> {
        line(&mut self.reader)
            .map_err(|e| if e.kind() == io::ErrorKind::InvalidData { self.damaged(e.to_string()) } else { FrameError::Read(e) })
    }

    fn jpeg(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let (mut skipped, mut last) = (0, 0);
        loop {
            let Some(byte) = self.byte()? else { return Ok(None) };
            if (last, byte) == (0xff, 0xd8) {
                break;
            }
            last = byte;
            skipped += 1;
            if skipped > MAX_BETWEEN {
                return Err(self.damaged(format!("no JPEG image begins within {MAX_BETWEEN} bytes")));
            }
        }
        let (mut bytes, mut progress) = (vec![0xff, 0xd8], Progress::default());
        loop {
            let buffered = self.reader.fill_buf().map_err(FrameError::Read)?;
            if buffered.is_empty() {
                return Err(self.damaged(format!("cut off after {} bytes", bytes.len())));
            }
            let end = buffered.iter().position(|&byte| progress.take(byte)).map(|at| at + 1);
            let taken = end.unwrap_or(buffered.len());
            bytes.extend_from_slice(&buffered[..taken]);
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(bytes));
            }
            if bytes.len() > MAX_FRAME_BYTES {
                return Err(self.damaged(format!("larger than {} MB", MAX_FRAME_BYTES >> 20)));
            }
        }
    }

    fn png(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
        let Some(mut bytes) = self.exact(Some(SIGNATURE.len()))? else { return Ok(None) };
        if bytes != SIGNATURE {
            return Err(self.damaged("not a PNG image"));
        }
        loop {
            let header = self.exact(Some(8))?.ok_or_else(|| self.damaged("cut off"))?;
            let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if length > MAX_FRAME_BYTES.saturating_sub(bytes.len()) {
                return Err(self.damaged(format!("larger than {} MB", MAX_FRAME_BYTES >> 20)));
            }
            let data = self.exact(Some(length + 4))?.ok_or_else(|| self.damaged("cut off"))?;
            bytes.extend_from_slice(&header);
            bytes.extend(data);
            if &header[4..] == b"IEND" {
                return Ok(Some(bytes));
            }
        }
    }

    fn ppm(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        // "P6", columns, rows and 255, each after white space, then one more and the pixels.
        let (mut header, mut figures) = (vec![], vec![]);
        while figures.len() < 4 {
            let Some(byte) = self.byte()? else {
                return if header.is_empty() { Ok(None) } else { Err(self.damaged("cut off in its header")) };
            };
            header.push(byte);
            if byte.is_ascii_whitespace() {
                let text = String::from_utf8_lossy(&header);
                figures = text.split_ascii_whitespace().map(str::to_owned).collect();
            }
            if header.len() > MAX_LINE || byte == b'#' {
                return Err(self.damaged("its header is not P6, columns, rows and 255"));
            }
        }
        let size = |at: usize| figures[at].parse::<usize>().ok();
        let count = match (figures[0].as_str(), size(1), size(2), figures[3].as_str()) {
            ("P6", Some(width), Some(height), "255") => bytes_of(width, height, 3),
            _ => return Err(self.damaged(format!("its header is {}, not P6, columns, rows and 255", figures.join(" ")))),
        };
        let pixels = self.exact(count)?.ok_or_else(|| self.damaged("cut off"))?;
        header.extend(pixels);
        Ok(Some(header))
    }
}

/// Bytes of a frame, if it has any and is not too large.
fn bytes_of(width: usize, height: usize, each: usize) -> Option<usize> {
    width.checked_mul(height)?.checked_mul(each).filter(|&bytes| (1..=MAX_FRAME_BYTES).contains(&bytes))
}

/// Bytes of a frame's planes.
fn planes(width: usize, height: usize, grey: bool) -> Option<usize> {
    let luma = bytes_of(width, height, 1)?;
    let chroma = if grey { 0 } else { 2 * bytes_of(width.div_ceil(2), height.div_ceil(2), 1)? };
    Some(luma + chroma).filter(|&bytes| bytes <= MAX_FRAME_BYTES)
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = vec![];
    reader.take(MAX_LINE as u64).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => Ok(None),
        Some(b'\n') => String::from_utf8(bytes).map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its header is not text")),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "its header is cut off or too long")),
    }
}

/// The header of YUV4MPEG2.
fn y4m(reader: &mut impl BufRead) -> Result<Kind, FrameError> {
    let damaged = |problem: String| FrameError::Damaged { frame: 0, problem };
    let header = line(reader).map_err(|e| damaged(e.to_string()))?.unwrap_or_default();
    let (mut width, mut height, mut rate, mut grey, mut full) = (None, None, None, false, false);
    let mut words = header.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Err(damaged(format!("{header:?} is not the header of YUV4MPEG2")));
    }
    for word in words {
        let Some(kind) = word.chars().next() else { continue };
        let value = &word[kind.len_utf8()..];
        match kind {
            'W' => width = value.parse().ok(),
            'H' => height = value.parse().ok(),
            'F' => {
                let (frames, seconds) = value.split_once(':').unwrap_or((value, "1"));
                rate = frames.parse::<f64>().ok().zip(seconds.parse::<f64>().ok()).map(|(frames, seconds)| frames / seconds);
            }
            'C' if value == "mono" => grey = true,
            'C' if value.starts_with("420") && !value.starts_with("420p") => {}
            'C' => return Err(damaged(format!("C{value}: planes of 8 bits with halved chroma (C420) and Cmono are possible"))),
            'X' if value == "COLORRANGE=FULL" => full = true,
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else { return Err(damaged(format!("{header:?} names no size"))) };
    planes(width, height, grey).ok_or_else(|| damaged(format!("{width} x {height}: no size of a frame")))?;
    Ok(Kind::Y4m { width, height, grey, full, rate: rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0) })
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
