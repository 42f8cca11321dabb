//! Transcripts in the shapes that clients ask for.

use ossicle::audio::Damage;
use ossicle::formats::{Format, Header};
use ossicle::whisper::languages;
use ossicle::whisper::options::Task;
use ossicle::whisper::transcript::{Dropped, Segment, Summary, Word};
use serde_json::{Value, json};

use super::answer::JSON;
use super::form::Shape;
use crate::text::Text;

/// What was heard in a recording.
pub(super) struct Heard<'a> {
    pub(super) task: Task,
    /// Whether segments were asked for.
    pub(super) with_segments: bool,
    pub(super) segments: &'a [Segment],
    pub(super) dropped: &'a [Dropped],
    pub(super) damage: &'a [Damage],
    pub(super) summary: &'a Summary,
}

/// A finished transcript: its content type and itself.
pub(super) fn body(shape: Shape, heard: &Heard<'_>) -> (&'static str, String) {
    let &Heard { segments, summary, .. } = heard;
    match shape {
        Shape::Json => (JSON, json!({"text": text(segments), "usage": usage(summary)}).to_string()),
        Shape::VerboseJson => (JSON, verbose(heard).to_string()),
        Shape::Plain(Format::Text) => ("text/plain; charset=utf-8", text(segments) + "\n"),
        Shape::Plain(format) => {
            let kind = if format == Format::Vtt { "text/vtt; charset=utf-8" } else { "application/x-subrip; charset=utf-8" };
            (kind, written(format, segments, summary))
        }
    }
}

/// All that was said.
pub(super) fn text(segments: &[Segment]) -> String {
    let mut text = Text::default();
    segments.iter().for_each(|segment| _ = text.push(&segment.text));
    text.into_string()
}

fn usage(summary: &Summary) -> Value {
    json!({"type": "duration", "seconds": summary.duration.ceil()})
}

/// With what the interface has no place for: texts that were dropped, what the recording lacks, and doubts about its language.
fn verbose(heard: &Heard<'_>) -> Value {
    let &Heard { task, with_segments, segments, dropped, damage, summary } = heard;
    let code = if task == Task::Translate { Some("en") } else { summary.language.as_deref() };
    // The interface has names where others have codes.
    let language = code.map_or("", |code| languages::name(code).unwrap_or(code));
    let mut object = json!({
        "task": task.name(),
        "language": language,
        "duration": summary.duration,
        "text": text(segments),
        "usage": usage(summary),
    });
    let words: Vec<&Word> = segments.iter().filter_map(|segment| segment.words.as_ref()).flatten().collect();
    if !words.is_empty() {
        object["words"] = words.iter().map(|word| json!({"word": word.word.trim(), "start": word.start, "end": word.end})).collect();
    }
    if with_segments {
        object["segments"] = segments.iter().map(|segment| json!(Segment { words: None, ..segment.clone() })).collect();
    }
    object["dropped"] = json!(dropped);
    if summary.language_doubt {
        object["language_doubt"] = true.into();
    }
    if !damage.is_empty() {
        object["warnings"] = damage.iter().map(ToString::to_string).collect();
    }
    object
}

/// As the command line writes it.
fn written(format: Format, segments: &[Segment], summary: &Summary) -> String {
    let (mut out, mut writer) = (Vec::new(), format.writer());
    let written = writer.begin(&mut out, &Header::default());
    let written = segments.iter().fold(written, |written, segment| written.and_then(|()| writer.segment(&mut out, segment)));
    // Memory takes everything, and the writers write UTF-8.
    let _ = written.and_then(|()| writer.end(&mut out, summary));
    String::from_utf8_lossy(&out).into_owned()
}
