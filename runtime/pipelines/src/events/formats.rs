//! Events as text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::{Event, Lasting, Scores};

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

    /// The line in front of all scores that [`Writer::top`] writes.
    pub fn top_header(self) -> Option<&'static str> {
        (self == Self::Tsv).then_some("filename\tonset\toffset\tevent_label\tscore")
    }

    /// Whether it has lines for events that go on; others hold whole ones only.
    pub fn holds_starts(self) -> bool {
        matches!(self, Self::Text | Self::Jsonl)
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

/// An event that goes on, under the name of what is told of it.
#[derive(Serialize)]
struct LastingLine<'a> {
    file: &'a str,
    event: &'a str,
    #[serde(flatten)]
    lasting: Lasting<'a>,
}

/// What is told of an event, as `event` in JSON: that it has begun.
pub const SOUND_START: &str = "sound_start";
/// That it goes on.
pub const SOUND_REPEAT: &str = "sound_repeat";
/// That it is over; lines of `ossicle detect` do without.
pub const SOUND: &str = "sound";

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
                let place = self.place(file);
                writeln!(out, "{place}{start:9.3} {end:9.3}  {class}  (peak {peak:.2}, mean {mean:.2})")
            }
            Format::Tsv => writeln!(out, "{}\t{start:.3}\t{end:.3}\t{class}", one_field(file)),
            Format::Jsonl => {
                serde_json::to_writer(&mut *out, &Line { file, event })?;
                writeln!(out)
            }
            Format::Audacity => writeln!(out, "{start:.6}\t{end:.6}\t{class}"),
            Format::Raven => {
                writeln!(out, "{}\tSpectrogram 1\t1\t{start:.3}\t{end:.3}\t0.0\t8000.0\t{class}\t{peak:.3}\t{mean:.3}", self.events)
            }
        }
    }
}

impl Writer {
    /// An event of the recording `file` that has begun. A format that [holds no starts](Format::holds_starts) leaves it out.
    ///
    /// # Errors
    /// The writer's own.
    pub fn start(&self, out: &mut dyn Write, file: &str, lasting: Lasting<'_>) -> io::Result<()> {
        self.lasting(out, file, SOUND_START, lasting)
    }

    /// The same for one that goes on.
    ///
    /// # Errors
    /// The writer's own.
    pub fn repeat(&self, out: &mut dyn Write, file: &str, lasting: Lasting<'_>) -> io::Result<()> {
        self.lasting(out, file, SOUND_REPEAT, lasting)
    }

    fn lasting(&self, out: &mut dyn Write, file: &str, event: &str, lasting: Lasting<'_>) -> io::Result<()> {
        let Lasting { class, start, at, peak } = lasting;
        match self.format {
            Format::Text => {
                let what = if event == SOUND_START { "has begun" } else { "goes on" };
                writeln!(out, "{}{start:9.3} {:>9}  {class}  ({what}, heard to {at:.3}, peak {peak:.2})", self.place(file), "...")
            }
            Format::Jsonl => {
                serde_json::to_writer(&mut *out, &LastingLine { file, event, lasting })?;
                writeln!(out)
            }
            Format::Tsv | Format::Audacity | Format::Raven => Ok(()),
        }
    }

    /// The `count` labels with the largest scores of one hop of the recording `file`. Audacity's and Raven's formats, which know events alone,
    /// are written as [`Format::Text`].
    ///
    /// # Errors
    /// The writer's own.
    ///
    /// # Panics
    /// There are fewer labels than scores.
    pub fn top(&self, out: &mut dyn Write, file: &str, labels: &[String], heard: Scores<'_>, count: usize) -> io::Result<()> {
        let Scores { start, end, scores, .. } = heard;
        let mut best: Vec<usize> = (0..scores.len()).collect();
        best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        best.truncate(count);
        match self.format {
            Format::Jsonl => {
                let top: Vec<_> = best.iter().map(|&label| json!({"label": labels[label], "score": scores[label]})).collect();
                writeln!(out, "{}", json!({"file": file, "start": start, "end": end, "top": top}))
            }
            Format::Tsv => best
                .iter()
                .try_for_each(|&label| writeln!(out, "{}\t{start:.3}\t{end:.3}\t{}\t{:.3}", one_field(file), labels[label], scores[label])),
            Format::Text | Format::Audacity | Format::Raven => {
                let all: Vec<String> = best.iter().map(|&label| format!("{} {:.2}", labels[label], scores[label])).collect();
                writeln!(out, "{}{start:9.3} {end:9.3}  {}", self.place(file), all.join("  "))
            }
        }
    }

    /// What lines for people begin with.
    fn place(&self, file: &str) -> String {
        if self.named { format!("{}: ", one_field(file)) } else { String::new() }
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
    fn the_largest_scores_come_first() {
        let top = |writer: Writer| {
            let mut out = vec![];
            let labels = ["Cat", "Dog", "Rain"].map(str::to_owned);
            writer
                .top(&mut out, "a\tb.wav", &labels, Scores { start: 0.5, end: 0.75, scores: &[0.25, 0.5, 0.125], embedding: &[] }, 2)
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(top(Writer::new(Format::Text)), "    0.500     0.750  Dog 0.50  Cat 0.25\n");
        assert!(top(Writer::new(Format::Text).of_several()).starts_with("a\u{fffd}b.wav:     0.500"));
        assert_eq!(top(Writer::new(Format::Tsv)), "a\u{fffd}b.wav\t0.500\t0.750\tDog\t0.500\na\u{fffd}b.wav\t0.500\t0.750\tCat\t0.250\n");
        let json: serde_json::Value = serde_json::from_str(&top(Writer::new(Format::Jsonl))).unwrap();
        assert_eq!(json["top"], json!([{"label": "Dog", "score": 0.5}, {"label": "Cat", "score": 0.25}]));
        assert_eq!((&json["file"], &json["start"]), (&json!("a\tb.wav"), &json!(0.5)));
    }

    #[test]
    fn what_goes_on_has_lines_in_text_and_jsonl() {
        let lasting = Lasting { class: "Dog", start: 1.0, at: 1.5, peak: 0.75 };
        let written = |format| {
            let (writer, mut out) = (Writer::new(format), vec![]);
            writer.start(&mut out, "-", lasting).unwrap();
            writer.repeat(&mut out, "-", lasting).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = "    1.000       ...  Dog  (has begun, heard to 1.500, peak 0.75)\n    1.000       ...  Dog  (goes on, heard to 1.500, peak 0.75)\n";
        assert_eq!(written(Format::Text), text);
        let line =
            |event: &str| format!("{{\"file\":\"-\",\"event\":\"{event}\",\"class\":\"Dog\",\"start\":1.0,\"at\":1.5,\"peak\":0.75}}\n");
        assert_eq!(written(Format::Jsonl), line("sound_start") + &line("sound_repeat"));
        for format in [Format::Tsv, Format::Audacity, Format::Raven] {
            assert!(!format.holds_starts() && written(format).is_empty());
        }
    }

    #[test]
    fn formats_are_as_their_readers_want_them() {
        assert_eq!(written(Format::Text), "    1.000     2.250  Dog  (peak 0.75, mean 0.50)\n");
        assert_eq!(written(Format::Tsv), "filename\tonset\toffset\tevent_label\na\u{fffd}b.wav\t1.000\t2.250\tDog\n");
        let json = "{\"file\":\"a\\tb.wav\",\"class\":\"Dog\",\"start\":1.0,\"end\":2.25,\"peak\":0.75,\"mean\":0.5}\n";
        assert_eq!(written(Format::Jsonl), json);
        assert_eq!(written(Format::Audacity), "1.000000\t2.250000\tDog\n");
        let raven = written(Format::Raven);
        assert_eq!(raven.lines().nth(1).unwrap(), "1\tSpectrogram 1\t1\t1.000\t2.250\t0.0\t8000.0\tDog\t0.750\t0.500");
        assert_eq!(raven.lines().next().unwrap().split('\t').count(), 10);
    }
}
