//! Commands in text.

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
