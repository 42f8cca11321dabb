//! Templates with their lists and rules to expressions over words.
//!
//! Templates are written in characters (`light[s]`, `{name}'s`) and matched in words. Where parts touch without white space between them,
//! all their combinations are written out and then cut into words.

mod joined;
mod lists;

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Fault};
use crate::expr::{Expr, ExprId, Exprs};
use crate::lexicon::Lexicon;
use crate::numbers::{self, Number};
use crate::schema::{Block, File, ListKind};
use crate::source::{Mark, Scalar, Source};
use crate::template::{self, Part};
use crate::value::Value;
use crate::words::{self, Word};
use joined::{Flat, MAX_WRITTEN, chunks};

/// The most phrases of `skip_words`, all ways to say them counted.
const MAX_SKIP_PHRASES: usize = 1024;
/// The longest word, in characters: the longest of any language's everyday words and some room.
const MAX_WORD_CHARS: usize = 64;
/// The most rules inside rules.
const MAX_RULE_DEPTH: usize = 16;
/// The deepest expression: rules and brackets in one another. Whatever walks down expressions calls itself so often.
const MAX_EXPR_DEPTH: u32 = 256;
/// The most expressions of one file.
const MAX_EXPRS: usize = 1 << 20;

/// A file whose names are resolved.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) exprs: Exprs,
    pub(crate) lexicon: Lexicon,
    pub(crate) slots: Vec<String>,
    pub(crate) values: Vec<Value>,
    pub(crate) sentences: Vec<Sentence>,
    pub(crate) skip_phrases: Vec<Vec<u32>>,
}

/// A template.
#[derive(Debug)]
pub(crate) struct Sentence {
    pub(crate) expr: ExprId,
    pub(crate) intent: usize,
    pub(crate) block: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

pub(crate) fn resolve(source: &Source<'_>, file: &File) -> Result<Resolved, Error> {
    let mut resolver = Resolver::new(source, file)?;
    for rule in 0..file.rules.len() {
        resolver.rule(rule)?;
    }
    for list in 0..file.lists.len() {
        resolver.list_bodies(list)?;
    }
    let mut sentences = Vec::new();
    for (intent, block, template) in file.intents.iter().enumerate().flat_map(|(i, intent)| {
        intent.blocks.iter().enumerate().flat_map(move |(b, Block { sentences, .. })| sentences.iter().map(move |s| (i, b, s)))
    }) {
        let parts = resolver.parse(template)?;
        let expr = resolver.sequence(template, &parts)?;
        sentences.push(Sentence { expr, intent, block, line: template.mark.line, column: template.mark.column });
    }
    let skip_phrases = resolver.skip_phrases()?;
    let nullable = resolver.exprs.nullable();
    if let Some(empty) = sentences.iter().find(|sentence| nullable[sentence.expr.0 as usize]) {
        let at = Mark { line: empty.line, column: empty.column };
        return Err(source.error(at, Fault::Template, "a sentence that can be empty", "at least one word must always be said"));
    }
    let Resolver { exprs, lexicon, slots, values, .. } = resolver;
    Ok(Resolved { exprs, lexicon, slots, values, sentences, skip_phrases })
}

/// A list's value and what is said for it.
type Body = (Option<u32>, ExprId);

#[derive(Clone, Debug)]
enum RuleState {
    New,
    Busy,
    Done(ExprId),
}

struct Resolver<'a> {
    source: &'a Source<'a>,
    file: &'a File,
    english: bool,
    rules: Vec<Vec<Part>>,
    rule_states: Vec<RuleState>,
    rule_depth: usize,
    lists: Vec<Option<Vec<Body>>>,
    list_templates: Vec<Vec<Vec<Part>>>,
    list_slots: HashMap<(usize, u32), ExprId>,
    exprs: Exprs,
    lexicon: Lexicon,
    slots: Vec<String>,
    values: Vec<Value>,
    /// Bytes and parts that may still be written out.
    budget: usize,
    /// Whether a list's value is being resolved: slots do not hold slots.
    in_list: bool,
}

impl<'a> Resolver<'a> {
    fn new(source: &'a Source<'a>, file: &'a File) -> Result<Self, Error> {
        let mut resolver = Self {
            source,
            file,
            english: numbers::are_known(&file.language),
            rules: Vec::new(),
            rule_states: vec![RuleState::New; file.rules.len()],
            rule_depth: 0,
            lists: vec![None; file.lists.len()],
            list_templates: Vec::new(),
            list_slots: HashMap::new(),
            exprs: Exprs::default(),
            lexicon: Lexicon::default(),
            slots: Vec::new(),
            values: Vec::new(),
            budget: MAX_WRITTEN,
            in_list: false,
        };
        resolver.rules = file.rules.iter().map(|rule| resolver.parse(&rule.template)).collect::<Result<_, _>>()?;
        for list in &file.lists {
            let templates = match &list.kind {
                ListKind::Values(values) => values.iter().map(|value| resolver.parse(&value.input)).collect::<Result<_, _>>()?,
                _ => Vec::new(),
            };
            resolver.list_templates.push(templates);
        }
        Ok(resolver)
    }

    fn error(&self, scalar: &Scalar, at: usize, fault: Fault, found: impl Into<String>, wanted: impl Into<String>) -> Error {
        self.source.error(self.source.position(scalar, at), fault, found, wanted)
    }

    fn parse(&self, scalar: &Scalar) -> Result<Vec<Part>, Error> {
        template::parse(&scalar.text).map_err(|e| self.error(scalar, e.at, Fault::Template, e.found, e.wanted))
    }

    fn push(&mut self, scalar: &Scalar, expr: Expr) -> Result<ExprId, Error> {
        if self.exprs.len() >= MAX_EXPRS {
            return Err(self.too_many(self.source.position(scalar, 0)));
        }
        if self.exprs.depth(&expr) > MAX_EXPR_DEPTH {
            let wanted = format!("at most {MAX_EXPR_DEPTH} levels of rules and brackets in all; write some rules out");
            return Err(self.error(scalar, 0, Fault::TooLarge, "rules inside rules go too deep here", wanted));
        }
        Ok(self.exprs.push(expr))
    }

    fn too_many(&self, at: Mark) -> Error {
        let wanted = format!("at most {MAX_EXPRS} words and brackets in all; use fewer or shorter lists and ranges");
        self.source.error(at, Fault::TooLarge, "the sentences grow too many here", wanted)
    }

    fn sequence_of(&mut self, scalar: &Scalar, mut parts: Vec<ExprId>) -> Result<ExprId, Error> {
        if parts.len() == 1 { Ok(parts.remove(0)) } else { self.push(scalar, Expr::Sequence(parts)) }
    }

    /// Parts to an expression: runs of plain text together, what touches other parts written out.
    fn sequence(&mut self, scalar: &Scalar, parts: &[Part]) -> Result<ExprId, Error> {
        let mut exprs = Vec::new();
        let mut text = String::new();
        for chunk in chunks(parts) {
            if let [Part::Text { text: more, .. }] = &chunk[..] {
                text.push_str(more);
                continue;
            }
            exprs.extend(self.literal(scalar, &std::mem::take(&mut text))?);
            exprs.push(if let [part] = &chunk[..] { self.part(scalar, part)? } else { self.joined(scalar, &chunk)? });
        }
        exprs.extend(self.literal(scalar, &text)?);
        self.sequence_of(scalar, exprs)
    }

    fn part(&mut self, scalar: &Scalar, part: &Part) -> Result<ExprId, Error> {
        match part {
            Part::Text { text, .. } => {
                let exprs = self.literal(scalar, text)?;
                self.sequence_of(scalar, exprs)
            }
            Part::Group { alternatives } => {
                let alternatives = self.sequences(scalar, alternatives)?;
                self.push(scalar, Expr::Choice(alternatives))
            }
            Part::Optional { alternatives } => {
                let mut alternatives = self.sequences(scalar, alternatives)?;
                let nothing = self.push(scalar, Expr::Sequence(Vec::new()))?;
                alternatives.push(nothing);
                self.push(scalar, Expr::Choice(alternatives))
            }
            Part::Permutation { items } => {
                let items = self.sequences(scalar, items)?;
                self.push(scalar, Expr::Permutation(items))
            }
            Part::List { list, slot, at } => {
                let list = self.find_list(scalar, list, *at)?;
                let slot = self.slot(slot);
                self.list(list, slot)
            }
            Part::Rule { rule, at } => {
                let rule = self.find_rule(scalar, rule, *at)?;
                if matches!(self.rule_states[rule], RuleState::Busy) {
                    return Err(self.rule_too_deep(scalar, rule, *at));
                }
                self.enter(scalar, rule, *at, |resolver| resolver.rule(rule))
            }
        }
    }

    fn sequences(&mut self, scalar: &Scalar, alternatives: &[Vec<Part>]) -> Result<Vec<ExprId>, Error> {
        alternatives.iter().map(|parts| self.sequence(scalar, parts)).collect()
    }

    /// Goes a rule deeper, named at `at`, unless that is too deep.
    fn enter<T>(
        &mut self,
        scalar: &Scalar,
        rule: usize,
        at: usize,
        inside: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.rule_depth == MAX_RULE_DEPTH {
            return Err(self.rule_too_deep(scalar, rule, at));
        }
        self.rule_depth += 1;
        let result = inside(self)?;
        self.rule_depth -= 1;
        Ok(result)
    }

    fn rule_too_deep(&self, scalar: &Scalar, rule: usize, at: usize) -> Error {
        let found = format!("<{}> inside itself or {MAX_RULE_DEPTH} rules deep", self.file.rules[rule].name);
        self.error(scalar, at, Fault::Recursion, found, "rules may not go round in circles")
    }

    fn rule(&mut self, rule: usize) -> Result<ExprId, Error> {
        if let RuleState::Done(expr) = self.rule_states[rule] {
            return Ok(expr);
        }
        let file = self.file;
        self.rule_states[rule] = RuleState::Busy;
        let parts = std::mem::take(&mut self.rules[rule]);
        let expr = self.sequence(&file.rules[rule].template, &parts)?;
        self.rules[rule] = parts;
        self.rule_states[rule] = RuleState::Done(expr);
        Ok(expr)
    }

    /// The words of a text, none of them too long: tokenizers take time with the square of a word's length.
    fn words(&self, scalar: &Scalar, text: &str) -> Result<Vec<Word>, Error> {
        let words = words::split(text);
        let Some(long) = words.iter().find(|word| text[word.span.clone()].chars().count() > MAX_WORD_CHARS) else { return Ok(words) };
        let long = &text[long.span.clone()];
        // Where parts touch, no one place may have all of it.
        let at = scalar.text.find(long).map_or(0, |at| scalar.text[..at].chars().count());
        let found = format!("a word of {} characters", long.chars().count());
        Err(self.error(scalar, at, Fault::TooLarge, found, format!("at most {MAX_WORD_CHARS}")))
    }

    /// Text to words; numbers in it may also be said in their other spellings.
    fn literal(&mut self, scalar: &Scalar, text: &str) -> Result<Vec<ExprId>, Error> {
        let words = self.words(scalar, text)?;
        let ids = self.lexicon.learn(text, &words);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let mut exprs = Vec::new();
        let mut at = 0;
        while at < ids.len() {
            match numbers::parse(&texts[at..]).filter(|_| self.english) {
                Some((number, len)) => {
                    exprs.push(self.spellings(Number::whole(number), ids[at..at + len].to_vec()));
                    at += len;
                }
                None => {
                    exprs.push(self.push(scalar, Expr::Word(ids[at]))?);
                    at += 1;
                }
            }
        }
        Ok(exprs)
    }

    fn skip_phrases(&mut self) -> Result<Vec<Vec<u32>>, Error> {
        let (mut phrases, mut seen) = (Vec::new(), HashSet::new());
        let file = self.file;
        for scalar in &file.skip_words {
            let parts = self.parse(scalar)?;
            for way in self.write_out(scalar, &parts)? {
                let mut text = String::new();
                for flat in way {
                    match flat {
                        Flat::Text(piece) => text.push_str(&piece),
                        _ => return Err(self.error(scalar, 0, Fault::Template, "a slot in skip_words", "plain words, [ ] and ( )")),
                    }
                }
                let phrase = self.lexicon.learn(&text, &self.words(scalar, &text)?);
                if phrase.is_empty() {
                    return Err(self.error(scalar, 0, Fault::Template, "a skipped phrase without words", "at least one word"));
                }
                if seen.insert(phrase.clone()) {
                    if phrases.len() == MAX_SKIP_PHRASES {
                        let wanted = format!("at most {MAX_SKIP_PHRASES}, all ways to say them counted");
                        return Err(self.error(scalar, 0, Fault::TooLarge, "too many skipped phrases", wanted));
                    }
                    phrases.push(phrase);
                }
            }
        }
        Ok(phrases)
    }

    fn slot_in_list(&self, scalar: &Scalar, at: usize) -> Error {
        let wanted = "values hold text, [ ], ( ) and rules without slots";
        self.error(scalar, at, Fault::Template, "a slot inside a list's value", wanted)
    }

    fn find_list(&self, scalar: &Scalar, name: &str, at: usize) -> Result<usize, Error> {
        if self.in_list {
            return Err(self.slot_in_list(scalar, at));
        }
        let names = || self.file.lists.iter().map(|list| list.name.as_str());
        names().position(|list| list == name).ok_or_else(|| self.undefined(scalar, at, &format!("{{{name}}}"), "lists", names()))
    }

    fn find_rule(&self, scalar: &Scalar, name: &str, at: usize) -> Result<usize, Error> {
        let names = || self.file.rules.iter().map(|rule| rule.name.as_str());
        names().position(|rule| rule == name).ok_or_else(|| self.undefined(scalar, at, &format!("<{name}>"), "expansion_rules", names()))
    }

    fn undefined<'n>(&self, scalar: &Scalar, at: usize, name: &str, key: &str, known: impl Iterator<Item = &'n str>) -> Error {
        const SHOWN: usize = 8;
        let mut known: Vec<&str> = known.collect();
        let more = known.len() > SHOWN;
        known.truncate(SHOWN);
        let known = if known.is_empty() { "it holds none".to_owned() } else { format!("it holds {}", known.join(", ")) };
        let wanted = format!("define it under {key}: ({known}{})", if more { ", ..." } else { "" });
        self.error(scalar, at, Fault::Undefined, format!("{name} is not defined"), wanted)
    }

    fn slot(&mut self, name: &str) -> u32 {
        let known = self.slots.iter().position(|slot| slot == name);
        known.unwrap_or_else(|| {
            self.slots.push(name.to_owned());
            self.slots.len() - 1
        }) as u32
    }

    fn value(&mut self, value: Value) -> u32 {
        self.values.push(value);
        self.values.len() as u32 - 1
    }
}
