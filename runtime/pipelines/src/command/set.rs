//! The sentences of a file or a folder, compiled for a model.

use std::sync::Arc;

use ossicle_sentences::hass::{Intents, SpeechAutomaton, SpeechState, Understood};
use ossicle_sentences::{CompileError, Grammar, Match, State, TokenAutomaton, Value};
use serde::{Serialize, Serializer};

use super::automaton::Automaton;
use super::sentences::{Meant, Sentences};
use super::vocabulary::WhisperVocabulary;
use crate::whisper::tokenizer::Tokenizer;

/// Sentences, and their automaton over a model's tokens. Copies share what does not change; searches side by side need one each.
#[derive(Clone, Debug)]
pub struct CommandSet(Kind);

#[derive(Clone, Debug)]
enum Kind {
    File { grammar: Arc<Grammar>, automaton: Arc<TokenAutomaton> },
    Folder { intents: Arc<Intents>, automaton: Box<SpeechAutomaton> },
}

/// A place in the automaton of a [`CommandSet`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetState(Place);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    File(State),
    Folder(SpeechState),
}

/// What is wanted: an intent and its slots.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The intent's name.
    pub name: String,
    /// Its slots, by name.
    pub slots: Vec<(String, SlotValue)>,
    /// What to answer, if the sentence file says, its slots filled in.
    pub response: Option<String>,
    /// How sure one has to be of this sentence, as its file has it, 0 to 1.
    pub threshold: Option<f32>,
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotValue(pub Value);

impl Intent {
    fn new(found: &Match<'_>) -> Self {
        let mut slots: Vec<_> = found.slots.iter().map(|slot| (slot.name.to_owned(), SlotValue(slot.value.clone()))).collect();
        slots.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { name: found.intent.to_owned(), slots, response: found.response.clone(), threshold: found.threshold }
    }
}

impl From<Understood<'_>> for Intent {
    fn from(found: Understood<'_>) -> Self {
        let mut slots: Vec<_> = found.slots.into_iter().map(|(name, value)| (name.to_owned(), SlotValue(value))).collect();
        slots.sort_by(|(a, _), (b, _)| a.cmp(b));
        // What Home Assistant's files have for a response is the key of a template.
        Self { name: found.intent.to_owned(), slots, response: None, threshold: None }
    }
}

/// Equal if the same is wanted, however it was said.
impl PartialEq for Intent {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.slots) == (&other.name, &other.slots)
    }
}

/// A string or a number; whole numbers without a point.
impl Serialize for SlotValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.0, self.0.whole()) {
            (Value::Text(text) | Value::Free(text), _) => serializer.serialize_str(text),
            (_, Some(whole)) => serializer.serialize_i64(whole),
            (Value::Number(number), None) => serializer.serialize_f64(*number),
            (Value::Several(values), None) => serializer.collect_seq(values.iter().cloned().map(SlotValue)),
        }
    }
}

impl CommandSet {
    /// Compiles a grammar for the model whose text tokens are those below `eot`.
    ///
    /// # Errors
    /// If the automaton would be too large, or the vocabulary cannot write a word.
    pub fn new(grammar: impl Into<Arc<Grammar>>, tokenizer: &Tokenizer, eot: u32) -> Result<Self, CompileError> {
        let grammar = grammar.into();
        let automaton = TokenAutomaton::compile(&grammar, &WhisperVocabulary::new(tokenizer, eot))?.into();
        Ok(Self(Kind::File { grammar, automaton }))
    }

    /// Sentences of a folder and a house, for such a model.
    pub fn of_intents(intents: impl Into<Arc<Intents>>, tokenizer: &Tokenizer, eot: u32) -> Self {
        let intents = intents.into();
        let automaton = SpeechAutomaton::new(&intents, &WhisperVocabulary::new(tokenizer, eot)).into();
        Self(Kind::Folder { intents, automaton })
    }

    /// The language that the sentences say they are in, as a code.
    pub fn language(&self) -> &str {
        match &self.0 {
            Kind::File { grammar, .. } => grammar.language(),
            Kind::Folder { intents, .. } => intents.corpus().language(),
        }
    }

    /// Bytes of memory that the automaton holds.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Kind::File { automaton, .. } => automaton.bytes(),
            Kind::Folder { automaton, .. } => automaton.bytes(),
        }
    }

    /// What cannot be recognised and was left out, in one line; nothing if nothing was.
    pub fn note(&self) -> Option<String> {
        match &self.0 {
            Kind::File { .. } => None,
            Kind::Folder { automaton, .. } => automaton.note(),
        }
    }
}

impl Automaton for CommandSet {
    type State = SetState;

    fn start(&self) -> SetState {
        SetState(match &self.0 {
            Kind::File { automaton, .. } => Place::File(automaton.start()),
            Kind::Folder { automaton, .. } => Place::Folder(automaton.start()),
        })
    }

    fn arcs(&self, state: SetState, out: &mut Vec<(u32, SetState)>) {
        match (&self.0, state.0) {
            (Kind::File { automaton, .. }, Place::File(state)) => {
                out.extend(automaton.arcs(state).iter().map(|arc| (arc.token, SetState(Place::File(arc.to)))));
            }
            (Kind::Folder { automaton, .. }, Place::Folder(state)) => {
                automaton.arcs(state, |token, to| out.push((token, SetState(Place::Folder(to)))));
            }
            _ => {}
        }
    }

    fn accepts(&self, state: SetState) -> bool {
        match (&self.0, state.0) {
            (Kind::File { automaton, .. }, Place::File(state)) => automaton.accepts(state),
            (Kind::Folder { automaton, .. }, Place::Folder(state)) => automaton.accepts(state),
            _ => false,
        }
    }

    fn allows_text(&self, state: SetState) -> bool {
        matches!((&self.0, state.0), (Kind::File { automaton, .. }, Place::File(state)) if automaton.any_text(state).is_some())
    }

    fn next(&self, state: SetState, token: u32) -> Option<SetState> {
        match (&self.0, state.0) {
            (Kind::File { automaton, .. }, Place::File(state)) => automaton.next(state, token).map(|to| SetState(Place::File(to))),
            (Kind::Folder { automaton, .. }, Place::Folder(state)) => automaton.next(state, token).map(|to| SetState(Place::Folder(to))),
            _ => None,
        }
    }
}

impl Sentences for CommandSet {
    type Meaning = Intent;

    fn meanings(&self, text: &str) -> Vec<Meant<Intent>> {
        let grammar = match &self.0 {
            Kind::File { grammar, .. } => grammar,
            Kind::Folder { intents, .. } => {
                let found = intents.understand(text);
                return found.into_iter().map(|found| Meant { meaning: found.into(), fits_best: true }).collect();
            }
        };
        let matches = grammar.matches(text);
        let fewest = matches.first().map_or(0, |best| best.free_words);
        matches.iter().map(|found| Meant { meaning: Intent::new(found), fits_best: found.free_words == fewest }).collect()
    }

    fn threshold(&self, meaning: &Intent) -> Option<f32> {
        meaning.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_the_same_in_any_spelling_and_names_are_not() {
        let file = "language: en\nintents: {A: {data: [{sentences: [\"add {item}\", \"use {tool}\"]}]}}\n\
                    lists:\n  item: {wildcard: true}\n  tool: {values: [{in: see plus plus, out: C++}, {in: see, out: C}]}\n";
        let grammar = Grammar::parse("x.yaml", file).unwrap();
        let meaning = |text: &str| Intent::new(&grammar.matches(text)[0]);
        assert_eq!(meaning("Add oat-milk, and eggs."), meaning("add Oat milk and eggs"));
        assert_ne!(meaning("add oat milk"), meaning("add eggs"));
        assert_ne!(meaning("use see"), meaning("use see plus plus"));
        assert_eq!(serde_json::to_value(&meaning("add Oat milk").slots[0].1).unwrap(), "Oat milk");
    }
}
