//! A sentence file, ready to match texts.

use std::ops::Range;

use crate::error::{Error, Fault};
use crate::expr::{ExprId, Exprs};
use crate::lattice::Lattice;
use crate::lexicon::Lexicon;
use crate::matcher::{self, Answer};
use crate::numbers;
use crate::program::{MAX_INSTRUCTIONS, Program};
use crate::resolve::{self, Sentence};
use crate::schema::{self, Block, Intent};
use crate::source::{Mark, Source};
use crate::value::Value;
use crate::words;

/// The sentences of a file: what may be said, and what it means.
#[derive(Debug)]
pub struct Grammar {
    pub(crate) language: String,
    pub(crate) intents: Vec<Intent>,
    pub(crate) sentences: Vec<Sentence>,
    pub(crate) exprs: Exprs,
    pub(crate) counts: Vec<u128>,
    pub(crate) lexicon: Lexicon,
    pub(crate) slots: Vec<String>,
    pub(crate) values: Vec<Value>,
    pub(crate) skip_phrases: Vec<Vec<u32>>,
    pub(crate) program: Program,
}

/// What a text means.
#[derive(Clone, Debug, PartialEq)]
pub struct Match<'g> {
    /// The intent.
    pub intent: &'g str,
    /// The slots said, in the order of the text; then the fixed ones of the sentence.
    pub slots: Vec<Slot<'g>>,
    /// What to answer, if the file says, its slots filled in.
    pub response: Option<String>,
    /// How sure the recogniser must be, from 0 to 1, where the file says so.
    pub threshold: Option<f32>,
    /// Line of the sentence in its file, counted from 1.
    pub line: u32,
    /// How many words of the text were taken as free text: the fewer, the better the meaning fits.
    pub free_words: u32,
    /// Whether the text has another meaning that fits as well: then nobody knows what is wanted.
    pub ambiguous: bool,
}

/// A slot and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot<'g> {
    /// The slot's name.
    pub name: &'g str,
    /// What it holds.
    pub value: Value,
    /// The bytes of the text that said so; none for fixed slots.
    pub span: Option<Range<usize>>,
}

impl Grammar {
    /// Reads a sentence file. `name` stands in messages.
    ///
    /// # Errors
    /// One fault, with its line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let source = Source { name, text };
        let file = schema::read(&source)?;
        let resolved = resolve::resolve(&source, &file)?;
        for block in file.intents.iter().flat_map(|intent| &intent.blocks) {
            let Some((response, mark)) = &block.response else { continue };
            let known = |name: &str| resolved.slots.iter().any(|slot| *slot == name) || block.slots.iter().any(|slot| slot.0 == name);
            if let Some(name) = response.slots().find(|name| !known(name)) {
                return Err(source.error(
                    *mark,
                    Fault::Undefined,
                    format!("the answer's slot {name}"),
                    "no sentence has a slot of this name",
                ));
            }
        }
        let program = Program::new(&resolved.exprs, resolved.sentences.iter().map(|sentence| sentence.expr)).map_err(|too_large| {
            let Sentence { line, column, .. } = resolved.sentences[too_large.0];
            let wanted = format!("at most {MAX_INSTRUCTIONS} steps in all; use fewer or shorter lists and ranges");
            source.error(Mark { line, column }, Fault::TooLarge, "the grammar grows too large here", wanted)
        })?;
        Ok(Self {
            language: file.language,
            intents: file.intents,
            counts: resolved.exprs.counts(),
            sentences: resolved.sentences,
            exprs: resolved.exprs,
            lexicon: resolved.lexicon,
            slots: resolved.slots,
            values: resolved.values,
            skip_phrases: resolved.skip_phrases,
            program,
        })
    }

    /// The language the file says it is in, as a code.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Whether any of its sentences has an answer.
    pub fn has_answers(&self) -> bool {
        self.intents.iter().flat_map(|intent| &intent.blocks).any(|block| block.response.is_some())
    }

    /// The intents' names, as listed.
    pub fn intents(&self) -> impl Iterator<Item = &str> {
        self.intents.iter().map(|intent| intent.name.as_str())
    }

    /// How many sentences there are: a number counts once however it is said, and so does free text; skipped words do not count.
    /// The largest `u128` stands for more.
    pub fn count(&self) -> u128 {
        self.sentences.iter().map(|sentence| self.count_of(sentence.expr)).fold(0, u128::saturating_add)
    }

    pub(crate) fn count_of(&self, expr: ExprId) -> u128 {
        self.counts[expr.0 as usize]
    }

    /// The sentences of this grammar, as they stand in the file, that `text` can be; none if it is none of them.
    ///
    /// Case, punctuation, hyphens, apostrophes and how Unicode writes a letter do not count; words written together or apart, without their
    /// accents, and numbers in mixed spellings are understood (`docs/sentences.md`). Meanings with fewer words of free text come first, then those listed
    /// first. At most 16 are given, and none for texts of more than 256 words; the search ends after 2^20 steps with the best it has.
    pub fn matches(&self, text: &str) -> Vec<Match<'_>> {
        let words = words::split(text);
        let lattice = Lattice::new(text, &words, &self.lexicon, numbers::are_known(&self.language));
        let answers = matcher::answers(&self.program, &self.skip_phrases, &lattice);
        let mut matches: Vec<Match<'_>> = Vec::new();
        for answer in &answers {
            let found = self.found(text, &words, &lattice, answer);
            if !matches.iter().any(|other| same_meaning(other, &found)) {
                matches.push(found);
            }
        }
        for i in 0..matches.len() {
            matches[i].ambiguous = matches.iter().filter(|other| other.free_words == matches[i].free_words).count() > 1;
        }
        matches
    }

    pub(crate) fn block(&self, sentence: &Sentence) -> &Block {
        &self.intents[sentence.intent].blocks[sentence.block]
    }

    fn found<'g>(&'g self, text: &str, words: &[words::Word], lattice: &Lattice, answer: &Answer) -> Match<'g> {
        let sentence = &self.sentences[answer.sentence as usize];
        let block = self.block(sentence);
        let mut slots: Vec<Slot<'g>> = Vec::new();
        for captured in &answer.slots {
            let said = &words[lattice.range(captured.start, captured.end)];
            let span = said.first().map_or(0, |word| word.span.start)..said.last().map_or(0, |word| word.span.end);
            let value = captured
                .value
                .map_or_else(|| Value::Free(words::composed(&text[span.clone()])), |value| self.values[value as usize].clone());
            slots.push(Slot { name: &self.slots[captured.slot as usize], value, span: Some(span) });
        }
        let fixed = block.slots.iter().filter(|(name, _)| !answer.slots.iter().any(|said| self.slots[said.slot as usize] == *name));
        slots.extend(fixed.map(|(name, value)| Slot { name, value: value.clone(), span: None }));
        let value = |name: &str| slots.iter().find(|slot| slot.name == name).map(|slot| &slot.value);
        let response = block.response.as_ref().map(|(response, _)| response.fill(value));
        Match {
            intent: &self.intents[sentence.intent].name,
            response,
            slots,
            threshold: block.threshold,
            line: sentence.line,
            free_words: answer.free_words,
            ambiguous: false,
        }
    }
}

/// Whether two matches say the same, wherever their words stand.
fn same_meaning(a: &Match<'_>, b: &Match<'_>) -> bool {
    let holds = |of: &Match<'_>, slot: &Slot<'_>| of.slots.iter().any(|other| other.name == slot.name && other.value == slot.value);
    a.intent == b.intent
        && a.slots.len() == b.slots.len()
        && a.slots.iter().all(|slot| holds(b, slot))
        && b.slots.iter().all(|slot| holds(a, slot))
}
