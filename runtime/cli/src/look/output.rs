//! What is written of what a camera sees.

use std::io::{self, Write};

use clap::ValueEnum;
use ossicle::events::{Event, Heard, Lasting, one_field};
use serde_json::json;

use crate::broker::Link;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatName {
    /// Starts and ends, for people
    Text,
    /// An object a line: start, repeat, end
    Jsonl,
    /// Whole events: source, start, end, class
    Tsv,
}

/// Where events go.
pub(super) struct Output<'a> {
    pub(super) format: FormatName,
    pub(super) source: String,
    pub(super) out: &'a mut dyn Write,
    pub(super) written: io::Result<()>,
    pub(super) link: Option<Link>,
}

impl Output<'_> {
    pub(super) fn heard(&mut self, heard: Heard<'_>) {
        if let Some(link) = &self.link {
            link.tell(&heard);
        }
        if self.written.is_ok() {
            self.written = self.write(heard);
        }
    }

    fn write(&mut self, heard: Heard<'_>) -> io::Result<()> {
        let source = &self.source;
        match (self.format, heard) {
            (_, Heard::Scores(_)) => return Ok(()),
            (FormatName::Text, Heard::Start(Lasting { class, start, peak, .. })) => {
                writeln!(self.out, "{start:9.2}  start   {class}  ({peak:.2})")?;
            }
            (FormatName::Text, Heard::Repeat(Lasting { class, at, peak, .. })) => {
                writeln!(self.out, "{at:9.2}  still   {class}  (peak {peak:.2})")?;
            }
            (FormatName::Text, Heard::Event(Event { class, start, end, peak, mean })) => {
                writeln!(self.out, "{end:9.2}  end     {class}  (since {start:.2}, peak {peak:.2}, mean {mean:.2})")?;
            }
            (FormatName::Jsonl, Heard::Start(Lasting { class, start, at, peak })) => {
                writeln!(
                    self.out,
                    "{}",
                    json!({"source": source, "event": "start", "class": class, "start": start, "at": at, "peak": peak})
                )?;
            }
            (FormatName::Jsonl, Heard::Repeat(Lasting { class, start, at, peak })) => {
                writeln!(
                    self.out,
                    "{}",
                    json!({"source": source, "event": "repeat", "class": class, "start": start, "at": at, "peak": peak})
                )?;
            }
            (FormatName::Jsonl, Heard::Event(Event { class, start, end, peak, mean })) => {
                let line =
                    json!({"source": source, "event": "end", "class": class, "start": start, "end": end, "peak": peak, "mean": mean});
                writeln!(self.out, "{line}")?;
            }
            (FormatName::Tsv, Heard::Event(Event { class, start, end, .. })) => {
                writeln!(self.out, "{}\t{start:.3}\t{end:.3}\t{class}", one_field(source))?;
            }
            (FormatName::Tsv, _) => return Ok(()),
        }
        self.out.flush()
    }
}
