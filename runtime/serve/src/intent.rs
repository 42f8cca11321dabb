//! Commands in text.

use std::fmt;
use std::sync::Arc;

use ossicle_sentences::hass::Intents;
use ossicle_sentences::{Grammar, Match, Value as SlotValue};
use serde::Serialize;
use serde_json::Value;

/// Finds the command in a text. Connections call it at once, each on its own thread.
pub trait Recognise: Send + Sync {
    /// Codes of the languages its commands are in.
    fn languages(&self) -> Vec<String>;

    /// The command, if `text` is one and no other as well.
    fn recognise(&self, text: &str) -> Option<Intent>;

    /// The commands that `text` may be, if nobody can tell which: two or more.
    fn ambiguous(&self, _text: &str) -> Vec<Intent> {
        Vec::new()
    }
}

/// What somebody wants done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intent {
    /// Its name, such as `HassTurnOff`.
    pub name: String,
    /// The values in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
    /// What to answer, if the sentences say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A value in a command, such as the room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    /// What it is.
    pub name: String,
    /// A text or a number.
    pub value: Value,
}

impl<R: Recognise + ?Sized> Recognise for Arc<R> {
    fn languages(&self) -> Vec<String> {
        (**self).languages()
    }

    fn recognise(&self, text: &str) -> Option<Intent> {
        (**self).recognise(text)
    }

    fn ambiguous(&self, text: &str) -> Vec<Intent> {
        (**self).ambiguous(text)
    }
}

/// The meaning that a sentence file has for a text, if one fits best.
impl Recognise for Grammar {
    fn languages(&self) -> Vec<String> {
        vec![self.language().to_owned()]
    }

    fn recognise(&self, text: &str) -> Option<Intent> {
        self.matches(text).first().filter(|best| !best.ambiguous).map(intent)
    }

    fn ambiguous(&self, text: &str) -> Vec<Intent> {
        let matches = self.matches(text);
        let fewest = matches.first().map_or(0, |best| best.free_words);
        matches.iter().filter(|found| found.ambiguous && found.free_words == fewest).map(intent).collect()
    }
}

/// The meaning that sentences of a folder have for a text.
impl Recognise for Intents {
    fn languages(&self) -> Vec<String> {
        vec![self.corpus().language().to_owned()]
    }

    fn recognise(&self, text: &str) -> Option<Intent> {
        let found = self.understand(text)?;
        let entities = found.slots.iter().map(|(name, slot)| Entity { name: (*name).to_owned(), value: value(slot) });
        // What the files have for a response is the key of a template, and nothing to say.
        Some(Intent { name: found.intent.to_owned(), entities: entities.collect(), text: None })
    }
}

fn intent(found: &Match<'_>) -> Intent {
    let entities = found.slots.iter().map(|slot| Entity { name: slot.name.to_owned(), value: value(&slot.value) });
    Intent { name: found.intent.to_owned(), entities: entities.collect(), text: found.response.clone() }
}

/// For people: the name and the values.
impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for Entity { name, value } in &self.entities {
            match value.as_str() {
                Some(text) => write!(f, " {name}={text}")?,
                None => write!(f, " {name}={value}")?,
            }
        }
        Ok(())
    }
}

/// A text or a number; whole numbers without a point.
fn value(slot: &SlotValue) -> Value {
    match (slot, slot.whole()) {
        (SlotValue::Text(text) | SlotValue::Free(text), _) => text.as_str().into(),
        (_, Some(whole)) => whole.into(),
        (SlotValue::Number(number), None) => (*number).into(),
        (SlotValue::Several(values), None) => values.iter().map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_meanings_are_none_and_both_are_named() {
        let file = "language: en\nintents:\n  Volume: {data: [{sentences: [\"set [the] {room} to {n:volume}\"]}]}\n  \
                    Light: {data: [{sentences: [\"set {room} to {n:brightness}\", \"dim {room}\"]}]}\n\
                    lists: {room: {values: [bedroom]}, n: {range: {from: 0, to: 100}}}\n";
        let grammar = Grammar::parse("x.yaml", file).unwrap();
        assert_eq!(grammar.recognise("set bedroom to 21"), None);
        let named: Vec<String> = grammar.ambiguous("set bedroom to 21").iter().map(Intent::to_string).collect();
        assert_eq!(named, ["Volume room=bedroom volume=21", "Light room=bedroom brightness=21"]);
        for clear in ["set the bedroom to 21", "dim bedroom"] {
            assert!(grammar.recognise(clear).is_some() && grammar.ambiguous(clear).is_empty(), "{clear}");
        }
    }

    #[test]
    fn sentences_become_intents() {
        let home = Grammar::parse("home", ossicle_sentences::pack("home").unwrap().text).unwrap();
        assert_eq!(home.languages(), ["en"]);
        let intent = home.recognise("Turn off the kitchen lights.").unwrap();
        assert_eq!(intent.name, "HassTurnOff");
        assert!(json!(intent.entities).to_string().contains("kitchen"), "{intent:?}");
        let timer = home.recognise("set a timer for 10 minutes").unwrap();
        assert!(timer.entities.contains(&Entity { name: "minutes".into(), value: json!(10) }), "{timer:?}");
        assert_eq!(home.recognise("who painted the ceiling"), None);
        assert_eq!(value(&SlotValue::Number(21.5)), json!(21.5));
    }
}
