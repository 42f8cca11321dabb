//! Plain text and tab-separated values.

use std::io::{self, Write};

use super::{Header, Place, TranscriptWriter};
use crate::events::one_field;
use crate::whisper::transcript::{Segment, Summary};

/// The text of each segment on a line; of several recordings each begins with its name and a colon, after an empty line.
/// Of several channels each segment begins with the number of its own.
pub(super) struct Text {
    place: Place,
    channel: Option<usize>,
}

impl Text {
    pub(super) fn new(place: Place) -> Self {
        Self { place, channel: None }
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

    fn channel(&mut self, channel: usize) {
        self.channel = Some(channel);
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        if let Some(channel) = self.channel {
            write!(out, "{channel}: ")?;
        }
        writeln!(out, "{}", segment.text.trim())
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// Start and end in milliseconds, then the text with tabs replaced by spaces. Before them, of several recordings the name, and of several
/// channels the number.
pub(super) struct Tsv {
    place: Place,
    /// The first field, with its tab.
    file: String,
    /// The field of the channel, with its tab, if there is one.
    channel: Option<String>,
}

impl Tsv {
    pub(super) fn new(place: Place, channels: bool) -> Self {
        Self { place, file: String::new(), channel: channels.then(|| "1\t".into()) }
    }
}

impl TranscriptWriter for Tsv {
    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()> {
        self.file = if self.place == Place::Alone { String::new() } else { format!("{}\t", one_field(&header.file)) };
        let channel = if self.channel.is_some() { "channel\t" } else { "" };
        match self.place {
            Place::Alone => writeln!(out, "{channel}start\tend\ttext"),
            Place::First => writeln!(out, "file\t{channel}start\tend\ttext"),
            Place::Later => Ok(()),
        }
    }

    fn channel(&mut self, channel: usize) {
        self.channel = Some(format!("{channel}\t"));
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let text = segment.text.trim().replace('\t', " ");
        let channel = self.channel.as_deref().unwrap_or_default();
        writeln!(out, "{}{channel}{}\t{}\t{text}", self.file, milliseconds(segment.start), milliseconds(segment.end))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}
