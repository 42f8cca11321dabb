//! SubRip and WebVTT.

mod cues;
mod layout;
mod lines;
mod pieces;
mod script;

use std::io::{self, Write};

use super::{Header, TranscriptWriter};
use crate::whisper::transcript::{Segment, Summary};
use cues::{Cue, Cutter};
pub use layout::{Layout, SplitOn};

/// SubRip: numbered, hours always, comma before the milliseconds.
pub(super) struct Srt {
    layout: Layout,
    cutter: Cutter,
    count: usize,
}

impl Srt {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, cutter: Cutter::new(layout), count: 0 }
    }

    fn write(&mut self, out: &mut dyn Write, cues: &[Cue]) -> io::Result<()> {
        cues.iter().try_for_each(|cue| {
            self.count += 1;
            let (start, end) = (time(cue.start, true, ','), time(cue.end, true, ','));
            write!(out, "{}\n{start} --> {end}\n{}\n\n", self.count, cue.lines.join("\n"))
        })
    }
}

impl TranscriptWriter for Srt {
    fn begin(&mut self, _: &mut dyn Write, _: &Header) -> io::Result<()> {
        *self = Self::new(self.layout);
        Ok(())
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let cues = self.cutter.segment(segment);
        self.write(out, &cues)
    }

    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        let cues = self.cutter.finish(summary.duration);
        self.write(out, &cues)
    }
}

/// WebVTT: hours only where needed.
pub(super) struct Vtt {
    layout: Layout,
    cutter: Cutter,
}

impl Vtt {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, cutter: Cutter::new(layout) }
    }
}

impl TranscriptWriter for Vtt {
    fn begin(&mut self, out: &mut dyn Write, _: &Header) -> io::Result<()> {
        self.cutter = Cutter::new(self.layout);
        out.write_all(b"WEBVTT\n\n")
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        write_vtt(out, &self.cutter.segment(segment))
    }

    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        write_vtt(out, &self.cutter.finish(summary.duration))
    }
}

fn write_vtt(out: &mut dyn Write, cues: &[Cue]) -> io::Result<()> {
    cues.iter().try_for_each(|cue| {
        let (start, end) = (time(cue.start, false, '.'), time(cue.end, false, '.'));
        write!(out, "{start} --> {end}\n{}\n\n", escaped(&cue.lines.join("\n")))
    })
}

/// Without what WebVTT takes for marks: <https://www.w3.org/TR/webvtt1/#webvtt-cue-text>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn time(seconds: f64, always_hours: bool, decimal: char) -> String {
    let ms = super::tables::milliseconds(seconds);
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    if always_hours || h > 0 { format!("{h:02}:{m:02}:{s:02}{decimal}{ms:03}") } else { format!("{m:02}:{s:02}{decimal}{ms:03}") }
}
