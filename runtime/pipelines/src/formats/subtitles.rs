//! SubRip and WebVTT.

use std::io::{self, Write};

use super::{Header, TranscriptWriter};
use crate::whisper::transcript::{Segment, Summary};

/// SubRip: numbered, hours always, comma before the milliseconds.
#[derive(Default)]
pub(super) struct Srt {
    count: usize,
}

impl TranscriptWriter for Srt {
    fn begin(&mut self, _: &mut dyn Write, _: &Header) -> io::Result<()> {
        self.count = 0;
        Ok(())
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        self.count += 1;
        let (start, end) = (time(segment.start, true, ','), time(segment.end, true, ','));
        write!(out, "{}\n{start} --> {end}\n{}\n\n", self.count, cue(segment))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// WebVTT: hours only where needed.
pub(super) struct Vtt;

impl TranscriptWriter for Vtt {
    fn begin(&mut self, out: &mut dyn Write, _: &Header) -> io::Result<()> {
        out.write_all(b"WEBVTT\n\n")
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let (start, end) = (time(segment.start, false, '.'), time(segment.end, false, '.'));
        write!(out, "{start} --> {end}\n{}\n\n", cue(segment))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// The text; an arrow in it would end the cue.
fn cue(segment: &Segment) -> String {
    segment.text.trim().replace("-->", "->")
}

fn time(seconds: f64, always_hours: bool, decimal: char) -> String {
    let ms = super::tables::milliseconds(seconds);
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    if always_hours || h > 0 { format!("{h:02}:{m:02}:{s:02}{decimal}{ms:03}") } else { format!("{m:02}:{s:02}{decimal}{ms:03}") }
}
