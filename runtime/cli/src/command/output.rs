//! What `ossicle command` prints.

use std::io::{self, Write};

use ossicle::command::recogniser::{Reading, Recognition};
use ossicle::command::set::{Intent, SlotValue};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The `schema` of json. The number grows when a key changes its meaning or goes away.
const SCHEMA: &str = "ossicle.command/1";

/// A line for people: file, confidence, intent, slots, text.
pub(super) fn text(out: &mut impl Write, file: &str, width: usize, recognised: &Recognition<Intent>) -> io::Result<()> {
    match &recognised.command {
        Some(command) => {
            write!(out, "{file:width$}  {:.2}  {}", command.confidence, command.meaning.name)?;
            for (name, SlotValue(value)) in &command.meaning.slots {
                write!(out, " {name}={}", quoted(&value.to_string()))?;
            }
            writeln!(out, "  \"{}\"", command.text)
        }
        None if recognised.heard.is_empty() => writeln!(out, "{file:width$}  0.00  none"),
        None => writeln!(out, "{file:width$}  {:.2}  none  heard \"{}\"", recognised.confidence, recognised.heard),
    }
}

/// A value with spaces stands in quotes.
fn quoted(value: &str) -> String {
    if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() }
}

/// An object on one line, see docs/json.md.
pub(super) fn json(out: &mut impl Write, file: &str, recognised: &Recognition<Intent>) -> io::Result<()> {
    let command = recognised.command.as_ref();
    let line = Line {
        schema: SCHEMA,
        file,
        intent: command.map(|command| command.meaning.name.as_str()),
        slots: Slots(command.map_or(&[], |command| &command.meaning.slots)),
        text: command.map(|command| command.text.as_str()),
        confidence: recognised.confidence,
        response: command.and_then(|command| command.meaning.response.as_deref()),
        alternatives: recognised.alternatives.iter().map(Alternative::new).collect(),
        heard: &recognised.heard,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    file: &'a str,
    intent: Option<&'a str>,
    slots: Slots<'a>,
    text: Option<&'a str>,
    confidence: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    alternatives: Vec<Alternative<'a>>,
    heard: &'a str,
}

#[derive(Serialize)]
struct Alternative<'a> {
    intent: &'a str,
    slots: Slots<'a>,
    text: &'a str,
    confidence: f32,
}

impl<'a> Alternative<'a> {
    fn new(reading: &'a Reading<Intent>) -> Self {
        let Reading { meaning, text, confidence, .. } = reading;
        Self { intent: &meaning.name, slots: Slots(&meaning.slots), text, confidence: *confidence }
    }
}

/// An object with a key for each slot.
struct Slots<'a>(&'a [(String, SlotValue)]);

impl Serialize for Slots<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
