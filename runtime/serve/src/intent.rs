//! Commands in text.

use std::sync::Arc;

use ossicle_sentences::{Grammar, Value as SlotValue};
use serde::Serialize;
use serde_json::Value;

/// Finds the command in a text. Connections call it at once, each on its own thread.
pub trait Recognise: Send + Sync {
    /// Codes of the languages its commands are in.
    fn languages(&self) -> Vec<String>;

    /// The command, if `text` is one.
    fn recognise(&self, text: &str) -> Option<Intent>;
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
}

/// The first meaning that a sentence file has for a text.
impl Recognise for Grammar {
    fn languages(&self) -> Vec<String> {
        vec![self.language().to_owned()]
    }

    fn recognise(&self, text: &str) -> Option<Intent> {
        let matches = self.matches(text);
        let found = matches.first()?;
        let entities = found.slots.iter().map(|slot| Entity { name: slot.name.to_owned(), value: value(&slot.value) });
        Some(Intent { name: found.intent.to_owned(), entities: entities.collect(), text: found.response.map(str::to_owned) })
    }
}

/// A text or a number; whole numbers without a point.
fn value(value: &SlotValue) -> Value {
    match (value, value.whole()) {
        (SlotValue::Text(text) | SlotValue::Free(text), _) => text.as_str().into(),
        (_, Some(whole)) => whole.into(),
        (SlotValue::Number(number), None) => (*number).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
