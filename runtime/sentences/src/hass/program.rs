//! A corpus and a house, compiled for matching texts. Rules and lists are shared: nothing is written out.

use std::collections::HashMap;

use super::corpus::{Block, Corpus, List, ListKind, ListValue, Located, Range, Rule};
use super::house::House;
use super::needs::Needs;
use super::number_words;
use super::ops::{Op, Part32, trimmed};
use super::template::{self, ListRef, Part};
use super::text::{lower, normalised, unspaced};
use crate::error::{Error, Fault};
use crate::source::Source;
use crate::value::Value;

/// The most rules inside rules.
const MAX_RULE_DEPTH: usize = 24;
/// The most parts of all templates together.
const MAX_PARTS: usize = 1 << 20;
/// Numbers in words are known for ranges of so many numbers at most.
const MAX_SPELLED: usize = 10_001;
/// The most numbers of all ranges together, of those in words.
const MAX_NUMBERS: usize = 1 << 17;

/// Numbers in words, by their first letters: each word with its number in tenths.
pub(super) type NumberWords = HashMap<char, Vec<(Box<[char]>, i64)>>;

#[derive(Debug)]
pub(super) enum Body {
    Values(Vec<Choice>),
    Range { range: Range, words: NumberWords },
    Wildcard,
}

/// A value of a list.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) part: Part32,
    /// If it is plain text, that without blanks at its ends.
    pub(super) plain: Option<Box<[char]>>,
    pub(super) output: Option<Value>,
    pub(super) context: Vec<(String, String)>,
    pub(super) entity: Option<String>,
}

/// Where free text stands at an end of a sentence: skipped words stay there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FreeEnd {
    None,
    Start,
    End,
    Whole,
}

#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) part: Part32,
    pub(super) intent: u32,
    pub(super) block: u32,
    pub(super) need: u32,
    pub(super) free: FreeEnd,
}

#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) lists: Vec<Body>,
    pub(super) slots: Vec<String>,
    pub(super) sentences: Vec<Sentence>,
    pub(super) needs: Needs,
    pub(super) ignore_blanks: bool,
}

impl Program {
    /// A text as templates and texts are compared.
    pub(super) fn folded(&self, text: &str) -> Box<[char]> {
        let text = normalised(text);
        let text = if self.ignore_blanks { unspaced(&text) } else { text };
        text.chars().map(lower).collect()
    }
}

impl Located {
    pub(super) fn error(&self, fault: Fault, found: impl Into<String>, wanted: impl Into<String>) -> Error {
        Source { name: &self.file, text: "" }.error(self.mark, fault, found, wanted)
    }
}

pub(super) fn compile(corpus: &Corpus, house: &House) -> Result<Program, Error> {
    let mut compiler = Compiler::new(corpus, house_lists(house));
    compiler.program.ignore_blanks = corpus.ignore_blanks;
    for rule in &corpus.rules {
        compiler.rule(0, &rule.name, &rule.template)?;
    }
    for (i, intent) in corpus.intents.iter().enumerate() {
        for (b, block) in intent.blocks.iter().enumerate() {
            compiler.block(i as u32, b as u32, block)?;
        }
    }
    Ok(compiler.program)
}

/// The lists that a house fills.
pub(super) fn house_lists(house: &House) -> Vec<List> {
    let named = |name: &str, given: &str, context: Vec<(String, String)>, entity: Option<String>| {
        let input = Located { text: given.to_owned(), file: "home".into(), mark: crate::source::Mark { line: 1, column: 1 } };
        let shown = if is_template(name) { name.replace('\\', "") } else { name.to_owned() };
        ListValue { template: is_template(given), input, output: Some(Value::Text(shown)), context, entity }
    };
    let places = |places: &[super::house::Place]| {
        places
            .iter()
            .flat_map(|place| names(&place.name, &place.aliases).map(|given| named(&place.name, given, Vec::new(), None)))
            .collect()
    };
    let mut values = Vec::new();
    for entity in house.entities.iter().filter(|entity| entity.exposed) {
        let mut context = Vec::new();
        context.extend(entity.domain().map(|domain| ("domain".to_owned(), domain.to_owned())));
        context.extend(entity.device_class.as_ref().map(|class| ("device_class".to_owned(), class.clone())));
        values.extend(names(&entity.name, &entity.aliases).map(|given| named(&entity.name, given, context.clone(), entity.id.clone())));
    }
    let list = |name: &str, values| List { name: name.to_owned(), kind: ListKind::Values(values) };
    vec![list("name", values), list("area", places(&house.areas)), list("floor", places(&house.floors))]
}

/// Whether a name of a house has several forms: `Kitchen[s]`, `kuchyn(a|e)`. A bracket alone may be part of a name.
fn is_template(name: &str) -> bool {
    let choice = name.find('(').is_some_and(|at| name[at..].contains('|'));
    (choice || name.contains('[')) && template::parse(name).is_ok()
}

fn names<'a>(name: &'a str, aliases: &'a [String]) -> impl Iterator<Item = &'a str> {
    std::iter::once(name).chain(aliases.iter().map(String::as_str))
}

struct Compiler<'a> {
    corpus: &'a Corpus,
    house: Vec<List>,
    program: Program,
    /// Lists compiled so far, by scope and name.
    lists: HashMap<(u32, String), u32>,
    rules: HashMap<(u32, String), Option<Part32>>,
    depth: usize,
    /// Numbers in words so far.
    numbers: usize,
    /// The block whose own lists and rules count; scope 0 has none.
    own: Option<&'a Block>,
    scope: u32,
}

impl<'a> Compiler<'a> {
    fn new(corpus: &'a Corpus, house: Vec<List>) -> Self {
        let (program, lists, rules) = Default::default();
        Self { corpus, house, program, lists, rules, depth: 0, numbers: 0, own: None, scope: 0 }
    }

    fn block(&mut self, intent: u32, block_index: u32, block: &'a Block) -> Result<(), Error> {
        let scoped = !block.lists.is_empty() || !block.rules.is_empty();
        if scoped {
            self.scope += 1;
        }
        self.own = scoped.then_some(block);
        let scope = if scoped { self.scope } else { 0 };
        let mut sentences = Vec::new();
        for template in &block.sentences {
            let parsed = self.parse(template)?;
            let part = self.part(scope, template, &parsed)?;
            let free = self.free_end(&parsed);
            let need = self.program.needs.of(&self.program.ops, part);
            let order = if self.has_free_text(&parsed) { -(texts(&parsed) as i64) } else { 0 };
            sentences.push((order, Sentence { part, intent, block: block_index, need, free }));
        }
        // Of sentences with free text, those with more words of their own come first.
        sentences.sort_by_key(|(order, _)| *order);
        self.program.sentences.extend(sentences.into_iter().map(|(_, sentence)| sentence));
        self.own = None;
        Ok(())
    }

    fn parse(&self, template: &Located) -> Result<Part, Error> {
        template::parse(&template.text).map_err(|what| template.error(Fault::Template, what, "see docs/sentences.md for templates"))
    }

    fn find_list(&self, name: &str) -> Option<&List> {
        let own = self.own.map_or(&[][..], |block| &block.lists);
        let known = |lists: &'_ [List]| lists.iter().position(|list| list.name == name);
        if let Some(i) = known(own) {
            return self.own.map(|block| &block.lists[i]);
        }
        if let Some(i) = known(&self.house) {
            return Some(&self.house[i]);
        }
        known(&self.corpus.lists).map(|i| &self.corpus.lists[i])
    }

    fn is_free(&self, part: &Part) -> bool {
        matches!(part, Part::List(list) if self.find_list(&list.list).is_some_and(|list| matches!(list.kind, ListKind::Wildcard)))
    }

    fn free_end(&self, part: &Part) -> FreeEnd {
        match part {
            Part::List(_) if self.is_free(part) => FreeEnd::Whole,
            Part::Sequence(parts) if parts.first().is_some_and(|part| self.is_free(part)) => FreeEnd::Start,
            Part::Sequence(parts) if parts.last().is_some_and(|part| self.is_free(part)) => FreeEnd::End,
            _ => FreeEnd::None,
        }
    }

    /// Whether free text is mentioned, in rules not looked for.
    fn has_free_text(&self, part: &Part) -> bool {
        match part {
            Part::Sequence(parts) | Part::Choice(parts) | Part::Permutation(parts) => parts.iter().any(|part| self.has_free_text(part)),
            Part::List(_) => self.is_free(part),
            Part::Text(_) | Part::Rule(_) => false,
        }
    }

    fn push(&mut self, at: &Located, op: Op) -> Result<Part32, Error> {
        if self.program.ops.len() == MAX_PARTS {
            return Err(at.error(Fault::TooLarge, "the sentences grow too many here", format!("at most {MAX_PARTS} words and brackets")));
        }
        self.program.ops.push(op);
        Ok(self.program.ops.len() as u32 - 1)
    }

    fn parts(&mut self, scope: u32, at: &Located, parts: &[Part]) -> Result<Box<[Part32]>, Error> {
        parts.iter().map(|part| self.part(scope, at, part)).collect()
    }

    fn part(&mut self, scope: u32, at: &Located, part: &Part) -> Result<Part32, Error> {
        let op = match part {
            Part::Text(text) => Op::Text(self.program.folded(text)),
            Part::Sequence(parts) => Op::Sequence(self.parts(scope, at, parts)?),
            Part::Choice(parts) => Op::Choice(self.parts(scope, at, parts)?),
            Part::Permutation(parts) => Op::Permutation(self.parts(scope, at, parts)?),
            Part::List(list) => self.list(scope, at, list)?,
            Part::Rule(name) => {
                if let Some(own) = self.own.and_then(|block| block.rules.iter().find(|rule| rule.name == *name)) {
                    return self.rule(scope, name, &own.template);
                }
                let corpus = self.corpus;
                let rule: Option<&Rule> = corpus.rules.iter().find(|rule| rule.name == *name);
                let rule =
                    rule.ok_or_else(|| at.error(Fault::Undefined, format!("<{name}> is not defined"), "define it under expansion_rules:"))?;
                return self.rule(scope, name, &rule.template);
            }
        };
        self.push(at, op)
    }

    fn rule(&mut self, scope: u32, name: &str, template: &Located) -> Result<Part32, Error> {
        match self.rules.get(&(scope, name.to_owned())) {
            Some(Some(part)) => return Ok(*part),
            Some(None) => {
                let wanted = "rules may not go round in circles";
                return Err(template.error(Fault::Recursion, format!("<{name}> inside itself"), wanted));
            }
            None => {}
        }
        if self.depth == MAX_RULE_DEPTH {
            let wanted = format!("at most {MAX_RULE_DEPTH} levels");
            return Err(template.error(Fault::Recursion, format!("<{name}> inside too many other rules"), wanted));
        }
        self.depth += 1;
        self.rules.insert((scope, name.to_owned()), None);
        let parsed = self.parse(template)?;
        let part = self.part(scope, template, &parsed)?;
        self.rules.insert((scope, name.to_owned()), Some(part));
        self.depth -= 1;
        Ok(part)
    }

    fn list(&mut self, scope: u32, at: &Located, mention: &ListRef) -> Result<Op, Error> {
        let slot = match self.program.slots.iter().position(|slot| *slot == mention.slot) {
            Some(slot) => slot,
            None => {
                self.program.slots.push(mention.slot.clone());
                self.program.slots.len() - 1
            }
        };
        let own = self.own.is_some_and(|block| block.lists.iter().any(|list| list.name == mention.list));
        let key = (if own { scope } else { 0 }, mention.list.clone());
        let list = match self.lists.get(&key) {
            Some(&list) => list,
            None => {
                let kind = match (self.find_list(&mention.list), template::inline_range(&mention.list)) {
                    (Some(list), _) => list.kind.clone(),
                    (None, Some((from, to, step))) if step > 0 && from <= to && (to - from) / step < MAX_SPELLED as i64 => {
                        let words = Some(self.corpus.language.clone());
                        ListKind::Range(Range { from, to, step, tenths: Vec::new(), multiplier: 1.0, figures: true, words })
                    }
                    _ => return Err(at.error(Fault::Undefined, format!("{{{}}} is not defined", mention.list), "define it under lists:")),
                };
                let body = self.body(scope, at, &kind)?;
                self.program.lists.push(body);
                let list = self.program.lists.len() as u32 - 1;
                self.lists.insert(key, list);
                list
            }
        };
        Ok(Op::List { list, slot: slot as u32, capture: mention.capture, ends_word: mention.ends_word })
    }

    fn body(&mut self, scope: u32, at: &Located, kind: &ListKind) -> Result<Body, Error> {
        Ok(match kind {
            ListKind::Wildcard => Body::Wildcard,
            ListKind::Range(range) => {
                let mut words = NumberWords::new();
                let language = range.words.as_deref().map(|language| if language.is_empty() { &self.corpus.language } else { language });
                let count = range.numbers().take(MAX_SPELLED + 1).count();
                if let Some(language) = language.filter(|_| count <= MAX_SPELLED) {
                    self.numbers += count;
                    if self.numbers > MAX_NUMBERS {
                        let wanted = format!("at most {MAX_NUMBERS} in all; make ranges shorter or their steps larger");
                        return Err(at.error(Fault::TooLarge, "ranges with too many numbers", wanted));
                    }
                    for tenths in range.numbers() {
                        for way in number_words::spellings(language, tenths) {
                            let way = self.program.folded(&way);
                            let of_first = words.entry(way[0]).or_default();
                            if !of_first.iter().any(|(other, _)| *other == way) {
                                of_first.push((way, tenths));
                            }
                        }
                    }
                }
                Body::Range { range: range.clone(), words }
            }
            ListKind::Values(values) => {
                let values = values.iter().map(|value| {
                    let parsed = if value.template { self.parse(&value.input)? } else { Part::Text(value.input.text.clone()) };
                    let part = self.part(scope, &value.input, &parsed)?;
                    let plain = match &self.program.ops[part as usize] {
                        Op::Text(text) => Some(trimmed(text).into()),
                        _ => None,
                    };
                    let output = value.output.clone();
                    Ok(Choice { part, plain, output, context: value.context.clone(), entity: value.entity.clone() })
                });
                Body::Values(values.collect::<Result<_, Error>>()?)
            }
        })
    }
}

/// Words of a template, in rules not counted.
fn texts(part: &Part) -> usize {
    match part {
        Part::Sequence(parts) | Part::Choice(parts) | Part::Permutation(parts) => parts.iter().map(texts).sum(),
        Part::Text(_) => 1,
        Part::List(_) | Part::Rule(_) => 0,
    }
}
