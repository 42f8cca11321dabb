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
use crate::whisper::transcript::{Segment, Summary};

pub use json::SCHEMA;

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

/// Writes one transcript. Call [`begin`](Self::begin) once, [`segment`](Self::segment) for each segment and [`end`](Self::end) once.
pub trait TranscriptWriter {
    /// Writes what comes before the segments.
    ///
    /// # Errors
    /// If `out` fails.
    fn begin(&mut self, out: &mut dyn Write, header: &Header) -> io::Result<()>;

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

    /// Writes what comes after the segments.
    ///
    /// # Errors
    /// If `out` fails.
    fn end(&mut self, out: &mut dyn Write, summary: &Summary) -> io::Result<()>;
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

    /// A writer for one transcript.
    pub fn writer(self) -> Box<dyn TranscriptWriter> {
        match self {
            Self::Text => Box::new(tables::Text),
            Self::Tsv => Box::new(tables::Tsv),
            Self::Json => Box::new(json::Json::default()),
            Self::Jsonl => Box::new(json::Jsonl::default()),
            Self::Srt => Box::new(subtitles::Srt::default()),
            Self::Vtt => Box::new(subtitles::Vtt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digests;
    use crate::whisper::transcript::Word;

    fn segments() -> Vec<Segment> {
        let segment = |id, start, end, text: &str| Segment {
            id,
            seek: 0,
            start,
            end,
            text: text.to_owned(),
            tokens: vec![50364, 15947],
            temperature: 0.0,
            avg_logprob: -0.25,
            compression_ratio: 1.5,
            no_speech_prob: 0.125,
            words: None,
        };
        let mut second = segment(1, 3661.5, 3662.255, " a\tb --> \"c\"");
        second.words = Some(vec![Word { word: " a".into(), start: 3661.5, end: 3662.0, probability: 0.5 }]);
        vec![segment(0, 0.0, 2.48, " Hello, wörld."), second]
    }

    fn written(format: Format, segments: &[Segment]) -> String {
        let mut out = Vec::new();
        let mut writer = format.writer();
        let header = Header { file: "a.wav".into(), model: "whisper-tiny.en".into(), task: "transcribe".into() };
        writer.begin(&mut out, &header).unwrap();
        for segment in segments {
            writer.segment(&mut out, segment).unwrap();
        }
        let digests = Digests { mel: "00".into(), encoder: "01".into(), logits: "02".into(), tokens: "03".into(), events: None };
        let language = Some("en".to_owned());
        let summary = Summary { language, duration: 3663.0, digests: Some(digests), ..Summary::default() };
        writer.end(&mut out, &summary).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text() {
        assert_eq!(written(Format::Text, &segments()), "Hello, wörld.\na\tb --> \"c\"\n");
    }

    #[test]
    fn tsv() {
        let expected = "start\tend\ttext\n0\t2480\tHello, wörld.\n3661500\t3662255\ta b --> \"c\"\n";
        assert_eq!(written(Format::Tsv, &segments()), expected);
    }

    #[test]
    fn srt() {
        let expected = "1\n00:00:00,000 --> 00:00:02,480\nHello, wörld.\n\n2\n01:01:01,500 --> 01:01:02,255\na\tb -> \"c\"\n\n";
        assert_eq!(written(Format::Srt, &segments()), expected);
    }

    #[test]
    fn vtt() {
        let expected = "WEBVTT\n\n00:00.000 --> 00:02.480\nHello, wörld.\n\n01:01:01.500 --> 01:01:02.255\na\tb -> \"c\"\n\n";
        assert_eq!(written(Format::Vtt, &segments()), expected);
    }

    #[test]
    fn json() {
        let expected = r#"{"schema":"ossicle.transcript/1","file":"a.wav","model":"whisper-tiny.en","task":"transcribe","segments":[
{"id":0,"seek":0,"start":0.0,"end":2.48,"text":" Hello, wörld.","tokens":[50364,15947],"temperature":0.0,"avg_logprob":-0.25,"compression_ratio":1.5,"no_speech_prob":0.125},
{"id":1,"seek":0,"start":3661.5,"end":3662.255,"text":" a\tb --> \"c\"","tokens":[50364,15947],"temperature":0.0,"avg_logprob":-0.25,"compression_ratio":1.5,"no_speech_prob":0.125,"words":[{"word":" a","start":3661.5,"end":3662.0,"probability":0.5}]}
],"text":" Hello, wörld. a\tb --> \"c\"","language":"en","duration":3663.0,"digests":{"mel":"00","encoder":"01","logits":"02","tokens":"03"}}
"#;
        assert_eq!(written(Format::Json, &segments()), expected);
        for segments in [vec![], segments()] {
            let value: serde_json::Value = serde_json::from_str(&written(Format::Json, &segments)).unwrap();
            assert_eq!(value["segments"].as_array().unwrap().len(), segments.len());
        }
    }

    #[test]
    fn jsonl() {
        let lines = written(Format::Jsonl, &segments());
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2);
        let start = r#"{"file":"a.wav","id":0,"seek":0,"start":0.0,"end":2.48,"text":" Hello, wörld.","#;
        assert!(lines[0].starts_with(start), "{}", lines[0]);
        assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }

    #[test]
    fn nothing_said() {
        assert_eq!(written(Format::Text, &[]), "");
        assert_eq!(written(Format::Jsonl, &[]), "");
        assert_eq!(written(Format::Srt, &[]), "");
        assert_eq!(written(Format::Vtt, &[]), "WEBVTT\n\n");
        assert_eq!(written(Format::Tsv, &[]), "start\tend\ttext\n");
    }

    #[test]
    fn names() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("xml"), None);
    }
}
