//! Files in the layout of Home Assistant's sentences to a corpus.
//!
//! Two forms: `intents.yaml`, `sentences/LANG/INTENT/COMBINATION.yaml`, `lists/`, `lists/LANG/` and `rules/LANG/`; and files that have all
//! of it under `intents:`, `lists:`, `expansion_rules:` and `skip_words:`, as custom sentences do.

use std::collections::HashMap;
use std::sync::Arc;

use super::corpus::{Block, Condition, Corpus, Intent, List, ListKind, ListValue, Located, Range, Rule};
use super::tree::Tree;
use crate::error::{Error, Fault};
use crate::source::Source;
use crate::value::Value;
use crate::yaml::{self, Node};

/// The most files of one folder.
pub const MAX_FILES: usize = 4096;
/// The most bytes of all files together.
pub const MAX_BYTES: usize = 16 << 20;
/// The most values of one list.
const MAX_VALUES: usize = 16_384;
/// The most templates in all.
const MAX_TEMPLATES: usize = 65_536;
/// The most numbers of one range.
const MAX_NUMBERS: i64 = 100_001;

/// A file of a folder: its path below the folder, with `/` between its parts, and its text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path below the folder.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// What of a path matters for `language`: whether a folder of this path may hold files that are read.
#[must_use]
pub fn wants_folder(path: &str, language: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["sentences" | "lists" | "rules" | "custom_sentences"] => true,
        ["sentences" | "lists" | "rules" | "custom_sentences", of] => of == language,
        ["sentences", of, _] => of == language,
        [of] => of == language,
        _ => false,
    }
}

impl Corpus {
    /// Reads the files of a folder for `language`; which of them there are is told by [`wants_folder`].
    ///
    /// # Errors
    /// The first fault, with its file, line and column.
    pub fn read(folder: &str, language: &str, files: &[SourceFile]) -> Result<Self, Error> {
        let mut loader = Loader { folder, corpus: Corpus { language: language.to_owned(), ..Corpus::default() }, ..Loader::default() };
        loader.check_sizes(files)?;
        let mut files: Vec<&SourceFile> = files.iter().collect();
        // Lists of a language come after those of all, which they replace.
        files.sort_by_key(|file| (file.path.matches('/').count(), file.path.as_str()));
        for file in files.iter().filter(|file| file.path == "intents.yaml" || file.path == "intents.yml") {
            loader.catalogue(file)?;
        }
        // Beside the folders of one layout, other files have to do with other things.
        let folders = files.iter().any(|file| file.path.starts_with("sentences/"));
        for file in files.iter().filter(|file| !folders || file.path.contains('/')) {
            loader.file(file)?;
        }
        loader.finish()
    }
}

/// What `intents.yaml` says of a combination of slots.
#[derive(Debug, Default)]
struct Combination {
    intent: String,
    name: String,
    area_of_device: bool,
    groups: HashMap<String, Vec<String>>,
}

#[derive(Default)]
struct Loader<'a> {
    folder: &'a str,
    corpus: Corpus,
    combinations: Vec<Combination>,
    /// Blocks of each intent, in the order of the catalogue.
    blocks: Vec<(usize, String, Block)>,
    passed_over: Vec<(String, usize)>,
    templates: usize,
}

impl<'a> Loader<'a> {
    fn check_sizes(&self, files: &[SourceFile]) -> Result<(), Error> {
        let whole = Source { name: self.folder, text: "" };
        let at = crate::source::Mark { line: 1, column: 1 };
        let bytes: usize = files.iter().map(|file| file.text.len()).sum();
        if files.len() > MAX_FILES || bytes > MAX_BYTES {
            let found = format!("{} files with {bytes} bytes", files.len());
            let wanted = format!("at most {MAX_FILES} files with {MAX_BYTES} bytes");
            return Err(whole.error(at, Fault::TooLarge, found, wanted));
        }
        if files.is_empty() {
            let found = format!("no sentences for {:?}", self.corpus.language);
            return Err(whole.error(at, Fault::MissingKey, found, "sentences/LANGUAGE/ with YAML files, or such files themselves"));
        }
        Ok(())
    }

    /// Reads every document of a file.
    fn documents(&self, file: &SourceFile, read: &mut dyn FnMut(Tree<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let name: Arc<str> = format!("{}/{}", self.folder.trim_end_matches('/'), file.path).into();
        let source = Source { name: &name, text: &file.text };
        let documents: Vec<Node> = yaml::read_all(&source)?;
        documents.iter().try_for_each(|node| read(Tree { node, source: &source, file: &name }))
    }

    fn catalogue(&mut self, file: &SourceFile) -> Result<(), Error> {
        let mut combinations = Vec::new();
        self.documents(file, &mut |root| {
            for (intent, about) in root.entries()? {
                let Some(all) = about.get("slot_combinations") else { continue };
                for (name, about) in all.entries()? {
                    let area_of_device = about.get("context_area").map(|flag| flag.flag()).transpose()?.unwrap_or(false);
                    let mut groups = HashMap::new();
                    if let Some(found) = about.get("name_domain_groups") {
                        for (group, domains) in found.entries()? {
                            groups.insert(group.text.clone(), domains.texts()?);
                        }
                    }
                    combinations.push(Combination { intent: intent.text.clone(), name: name.text.clone(), area_of_device, groups });
                }
            }
            Ok(())
        })?;
        self.combinations = combinations;
        Ok(())
    }

    fn file(&mut self, file: &SourceFile) -> Result<(), Error> {
        let language = self.corpus.language.clone();
        let parts: Vec<&str> = file.path.split('/').collect();
        let stem = parts.last().map_or("", |name| name.trim_end_matches(".yaml").trim_end_matches(".yml"));
        let combination = match parts[..] {
            ["intents.yaml" | "intents.yml"] => return Ok(()),
            ["sentences", of, intent, _] if of == language => Some((intent.to_owned(), stem.to_owned())),
            ["lists" | "rules", ..] | ["sentences" | "custom_sentences", _, _] | [_] | [_, _] => None,
            _ => return Ok(()),
        };
        let mut whole = Whole::default();
        let mut blocks = Vec::new();
        let place = combination.as_ref().and_then(|(intent, name)| {
            self.combinations.iter().position(|combination| combination.intent == *intent && combination.name == *name)
        });
        let about = place.map(|place| &self.combinations[place]);
        self.documents(file, &mut |root| match &combination {
            Some((_, name)) if root.get("intents").is_none() => read_combination(root, name, about, &mut blocks, &mut whole),
            _ => read_whole(root, &language, &mut whole),
        })?;
        if let Some((intent, _)) = combination {
            let order = place.unwrap_or(usize::MAX);
            blocks = without_subsets(blocks);
            self.blocks.extend(blocks.into_iter().map(|(block, _)| (order, intent.clone(), block)));
        }
        self.take(whole);
        self.templates = self.blocks.iter().map(|(_, _, block)| block.sentences.len()).sum();
        if self.templates > MAX_TEMPLATES {
            let source = Source { name: self.folder, text: "" };
            let wanted = format!("at most {MAX_TEMPLATES} in all");
            return Err(source.error(crate::source::Mark { line: 1, column: 1 }, Fault::TooLarge, "too many sentences", wanted));
        }
        Ok(())
    }

    fn take(&mut self, whole: Whole) {
        let Whole { intents, lists, rules, skip_words, ignore_blanks, passed_over } = whole;
        for (intent, block) in intents {
            let order = self.combinations.iter().position(|combination| combination.intent == intent).unwrap_or(usize::MAX);
            self.blocks.push((order, intent, block));
        }
        for list in lists {
            match self.corpus.lists.iter_mut().find(|other| other.name == list.name) {
                Some(other) => *other = list,
                None => self.corpus.lists.push(list),
            }
        }
        for rule in rules {
            match self.corpus.rules.iter_mut().find(|other| other.name == rule.name) {
                Some(other) => *other = rule,
                None => self.corpus.rules.push(rule),
            }
        }
        self.corpus.skip_words.extend(skip_words);
        self.corpus.ignore_blanks |= ignore_blanks;
        for (what, count) in passed_over {
            match self.passed_over.iter_mut().find(|(other, _)| *other == what) {
                Some((_, all)) => *all += count,
                None => self.passed_over.push((what, count)),
            }
        }
    }

    fn finish(mut self) -> Result<Corpus, Error> {
        // As the catalogue lists them; what it does not know follows in the order of the files.
        self.blocks.sort_by_key(|(order, _, _)| *order);
        for (_, intent, block) in self.blocks {
            match self.corpus.intents.iter_mut().find(|other| other.name == intent) {
                Some(other) => other.blocks.push(block),
                None => self.corpus.intents.push(Intent { name: intent, blocks: vec![block] }),
            }
        }
        if self.corpus.templates() == 0 {
            let source = Source { name: self.folder, text: "" };
            let found = format!("no sentences for {:?}", self.corpus.language);
            let wanted = "sentences/LANGUAGE/INTENT/COMBINATION.yaml, or YAML files with intents:";
            return Err(source.error(crate::source::Mark { line: 1, column: 1 }, Fault::MissingKey, found, wanted));
        }
        self.corpus.notes =
            self.passed_over.into_iter().map(|(what, count)| if count == 1 { what } else { format!("{what} ({count} times)") }).collect();
        Ok(self.corpus)
    }
}

/// What a file of the second form holds.
#[derive(Default)]
struct Whole {
    intents: Vec<(String, Block)>,
    lists: Vec<List>,
    rules: Vec<Rule>,
    skip_words: Vec<Located>,
    ignore_blanks: bool,
    passed_over: Vec<(String, usize)>,
}

impl Whole {
    fn pass_over(&mut self, what: impl Into<String>) {
        self.passed_over.push((what.into(), 1));
    }
}

/// Blocks that only speech programs use are a part of what the others say, where there are others.
fn without_subsets(blocks: Vec<(Block, bool)>) -> Vec<(Block, bool)> {
    let others = blocks.iter().any(|(_, subset)| !subset);
    blocks.into_iter().filter(|(_, subset)| !(others && *subset)).collect()
}

fn read_combination(
    root: Tree<'_>,
    name: &str,
    about: Option<&Combination>,
    blocks: &mut Vec<(Block, bool)>,
    whole: &mut Whole,
) -> Result<(), Error> {
    for (key, value) in root.entries()? {
        match key.text.as_str() {
            "language" => {}
            "data" => {
                for node in value.items()? {
                    let (mut block, subset) = read_block(node, about, whole)?;
                    block.combination = Some(name.to_owned());
                    if about.is_some_and(|about| about.area_of_device) {
                        block.requires.push(Condition { key: "area".to_owned(), values: Vec::new(), slot: Some("area".to_owned()) });
                    }
                    blocks.push((block, subset));
                }
            }
            "lists" => {
                let lists = read_lists(value, "", &mut whole.passed_over)?;
                whole.lists.extend(lists);
            }
            "expansion_rules" => whole.rules.extend(read_rules(value)?),
            other => whole.pass_over(format!("{other}:")),
        }
    }
    Ok(())
}

fn read_whole(root: Tree<'_>, language: &str, whole: &mut Whole) -> Result<(), Error> {
    if root.is_empty() {
        return Ok(());
    }
    for (key, value) in root.entries()? {
        match key.text.as_str() {
            "language" if value.text()? == language => {}
            "language" => return Ok(()),
            "intents" => {
                for (intent, about) in value.entries()? {
                    for (key, value) in about.entries()? {
                        match key.text.as_str() {
                            "data" => {
                                for node in value.items()? {
                                    let (block, _) = read_block(node, None, whole)?;
                                    whole.intents.push((intent.text.clone(), block));
                                }
                            }
                            other => whole.pass_over(format!("{other}: of an intent")),
                        }
                    }
                }
            }
            "lists" => {
                let lists = read_lists(value, language, &mut whole.passed_over)?;
                whole.lists.extend(lists);
            }
            "expansion_rules" => whole.rules.extend(read_rules(value)?),
            "skip_words" if value.is_empty() => {}
            "skip_words" => {
                for node in value.items()? {
                    whole.skip_words.push(node.located()?);
                }
            }
            "settings" => {
                for (key, value) in value.entries()? {
                    match key.text.as_str() {
                        "ignore_whitespace" => whole.ignore_blanks |= value.flag()?,
                        // How hassil looks for candidates: it changes no answer here.
                        "filter_with_regex" => {}
                        other => whole.pass_over(format!("settings: {other}:")),
                    }
                }
            }
            other => whole.pass_over(format!("{other}:")),
        }
    }
    Ok(())
}

/// A block, and whether it is for speech programs only.
fn read_block(node: Tree<'_>, about: Option<&Combination>, whole: &mut Whole) -> Result<(Block, bool), Error> {
    let mut block = Block::default();
    let mut subset = false;
    for (key, value) in node.entries()? {
        match key.text.as_str() {
            "sentences" => {
                for node in value.items()? {
                    block.sentences.push(node.located()?);
                }
            }
            "slots" => {
                for (slot, value) in value.entries()? {
                    block.slots.push((slot.text.clone(), value.value()?));
                }
            }
            "requires_context" => block.requires.extend(read_conditions(value)?),
            "excludes_context" => block.excludes.extend(read_conditions(value)?),
            "name_domains" => {
                let values = match value.text() {
                    Ok(group) => {
                        let known = about.and_then(|about| about.groups.get(group));
                        known.cloned().unwrap_or_else(|| vec![group.to_owned()])
                    }
                    Err(_) => value.texts()?,
                };
                block.requires.push(Condition { key: "domain".to_owned(), values, slot: None });
            }
            "inferred_domain" => block.slots.push(("domain".to_owned(), Value::Text(value.text()?.to_owned()))),
            "response" => block.response = Some(value.text()?.to_owned()),
            "metadata" => {
                for (key, value) in value.entries()? {
                    match value.value() {
                        Ok(value) => block.metadata.push((key.text.clone(), value)),
                        Err(_) => whole.pass_over(format!("metadata: {}:", key.text)),
                    }
                }
            }
            "expansion_rules" => block.rules = read_rules(value)?,
            "lists" => block.lists = read_lists(value, "", &mut whole.passed_over)?,
            "speech_to_phrase" => subset = value.flag()?,
            // A sentence for people, and how hassil looks for candidates.
            "example" | "settings" | "required_keywords" => {}
            other => whole.pass_over(format!("{other}: of sentences")),
        }
    }
    Ok((block, subset))
}

fn read_conditions(node: Tree<'_>) -> Result<Vec<Condition>, Error> {
    let mut conditions = Vec::new();
    for (key, value) in node.entries()? {
        let mut condition = Condition { key: key.text.clone(), values: Vec::new(), slot: None };
        if let Ok(about) = value.entries() {
            for (name, value) in about {
                match name.text.as_str() {
                    "value" => condition.values = value.texts_or_one()?,
                    "slot" => {
                        condition.slot = match value.text()? {
                            "true" => Some(key.text.clone()),
                            "false" => None,
                            slot => Some(slot.to_owned()),
                        };
                    }
                    _ => return Err(value.wrong("value: and slot: are known here")),
                }
            }
        } else if !value.is_empty() {
            condition.values = value.texts_or_one()?;
        }
        conditions.push(condition);
    }
    Ok(conditions)
}

fn read_rules(node: Tree<'_>) -> Result<Vec<Rule>, Error> {
    let entries = if node.is_empty() { Vec::new() } else { node.entries()? };
    entries.into_iter().map(|(name, value)| Ok(Rule { name: name.text.clone(), template: value.located()? })).collect()
}

fn read_lists(node: Tree<'_>, language: &str, passed_over: &mut Vec<(String, usize)>) -> Result<Vec<List>, Error> {
    let mut lists = Vec::new();
    let entries = if node.is_empty() { Vec::new() } else { node.entries()? };
    for (name, about) in entries {
        let mut kind = None;
        for (key, value) in about.entries()? {
            match key.text.as_str() {
                "values" => kind = Some(ListKind::Values(read_values(value, passed_over)?)),
                "range" => kind = Some(ListKind::Range(read_range(value, language)?)),
                "wildcard" if value.flag()? => kind = Some(ListKind::Wildcard),
                "wildcard" => {}
                other => passed_over.push((format!("{other}: of a list"), 1)),
            }
        }
        let kind = kind.ok_or_else(|| about.wrong("one of values:, range: and wildcard: true makes a list"))?;
        lists.push(List { name: name.text.clone(), kind });
    }
    Ok(lists)
}

fn read_values(node: Tree<'_>, passed_over: &mut Vec<(String, usize)>) -> Result<Vec<ListValue>, Error> {
    let items = node.items()?;
    if items.len() > MAX_VALUES {
        return Err(node.error(Fault::TooLarge, format!("a list of {} values", items.len()), format!("at most {MAX_VALUES}")));
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        if let Ok(entries) = item.entries() {
            let mut input = None;
            let (mut output, mut context) = (None, Vec::new());
            for (key, value) in entries {
                match key.text.as_str() {
                    "in" => input = Some(value.located()?),
                    "out" => output = Some(value.value()?),
                    "context" => {
                        for (key, value) in value.entries()? {
                            let value = value.get("value").unwrap_or(value);
                            context.push((key.text.clone(), value.text()?.to_owned()));
                        }
                    }
                    other => passed_over.push((format!("{other}: of a list's value"), 1)),
                }
            }
            let input = input.ok_or_else(|| item.wrong("in: is missing here"))?;
            values.push(ListValue { input, template: true, output, context, entity: None });
        } else {
            let input = item.located()?;
            let template = input.text.contains(['(', ')', '{', '}', '<', '>', '[', ']', '|']);
            let output = (!template).then(|| Value::Text(input.text.clone()));
            values.push(ListValue { input, template, output, context: Vec::new(), entity: None });
        }
    }
    Ok(values)
}

fn read_range(node: Tree<'_>, language: &str) -> Result<Range, Error> {
    let mut range =
        Range { from: 0, to: -1, step: 1, tenths: Vec::new(), multiplier: 1.0, figures: true, words: Some(language.to_owned()) };
    let (mut from, mut to) = (None, None);
    for (key, value) in node.entries()? {
        match key.text.as_str() {
            "from" => from = Some(value.whole()?),
            "to" => to = Some(value.whole()?),
            "step" => range.step = value.whole()?,
            "multiplier" => range.multiplier = value.number()?,
            "digits" => range.figures = value.flag()?,
            "words" if !value.flag()? => range.words = None,
            "words" => {}
            "words_language" => range.words = Some(value.text()?.to_owned()),
            "type" => {}
            "fractions" => {
                range.tenths = match value.text()? {
                    "halves" => vec![5],
                    "tenths" => (1..10).collect(),
                    _ => return Err(value.wrong("one of halves, tenths")),
                };
            }
            _ => return Err(value.wrong("from:, to:, step:, type:, fractions:, multiplier:, digits:, words: are known here")),
        }
    }
    let (Some(from), Some(to)) = (from, to) else { return Err(node.wrong("from: and to: make a range")) };
    (range.from, range.to) = (from, to);
    if range.to < range.from || range.step < 1 {
        return Err(node.wrong("from: is not above to:, and step: is 1 or more"));
    }
    let numbers = ((range.to - range.from) / range.step + 1) * (1 + range.tenths.len() as i64);
    if numbers > MAX_NUMBERS {
        return Err(node.error(Fault::TooLarge, format!("a range of {numbers} numbers"), format!("at most {MAX_NUMBERS}")));
    }
    Ok(range)
}
