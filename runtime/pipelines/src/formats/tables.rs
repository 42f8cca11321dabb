//! Plain text and tab-separated values.

use std::io::{self, Write};

use super::{Header, TranscriptWriter};
use crate::whisper::transcript::{Segment, Summary};

/// The text of each segment on a line.
pub(super) struct Text;

impl TranscriptWriter for Text {
    fn begin(&mut self, _: &mut dyn Write, _: &Header) -> io::Result<()> {
        Ok(())
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        writeln!(out, "{}", segment.text.trim())
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// Start and end in milliseconds, then the text with tabs replaced by spaces.
pub(super) struct Tsv;

impl TranscriptWriter for Tsv {
    fn begin(&mut self, out: &mut dyn Write, _: &Header) -> io::Result<()> {
        out.write_all(b"start\tend\ttext\n")
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let text = segment.text.trim().replace('\t', " ");
        writeln!(out, "{}\t{}\t{text}", milliseconds(segment.start), milliseconds(segment.end))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}
