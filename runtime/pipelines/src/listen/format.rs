//! Events as lines: aligned text for people, JSON for programs (docs/json.md).

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::event::Event;
use crate::audio::SAMPLE_RATE;
use crate::events::{SOUND, SOUND_REPEAT, SOUND_START};
use crate::whisper::transcript::DropReason;

/// The schema that the first line of JSON names.
pub const SCHEMA: &str = "ossicle.listen/1";

/// Positions in a stream of another rate.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The stream's own rate in hertz.
    pub rate: u32,
}

impl Clock {
    /// The position in the stream itself of a position at 16 kHz.
    pub fn sample(self, position: u64) -> u64 {
        (u128::from(position) * u128::from(self.rate) / u128::from(SAMPLE_RATE)) as u64
    }

    /// Seconds, rounded to milliseconds.
    fn seconds(position: u64) -> f64 {
        (position as f64 * 1000.0 / f64::from(SAMPLE_RATE)).round() / 1000.0
    }
}

#[derive(Serialize, Default)]
struct Line<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_sample: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_sample: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stable: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_utterances: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utterances: Option<u64>,
}

/// Writes one object and a line end.
///
/// # Errors
/// If `out` cannot be written.
pub fn json(out: &mut dyn Write, event: &Event, clock: Clock) -> io::Result<()> {
    let span = |event, start, end: Option<u64>| Line {
        event,
        start: Some(Clock::seconds(start)),
        end: end.map(Clock::seconds),
        start_sample: Some(clock.sample(start)),
        end_sample: end.map(|end| clock.sample(end)),
        ..Line::default()
    };
    let line = match event {
        Event::Listening { at } => {
            let first = *at == 0;
            let (schema, rate) = (first.then_some(SCHEMA), first.then_some(clock.rate));
            Line { event: "listening", schema, rate, at: Some(Clock::seconds(*at)), ..Line::default() }
        }
        Event::Speech { start } => span("speech", *start, None),
        Event::Partial { start, end, text, stable } => {
            Line { text: Some(text), stable: Some(*stable), ..span("partial", *start, Some(*end)) }
        }
        Event::Thinking { start, end } => span("thinking", *start, Some(*end)),
        Event::Final { start, end, text, intent } => {
            Line { text: Some(text), intent: intent.as_ref(), ..span("final", *start, Some(*end)) }
        }
        Event::Answer { start, end, text } => Line { text: Some(text), ..span("answer", *start, Some(*end)) },
        Event::Nothing { start, end, reason } => Line { reason: reason.map(DropReason::name), ..span("nothing", *start, Some(*end)) },
        Event::SoundOn { class, start, at, peak, again } => {
            let event = if *again { SOUND_REPEAT } else { SOUND_START };
            Line { class: Some(class), at: Some(Clock::seconds(*at)), peak: Some(*peak), ..span(event, *start, None) }
        }
        Event::Sound { class, start, end, peak, mean } => {
            Line { class: Some(class), peak: Some(*peak), mean: Some(*mean), ..span(SOUND, *start, Some(*end)) }
        }
        Event::Dropped { samples, total } => Line { event: "dropped", samples: Some(*samples), total: Some(*total), ..Line::default() },
        Event::End { samples, in_utterances, utterances } => Line {
            event: "end",
            samples: Some(clock.sample(*samples)),
            in_utterances: Some(clock.sample(*in_utterances)),
            utterances: Some(*utterances),
            ..Line::default()
        },
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Writes one line: when, what, and the text.
///
/// # Errors
/// If `out` cannot be written.
pub fn text(out: &mut dyn Write, event: &Event) -> io::Result<()> {
    let (at, what, text) = match event {
        Event::Listening { at } => (Some(at), "listening", String::new()),
        Event::Speech { start } => (Some(start), "speech", String::new()),
        Event::Partial { start, text, .. } => (Some(start), "partial", text.clone()),
        Event::Thinking { end, .. } => (Some(end), "thinking", String::new()),
        Event::Final { start, text, intent: None, .. } => (Some(start), "final", text.clone()),
        Event::Final { start, text, intent: Some(intent), .. } => (Some(start), "final", format!("{text}  {intent}")),
        Event::Answer { start, end, text } => (Some(start), "answer", format!("{text}  (deaf to {:.2})", Clock::seconds(*end))),
        Event::Nothing { start, reason, .. } => {
            (Some(start), "nothing", reason.map_or_else(String::new, |reason| reason.name().to_owned()))
        }
        Event::SoundOn { class, start, at, peak, again } => {
            let what = if *again { "goes on" } else { "has begun" };
            (Some(start), "sound", format!("{class}  ({what}, heard to {:.2}, peak {peak:.2})", Clock::seconds(*at)))
        }
        Event::Sound { class, start, end, peak, .. } => {
            (Some(start), "sound", format!("{class}  (to {:.2}, peak {peak:.2})", Clock::seconds(*end)))
        }
        Event::Dropped { samples, total } => (None, "dropped", format!("{samples} samples, {total} in all")),
        Event::End { samples, utterances, .. } => (Some(samples), "end", format!("{utterances} utterances")),
    };
    let at = at.map_or_else(String::new, |&at| format!("{:.2}", Clock::seconds(at)));
    let line = format!("{at:>10}  {what:<9}  {text}");
    writeln!(out, "{}", line.trim_end())
}
