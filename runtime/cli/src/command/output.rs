//! What `ossicle command` prints.

use std::io::{self, Write};

use ossicle::command::recogniser::{Reading, Recognition};
use ossicle::command::set::{Intent, SlotValue};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The `schema` of json. The number grows when a key changes its meaning or goes away.
const SCHEMA: &str = "ossicle.command/1";

/// A line for people: file, confidence, intent, slots, text; of an ambiguous one both intents.
pub(super) fn text(out: &mut impl Write, file: &str, width: usize, recognised: &Recognition<Intent>) -> io::Result<()> {
    match &recognised.command {
        Some(command) => {
            writeln!(out, "{file:width$}  {:.2}  {}  \"{}\"", command.confidence, meaning(&command.meaning), command.text)
        }
        None if !recognised.ambiguous.is_empty() => {
            let candidates = recognised.ambiguous.iter().map(|reading| format!("{}  \"{}\"", meaning(&reading.meaning), reading.text));
            let candidates = candidates.collect::<Vec<_>>().join("  or  ");
            writeln!(out, "{file:width$}  {:.2}  ambiguous  {candidates}", recognised.confidence)
        }
        None if recognised.heard.is_empty() => writeln!(out, "{file:width$}  0.00  none"),
        None => writeln!(out, "{file:width$}  {:.2}  none  heard \"{}\"", recognised.confidence, recognised.heard),
    }
}

/// An intent with its slots.
fn meaning(intent: &Intent) -> String {
    let slots = intent.slots.iter().map(|(name, SlotValue(value))| format!(" {name}={}", quoted(&value.to_string())));
    intent.name.clone() + &slots.collect::<String>()
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
        ambiguous: recognised.ambiguous.iter().map(Alternative::new).collect(),
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ambiguous: Vec<Alternative<'a>>,
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

#[cfg(test)]
mod tests {
    use ossicle::command::confidence::Evidence;
    use ossicle::whisper::transcript::Stats;
    use ossicle_sentences::Value;

    use super::*;

    fn reading(name: &str, slot: &str, confidence: f32) -> Reading<Intent> {
        let slots = vec![(slot.to_owned(), SlotValue(Value::Number(21.0)))];
        let meaning = Intent { name: name.to_owned(), slots, response: None, threshold: None };
        Reading { meaning, text: format!("set {slot} to 21"), confidence, evidence: Evidence::default() }
    }

    #[test]
    fn what_is_ambiguous_names_its_candidates() {
        let recognised = Recognition {
            command: None,
            ambiguous: vec![reading("HassSetVolume", "volume", 0.5), reading("HassLightSet", "bedroom", 0.375)],
            alternatives: vec![],
            confidence: 0.5,
            heard: "Set bedroom to 21".into(),
            stats: Stats::default(),
        };
        let mut out = Vec::new();
        text(&mut out, "a.wav", 5, &recognised).unwrap();
        json(&mut out, "a.wav", &recognised).unwrap();
        let out = String::from_utf8(out).unwrap();
        let [text, json] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
        let candidates = ["HassSetVolume volume=21  \"set volume to 21\"", "HassLightSet bedroom=21  \"set bedroom to 21\""];
        assert_eq!(text, format!("a.wav  0.50  ambiguous  {}", candidates.join("  or  ")));
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["intent"], &json["text"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!(json["ambiguous"][1]["intent"], "HassLightSet");
        assert_eq!(json["ambiguous"][1]["slots"]["bedroom"], 21);
        assert_eq!(json["ambiguous"][1]["confidence"], 0.375);
    }
}
