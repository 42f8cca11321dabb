//! `ossicle transcribe`: what is written, and how it is laid out.

use std::path::Path;

use clap::ValueEnum;
use ossicle::formats::{Format, Layout, Place, SplitOn, TranscriptWriter, WriterOptions};

use crate::fault::Fault;

/// What to write.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum FormatName {
    Text,
    Json,
    Jsonl,
    Srt,
    Vtt,
    Tsv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Json => Self::Json,
            FormatName::Jsonl => Self::Jsonl,
            FormatName::Srt => Self::Srt,
            FormatName::Vtt => Self::Vtt,
            FormatName::Tsv => Self::Tsv,
        }
    }
}

/// How subtitles are laid out.
#[derive(clap::Args)]
#[command(next_help_heading = "Subtitles (srt, vtt)")]
pub(crate) struct LayoutArgs {
    /// Columns of a line; Chinese, Japanese and Korean characters take two [default: 42]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    max_line_width: Option<u16>,
    /// Lines of a cue [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    max_lines: Option<u16>,
    /// Where a cue may end [default: length]
    #[arg(long, value_enum)]
    split_on: Option<SplitName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SplitName {
    /// Where the text fits best
    Length,
    /// At every end of a sentence as well
    Sentence,
}

impl LayoutArgs {
    fn layout(&self) -> Layout {
        let default = Layout::default();
        Layout {
            max_line_width: self.max_line_width.map_or(default.max_line_width, usize::from),
            max_lines: self.max_lines.map_or(default.max_lines, usize::from),
            split_on: match self.split_on {
                None => default.split_on,
                Some(SplitName::Length) => SplitOn::Length,
                Some(SplitName::Sentence) => SplitOn::Sentence,
            },
        }
    }

    /// A writer of transcripts at that place of the output.
    pub(crate) fn writer(&self, format: Format, place: Place) -> Box<dyn TranscriptWriter> {
        self.channel_writer(format, place, 0)
    }

    /// The same, of so many channels side by side.
    pub(crate) fn channel_writer(&self, format: Format, place: Place, channels: usize) -> Box<dyn TranscriptWriter> {
        format.writer_with(WriterOptions { layout: self.layout(), place, channels })
    }

    /// Refuses what `format` has no lines for, and subtitles of several recordings in one output.
    pub(crate) fn check(&self, format: Format, recordings: usize, folder: Option<&Path>) -> Result<(), Fault> {
        let given = [
            ("--max-line-width", self.max_line_width.is_some()),
            ("--max-lines", self.max_lines.is_some()),
            ("--split-on", self.split_on.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|&(_, given)| given && !format.is_subtitles()) {
            return Err(Fault::line(format!("{option}: only subtitles have lines: add --format srt or vtt")));
        }
        if recordings > 1 && folder.is_none() && format.is_subtitles() {
            return Err(Fault::line(format!("--format: subtitles of {recordings} recordings in one output: add --output-dir")));
        }
        Ok(())
    }
}

/// The place after one that was taken.
pub(crate) fn next(place: &mut Place) {
    if *place == Place::First {
        *place = Place::Later;
    }
}
