//! What a folder of sentences holds, read and not yet compiled.

use std::sync::Arc;

use crate::source::Mark;
use crate::value::Value;

/// A text of a file, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) text: String,
    pub(super) file: Arc<str>,
    pub(super) mark: Mark,
}

/// Sentences, lists and rules of one language, from files in the layout of Home Assistant's.
#[derive(Debug, Default)]
pub struct Corpus {
    pub(super) language: String,
    pub(super) intents: Vec<Intent>,
    pub(super) lists: Vec<List>,
    pub(super) rules: Vec<Rule>,
    pub(super) skip_words: Vec<Located>,
    /// Blanks do not count: languages that are written without.
    pub(super) ignore_blanks: bool,
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
}

/// Sentences that share slots and conditions.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) sentences: Vec<Located>,
    pub(super) slots: Vec<(String, Value)>,
    pub(super) requires: Vec<Condition>,
    pub(super) excludes: Vec<Condition>,
    pub(super) response: Option<String>,
    pub(super) metadata: Vec<(String, Value)>,
    pub(super) combination: Option<String>,
    /// Lists and rules of this block's own.
    pub(super) lists: Vec<List>,
    pub(super) rules: Vec<Rule>,
}

/// What a context must hold, or must not.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) key: String,
    /// One of these; any value if there is none.
    pub(super) values: Vec<String>,
    /// The slot that the context's value goes into.
    pub(super) slot: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) name: String,
    pub(super) kind: ListKind,
}

#[derive(Clone, Debug)]
pub(super) enum ListKind {
    Values(Vec<ListValue>),
    Range(Range),
    Wildcard,
}

#[derive(Clone, Debug)]
pub(super) struct ListValue {
    pub(super) input: Located,
    /// Whether `input` is a template; names of a house are not.
    pub(super) template: bool,
    /// What it stands for; without it, what was said.
    pub(super) output: Option<Value>,
    pub(super) context: Vec<(String, String)>,
    /// The entity that it names.
    pub(super) entity: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) step: i64,
    /// Tenths beside whole numbers: none, 5, or 1 to 9.
    pub(super) tenths: Vec<i64>,
    pub(super) multiplier: f64,
    pub(super) figures: bool,
    /// The language of numbers in words; none if they do not count.
    pub(super) words: Option<String>,
}

impl Range {
    /// Its numbers in tenths.
    pub(super) fn numbers(&self) -> impl Iterator<Item = i64> {
        (self.from..=self.to)
            .step_by(self.step as usize)
            .flat_map(move |whole| std::iter::once(whole * 10).chain(self.tenths.iter().map(move |tenth| whole * 10 + tenth)))
    }

    pub(super) fn holds(&self, tenths: i64) -> bool {
        let (whole, tenth) = (tenths.div_euclid(10), tenths.rem_euclid(10));
        (self.from..=self.to).contains(&whole) && (whole - self.from) % self.step == 0 && (tenth == 0 || self.tenths.contains(&tenth))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) template: Located,
}

impl Corpus {
    /// The language, as a code.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// What was passed over, in one line; nothing if all was used.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        (!self.notes.is_empty()).then(|| format!("passed over: {}", self.notes.join(", ")))
    }

    /// The names of the intents.
    pub fn intents(&self) -> impl Iterator<Item = &str> {
        self.intents.iter().map(|intent| intent.name.as_str())
    }

    /// How many templates there are.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.intents.iter().flat_map(|intent| &intent.blocks).map(|block| block.sentences.len()).sum()
    }
}
