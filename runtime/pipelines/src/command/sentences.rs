//! What recognition needs of a set of sentences.

use super::automaton::Automaton;

/// Sentences as an automaton, and what they mean.
pub trait Sentences: Automaton {
    /// Intent and slots.
    type Meaning: PartialEq;

    /// What a text of the automaton can mean, the preferred meaning first; nothing if it is not one.
    fn meanings(&self, text: &str) -> Vec<Self::Meaning>;

    /// How sure one has to be of a meaning, if it has a threshold of its own, 0 to 1.
    fn threshold(&self, _: &Self::Meaning) -> Option<f32> {
        None
    }
}
