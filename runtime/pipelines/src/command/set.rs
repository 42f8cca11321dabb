//! The sentences of a file, compiled for a model.

use std::sync::Arc;

use ossicle_sentences::{CompileError, Grammar, Match, State, TokenAutomaton, Value};
use serde::{Serialize, Serializer};

use super::automaton::Automaton;
use super::sentences::{Meant, Sentences};
use super::vocabulary::WhisperVocabulary;
use crate::whisper::tokenizer::Tokenizer;

/// A grammar and its automaton over a model's tokens.
#[derive(Debug)]
pub struct CommandSet {
    grammar: Arc<Grammar>,
    automaton: TokenAutomaton,
}

/// What is wanted: an intent and its slots.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The intent's name.
    pub name: String,
    /// Its slots, by name.
    pub slots: Vec<(String, SlotValue)>,
    /// What to answer, as the sentence file has it.
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
        Self { name: found.intent.to_owned(), slots, response: found.response.map(str::to_owned), threshold: found.threshold }
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
        let automaton = TokenAutomaton::compile(&grammar, &WhisperVocabulary::new(tokenizer, eot))?;
        Ok(Self { grammar, automaton })
    }

    /// The grammar.
    pub fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// The automaton.
    pub fn automaton(&self) -> &TokenAutomaton {
        &self.automaton
    }
}

impl Automaton for CommandSet {
    type State = State;

    fn start(&self) -> State {
        self.automaton.start()
    }

    fn arcs(&self, state: State, out: &mut Vec<(u32, State)>) {
        out.extend(self.automaton.arcs(state).iter().map(|arc| (arc.token, arc.to)));
    }

    fn accepts(&self, state: State) -> bool {
        self.automaton.accepts(state)
    }

    fn allows_text(&self, state: State) -> bool {
        self.automaton.any_text(state).is_some()
    }

    fn next(&self, state: State, token: u32) -> Option<State> {
        self.automaton.next(state, token)
    }
}

impl Sentences for CommandSet {
    type Meaning = Intent;

    fn meanings(&self, text: &str) -> Vec<Meant<Intent>> {
        let matches = self.grammar.matches(text);
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
