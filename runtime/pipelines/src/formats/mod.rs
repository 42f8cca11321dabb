//! Transcripts as text, JSON and subtitles, written segment by segment.
//!
//! ```
//! use ossicle::formats::{Format, Header};
//! use ossicle::whisper::transcript::Summary;
//!
//! let mut out = Vec::new();
//! let mut writer = Format::from_name("srt").unwrap().writer();
//! writer.begin(&mut out, &Header::default())?;
//! writer.end(&mut out, &Summary::default())?;
//! assert!(out.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

mod json;
mod subtitles;
mod tables;

use std::io::{self, Write};

use crate::events::Event;
use crate::whisper::transcript::{Dropped, Segment, Summary};

pub use json::SCHEMA;
pub use subtitles::{Layout, SplitOn};

/// What is known before the first segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The recording's name, as the user gave it.
    pub file: String,
    /// The model's name.
    pub model: String,
    /// `transcribe` or `translate`.
    pub task: String,
}

/// Where a transcript stands in what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nothing else is there.
    #[default]
    Alone,
    /// The first of several: the recording's name is written too.
    First,
    /// One of several that is not the first.
    Later,
}

/// How to write a transcript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterOptions {
    /// The size of subtitles.
    pub layout: Layout,
    /// Whether there are others; in json and jsonl every transcript names its recording anyway, and subtitles are always alone.
    pub place: Place,
    /// How many channels were transcribed side by side, each named; 0 where they were not told apart.
    pub channels: usize,
}

/// Writes one transcript. Call [`begin`](Self::begin) once, [`segment`](Self::segment) for each segment and [`end`](Self::end) once.
pub trait TranscriptWriter {
    /// Writes what comes before the segments.
    ///
    /// # Errors
    /// If `out` fails.
    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()>;

    /// Says of which channel what follows is, counted from 1. Segments come in order of time.
    fn channel(&mut self, _channel: usize) {}

    /// Writes a segment.
    ///
    /// # Errors
    /// If `out` fails.
    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()>;

    /// Writes a sound event, in a format that [has a place](Format::holds_events) for them; others leave it out.
    ///
    /// # Errors
    /// If `out` fails.
    fn event(&mut self, _out: &mut dyn Write, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    /// Writes a text that is not in the transcript; formats without a place for it leave it out.
    ///
    /// # Errors
    /// If `out` fails.
    fn dropped(&mut self, _out: &mut dyn Write, _dropped: &Dropped) -> io::Result<()> {
        Ok(())
    }

    /// Takes note of what the recording lacks, before its end is written; formats without a place for it leave it out.
    fn warnings(&mut self, _warnings: &[String]) {}

    /// Writes what comes after the segments.
    ///
    /// # Errors
    /// If `out` fails.
    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()>;

    /// Instead of [`end`](Self::end) where a recording could not be transcribed to its end; `summary` is of what was.
    ///
    /// # Errors
    /// If `out` fails.
    fn fail(&mut self, out: &mut dyn Write, summary: &Summary, _error: &str) -> io::Result<()> {
        self.end(out, summary)
    }
}

/// A format by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The text of each segment on a line.
    #[default]
    Text,
    /// One JSON object, schema [`SCHEMA`].
    Json,
    /// One JSON object a segment, each on a line.
    Jsonl,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// Start and end in milliseconds and text, tab-separated.
    Tsv,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [Self::Text, Self::Json, Self::Jsonl, Self::Srt, Self::Vtt, Self::Tsv];

    /// What `--format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Tsv => "tsv",
        }
    }

    /// The end of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            other => other.name(),
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether it has a place for sound events.
    pub fn holds_events(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    /// Whether it is subtitles: cues cut by the times of words, if segments have them (`word_timestamps`).
    pub fn is_subtitles(self) -> bool {
        matches!(self, Self::Srt | Self::Vtt)
    }

    /// A writer for one transcript.
    pub fn writer(self) -> Box<dyn TranscriptWriter> {
        self.writer_with(WriterOptions::default())
    }

    /// A writer for one transcript.
    pub fn writer_with(self, options: WriterOptions) -> Box<dyn TranscriptWriter> {
        let WriterOptions { layout, place, channels } = options;
        match self {
            Self::Text => Box::new(tables::Text::new(place)),
            Self::Tsv => Box::new(tables::Tsv::new(place, channels > 0)),
            Self::Json => Box::new(json::Json::default()),
            Self::Jsonl => Box::new(json::Jsonl::default()),
            Self::Srt => Box::new(subtitles::Srt::new(layout, channels)),
            Self::Vtt => Box::new(subtitles::Vtt::new(layout, channels)),
        }
    }
}

#[cfg(test)]
#[path = "formats_tests.rs"]
pub(crate) mod tests;
