//! Events as text.

use std::io::{self, Write};

use serde::Serialize;

use super::Event;

/// How to write events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// Columns `filename`, `onset`, `offset`, `event_label`, as sed_eval and dcase_util read it.
    Tsv,
    /// A JSON object a line.
    Jsonl,
    /// Audacity's label track.
    Audacity,
    /// Raven's selection table.
    Raven,
}

impl Format {
    /// What files of it are called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text | Self::Audacity => "txt",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Raven => "selections.txt",
        }
    }

    /// The line in front of all events.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Tsv => Some("filename\tonset\toffset\tevent_label"),
            Self::Raven => {
                Some("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\tPeak\tMean")
            }
            Self::Text | Self::Jsonl | Self::Audacity => None,
        }
    }

    /// Whether one file can hold the events of several recordings.
    pub fn names_recordings(self) -> bool {
        !matches!(self, Self::Audacity | Self::Raven)
    }
}

/// Writes events in a format.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    format: Format,
    events: usize,
    named: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Writer {
    /// A writer for one recording.
    pub fn new(format: Format) -> Self {
        Self { format, events: 0, named: false }
    }

    /// The same for one of several recordings: lines of [`Format::Text`] begin with its name, as those of other formats do anyway.
    pub fn of_several(self) -> Self {
        Self { named: true, ..self }
    }

    /// One event of the recording `file`.
    ///
    /// # Errors
    /// The writer's own.
    pub fn event(&mut self, out: &mut dyn Write, file: &str, event: &Event) -> io::Result<()> {
        self.events += 1;
        let Event { class, start, end, peak, mean } = event;
        match self.format {
            Format::Text => {
                let name = if self.named { format!("{}: ", one_field(file)) } else { String::new() };
                writeln!(out, "{name}{start:9.3} {end:9.3}  {class}  (peak {peak:.2}, mean {mean:.2})")
            }
            Format::Tsv => writeln!(out, "{}\t{start:.3}\t{end:.3}\t{class}", one_field(file)),
            Format::Jsonl => {
                serde_json::to_writer(&mut *out, &Line { file, event })?;
                writeln!(out)
            }
            Format::Audacity => writeln!(out, "{start:.6}\t{end:.6}\t{class}"),
            Format::Raven => {
                writeln!(out, "{}\tSpectrogram 1\t1\t{start:.3}\t{end:.3}\t0\t8000\t{class}\t{peak:.3}\t{mean:.3}", self.events)
            }
        }
    }
}

/// A recording's name without what would end a field or a line.
pub fn one_field(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        let mut out = vec![];
        let event = Event { class: "Dog".into(), start: 1.0, end: 2.25, peak: 0.75, mean: 0.5 };
        if let Some(header) = format.header() {
            writeln!(out, "{header}").unwrap();
        }
        writer.event(&mut out, "a\tb.wav", &event).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats_are_as_their_readers_want_them() {
        assert_eq!(written(Format::Text), "    1.000     2.250  Dog  (peak 0.75, mean 0.50)\n");
        assert_eq!(written(Format::Tsv), "filename\tonset\toffset\tevent_label\na\u{fffd}b.wav\t1.000\t2.250\tDog\n");
        let json = "{\"file\":\"a\\tb.wav\",\"class\":\"Dog\",\"start\":1.0,\"end\":2.25,\"peak\":0.75,\"mean\":0.5}\n";
        assert_eq!(written(Format::Jsonl), json);
        assert_eq!(written(Format::Audacity), "1.000000\t2.250000\tDog\n");
        let raven = written(Format::Raven);
        assert_eq!(raven.lines().nth(1).unwrap(), "1\tSpectrogram 1\t1\t1.000\t2.250\t0\t8000\tDog\t0.750\t0.500");
        assert_eq!(raven.lines().next().unwrap().split('\t').count(), 10);
    }
}
