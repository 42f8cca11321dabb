//! What recognition needs of a set of sentences.

use std::sync::Arc;

use super::automaton::Automaton;

/// A meaning of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Meant<M> {
    /// Intent and slots.
    pub meaning: M,
    /// Whether no other meaning fits the text better; several may fit alike, and then nobody knows which is meant.
    pub fits_best: bool,
}

/// Sentences as an automaton, and what they mean.
pub trait Sentences: Automaton {
    /// Intent and slots.
    type Meaning: PartialEq;

    /// What a text of the automaton can mean, each meaning once and those that fit best first; nothing if it is not one.
    fn meanings(&self, text: &str) -> Vec<Meant<Self::Meaning>>;

    /// How sure one has to be of a meaning, if it has a threshold of its own, 0 to 1.
    fn threshold(&self, _: &Self::Meaning) -> Option<f32> {
        None
    }
}

/// Shared by several recognisers.
impl<S: Sentences + ?Sized> Sentences for Arc<S> {
    type Meaning = S::Meaning;

    fn meanings(&self, text: &str) -> Vec<Meant<Self::Meaning>> {
        (**self).meanings(text)
    }

    fn threshold(&self, meaning: &Self::Meaning) -> Option<f32> {
        (**self).threshold(meaning)
    }
}
