//! Random sentences of a grammar.

use crate::expr::{Expr, ExprId};
use crate::grammar::Grammar;
use crate::value::Value;

/// What samples say for free text.
const FREE_TEXT: [&str; 6] = ["bread", "olive oil", "two bottles of milk", "call the dentist", "Anna", "the blue folder"];

/// A sentence and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'g> {
    /// The words, with a space between each two.
    pub text: String,
    /// The intent.
    pub intent: &'g str,
    /// The slots: those said, in the order of the text, then the fixed ones.
    pub slots: Vec<(&'g str, Value)>,
}

/// Random sentences without end, the same for the same seed on every machine. All templates are as likely; so are all alternatives in
/// one bracket and all values of one list.
#[derive(Clone, Debug)]
pub struct Samples<'g> {
    grammar: &'g Grammar,
    state: u64,
}

impl Grammar {
    /// Random sentences.
    pub fn samples(&self, seed: u64) -> Samples<'_> {
        Samples { grammar: self, state: seed }
    }
}

impl<'g> Iterator for Samples<'g> {
    type Item = Sample<'g>;

    fn next(&mut self) -> Option<Sample<'g>> {
        let grammar = self.grammar;
        let sentence = &grammar.sentences[self.below(grammar.sentences.len())];
        let mut sample = Sample { text: String::new(), intent: &grammar.intents[sentence.intent].name, slots: Vec::new() };
        self.say(sentence.expr, &mut sample);
        for (name, value) in &grammar.block(sentence).slots {
            if !sample.slots.iter().any(|(said, _)| said == name) {
                sample.slots.push((name, value.clone()));
            }
        }
        Some(sample)
    }
}

impl<'g> Samples<'g> {
    /// SplitMix64 (Steele, Lea, Flood 2014), brought below `n`, which is small, so that the bias does not matter.
    fn below(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn say(&mut self, expr: ExprId, sample: &mut Sample<'g>) {
        let grammar = self.grammar;
        match grammar.exprs.get(expr) {
            Expr::Word(word) => {
                let entry = &grammar.lexicon.entries()[*word as usize];
                push_word(&mut sample.text, entry.given.first().unwrap_or(&entry.text));
            }
            Expr::Any { .. } => push_word(&mut sample.text, FREE_TEXT[self.below(FREE_TEXT.len())]),
            Expr::Sequence(parts) => parts.iter().for_each(|&part| self.say(part, sample)),
            Expr::Choice(parts) | Expr::Spellings(parts) => {
                let part = parts[self.below(parts.len())];
                self.say(part, sample);
            }
            Expr::Permutation(parts) => {
                let mut parts = parts.clone();
                while !parts.is_empty() {
                    let part = parts.remove(self.below(parts.len()));
                    self.say(part, sample);
                }
            }
            Expr::Slot { slot, value, body } => {
                let start = sample.text.len();
                self.say(*body, sample);
                let said = || Value::Free(sample.text[start..].trim_start().to_owned());
                let value = value.map_or_else(said, |value| grammar.values[value as usize].clone());
                sample.slots.push((&grammar.slots[*slot as usize], value));
            }
        }
    }
}

fn push_word(text: &mut String, word: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}
