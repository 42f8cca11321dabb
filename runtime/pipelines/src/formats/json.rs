//! JSON, described in docs/json.md.

use std::io::{self, Write};

use serde::Serialize;

use super::{Header, TranscriptWriter};
use crate::events::Event;
use crate::whisper::transcript::{Dropped, Segment, Summary};

/// The `schema` of JSON transcripts. The number grows when a key changes its meaning or goes away.
pub const SCHEMA: &str = "ossicle.transcript/1";

/// One object: what is known first, the segments one a line, then text, language, duration and digests; `error` if it is not whole.
#[derive(Default)]
pub(super) struct Json {
    text: String,
    segments: usize,
    events: Vec<Event>,
    dropped: Vec<(Option<usize>, Dropped)>,
    channel: Option<usize>,
    warnings: Vec<String>,
}

/// Something with the number of its channel, if there are several.
#[derive(Serialize)]
struct Heard<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<usize>,
    #[serde(flatten)]
    heard: &'a T,
}

impl TranscriptWriter for Json {
    fn channel(&mut self, channel: usize) {
        self.channel = Some(channel);
    }

    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()> {
        *self = Self::default();
        let pairs = [("schema", SCHEMA), ("file", &header.file), ("model", &header.model), ("task", &header.task)];
        let mut lead = "{";
        for (key, value) in pairs {
            write!(out, "{lead}\"{key}\":")?;
            value_to(out, value)?;
            lead = ",";
        }
        out.write_all(b",\"segments\":[")
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        out.write_all(if self.segments == 0 { b"\n" } else { b",\n" })?;
        match self.channel {
            None => value_to(out, segment)?,
            channel => value_to(out, &Heard { channel, heard: segment })?,
        }
        self.segments += 1;
        self.text.push_str(&segment.text);
        Ok(())
    }

    fn event(&mut self, _: &mut dyn Write, event: &Event) -> io::Result<()> {
        self.events.push(event.clone());
        Ok(())
    }

    fn dropped(&mut self, _: &mut dyn Write, dropped: &Dropped) -> io::Result<()> {
        self.dropped.push((self.channel, dropped.clone()));
        Ok(())
    }

    fn warnings(&mut self, warnings: &[String]) {
        self.warnings = warnings.to_vec();
    }

    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
        self.close(out, summary, None)
    }

    fn fail(&mut self, out: &mut dyn Write, summary: &Summary, error: &str) -> io::Result<()> {
        self.close(out, summary, Some(error))
    }
}

impl Json {
    /// What comes after the segments.
    fn close(&self, out: &mut dyn Write, summary: &Summary, error: Option<&str>) -> io::Result<()> {
        if self.segments > 0 {
            out.write_all(b"\n")?;
        }
        out.write_all(b"]")?;
        if summary.events.is_some() {
            out.write_all(b",\"events\":")?;
            value_to(out, &self.events)?;
        }
        out.write_all(b",\"dropped\":")?;
        let dropped: Vec<_> = self.dropped.iter().map(|(channel, dropped)| Heard { channel: *channel, heard: dropped }).collect();
        value_to(out, &dropped)?;
        out.write_all(b",\"text\":")?;
        value_to(out, &self.text)?;
        out.write_all(b",\"language\":")?;
        value_to(out, &summary.language)?;
        out.write_all(b",\"duration\":")?;
        value_to(out, &summary.duration)?;
        if summary.language_doubt {
            out.write_all(b",\"language_doubt\":true")?;
        }
        if !self.warnings.is_empty() {
            out.write_all(b",\"warnings\":")?;
            value_to(out, &self.warnings)?;
        }
        if let Some(digests) = &summary.digests {
            out.write_all(b",\"digests\":")?;
            value_to(out, digests)?;
        }
        if let Some(error) = error {
            out.write_all(b",\"error\":")?;
            value_to(out, error)?;
        }
        out.write_all(b"}\n")
    }
}

/// A segment with the name of its recording.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<usize>,
    #[serde(flatten)]
    segment: &'a Segment,
}

/// An event with the name of its recording.
#[derive(Serialize)]
struct EventLine<'a> {
    file: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// One object a segment, a line each.
#[derive(Default)]
pub(super) struct Jsonl {
    file: String,
    channel: Option<usize>,
}

impl TranscriptWriter for Jsonl {
    fn channel(&mut self, channel: usize) {
        self.channel = Some(channel);
    }

    fn begin(&mut self, _: &mut dyn Write, header: &Header) -> io::Result<()> {
        self.file.clone_from(&header.file);
        Ok(())
    }

    fn segment(&mut self, out: &mut dyn Write, segment: &Segment) -> io::Result<()> {
        value_to(out, &Line { file: &self.file, channel: self.channel, segment })?;
        out.write_all(b"\n")
    }

    fn event(&mut self, out: &mut dyn Write, event: &Event) -> io::Result<()> {
        value_to(out, &EventLine { file: &self.file, event })?;
        out.write_all(b"\n")
    }

    fn end(&mut self, _: &mut dyn Write, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

fn value_to<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}
