//! Plain text and tab-separated values.

use std::io::{self, Write};

use super::{Header, Place, TranscriptWriter};
use crate::events::one_field;
use crate::whisper::transcript::{Segment, Summary};

/// The text of each segment on a line; of several recordings each begins with its name and a colon, after an empty line.
pub(super) struct Text {
    place: Place,
}

impl Text {
    pub(super) fn new(place: Place) -> Self {
        Self { place }
    }
}

impl TranscriptWriter for Text {
    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()> {
        match self.place {
            Place::Alone => Ok(()),
            Place::First => writeln!(out, "{}:", one_field(&header.file)),
            Place::Later => writeln!(out, "\n{}:", one_field(&header.file)),
        }
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        writeln!(out, "{}", segment.text.trim())
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// Start and end in milliseconds, then the text with tabs replaced by spaces; of several recordings the name is the first field.
pub(super) struct Tsv {
    place: Place,
    /// The first field, with its tab.
    file: String,
}

impl Tsv {
    pub(super) fn new(place: Place) -> Self {
        Self { place, file: String::new() }
    }
}

impl TranscriptWriter for Tsv {
    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()> {
        self.file = if self.place == Place::Alone { String::new() } else { format!("{}\t", one_field(&header.file)) };
        match self.place {
            Place::Alone => out.write_all(b"start\tend\ttext\n"),
            Place::First => out.write_all(b"file\tstart\tend\ttext\n"),
            Place::Later => Ok(()),
        }
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let text = segment.text.trim().replace('\t', " ");
        writeln!(out, "{}{}\t{}\t{text}", self.file, milliseconds(segment.start), milliseconds(segment.end))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}
