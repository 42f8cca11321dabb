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

/// Cues of channels side by side, in order of time; each channel has cues of its own.
struct Cues {
    layout: Layout,
    cutters: Vec<Cutter>,
    channel: usize,
    /// Whether channels are told apart.
    named: bool,
    /// Of channels, what others may still come before.
    pending: Vec<(usize, Cue)>,
}

impl Cues {
    fn new(layout: Layout, channels: usize) -> Self {
        let cutters = (0..channels.max(1)).map(|_| Cutter::new(layout)).collect();
        Self { layout, cutters, channel: 1, named: channels > 0, pending: Vec::new() }
    }

    /// The same, of another recording.
    fn reset(&mut self) {
        *self = Self::new(self.layout, if self.named { self.cutters.len() } else { 0 });
    }

    /// The cues that are certain once this segment is known, each with its channel.
    fn segment(&mut self, segment: &Segment) -> Vec<(usize, Cue)> {
        let channel = self.channel;
        let Some(cutter) = self.cutters.get_mut(channel - 1) else { return vec![] };
        let new = cutter.segment(segment);
        self.pending.extend(new.into_iter().map(|cue| (channel, cue)));
        // Segments come in order of time. Alone, nothing can come before.
        let waiting = self.cutters.iter().filter_map(Cutter::waiting).fold(segment.start, f64::min);
        self.before(if self.named { waiting } else { f64::INFINITY })
    }

    fn finish(&mut self, duration: f64) -> Vec<(usize, Cue)> {
        for (index, cutter) in self.cutters.iter_mut().enumerate() {
            self.pending.extend(cutter.finish(duration).into_iter().map(|cue| (index + 1, cue)));
        }
        self.before(f64::INFINITY)
    }

    /// Takes out what begins before a time.
    fn before(&mut self, time: f64) -> Vec<(usize, Cue)> {
        self.pending.sort_by(|a, b| a.1.start.total_cmp(&b.1.start).then(a.0.cmp(&b.0)));
        let count = self.pending.partition_point(|(_, cue)| cue.start < time);
        self.pending.drain(..count).collect()
    }
}

/// SubRip: numbered, hours always, comma before the milliseconds.
pub(super) struct Srt {
    cues: Cues,
    count: usize,
}

impl Srt {
    pub(super) fn new(layout: Layout, channels: usize) -> Self {
        Self { cues: Cues::new(layout, channels), count: 0 }
    }

    fn write(&mut self, out: &mut dyn Write, cues: &[(usize, Cue)]) -> io::Result<()> {
        cues.iter().try_for_each(|(channel, cue)| {
            self.count += 1;
            let (start, end) = (time(cue.start, true, ','), time(cue.end, true, ','));
            let voice = if self.cues.named { format!("[{channel}] ") } else { String::new() };
            write!(out, "{}\n{start} --> {end}\n{voice}{}\n\n", self.count, cue.lines.join("\n"))
        })
    }
}

impl TranscriptWriter for Srt {
    fn begin(&mut self, _: &mut dyn Write, _: &Header) -> io::Result<()> {
        self.cues.reset();
        self.count = 0;
        Ok(())
    }

    fn channel(&mut self, channel: usize) {
        self.cues.channel = channel;
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let cues = self.cues.segment(segment);
        self.write(out, &cues)
    }

    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        let cues = self.cues.finish(summary.duration);
        self.write(out, &cues)
    }
}

/// WebVTT: hours only where needed.
pub(super) struct Vtt {
    cues: Cues,
}

impl Vtt {
    pub(super) fn new(layout: Layout, channels: usize) -> Self {
        Self { cues: Cues::new(layout, channels) }
    }

    fn write(&self, out: &mut dyn Write, cues: &[(usize, Cue)]) -> io::Result<()> {
        cues.iter().try_for_each(|(channel, cue)| {
            let (start, end) = (time(cue.start, false, '.'), time(cue.end, false, '.'));
            let voice = if self.cues.named { format!("<v Channel {channel}>") } else { String::new() };
            write!(out, "{start} --> {end}\n{voice}{}\n\n", escaped(&cue.lines.join("\n")))
        })
    }
}

impl TranscriptWriter for Vtt {
    fn begin(&mut self, out: &mut dyn Write, _: &Header) -> io::Result<()> {
        self.cues.reset();
        out.write_all(b"WEBVTT\n\n")
    }

    fn channel(&mut self, channel: usize) {
        self.cues.channel = channel;
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        let cues = self.cues.segment(segment);
        self.write(out, &cues)
    }

    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        let cues = self.cues.finish(summary.duration);
        self.write(out, &cues)
    }
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
