//! The keys of a sentence file.

use saphyr_parser::ScalarStyle;

use crate::error::{Error, Fault};
use crate::numbers;
use crate::response::Response;
use crate::source::{Mark, Scalar, Source};
use crate::template;
use crate::value::Value;
use crate::yaml::{self, Kind, Node, quoted};

/// The most tokens of a free-text slot, unless the list says otherwise.
const WILDCARD_TOKENS: u32 = 16;
const MAX_WILDCARD_TOKENS: u32 = 64;
/// The most values of one range.
const MAX_RANGE_VALUES: i64 = 10_001;

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) language: String,
    pub(crate) intents: Vec<Intent>,
    pub(crate) lists: Vec<List>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) skip_words: Vec<Scalar>,
}

#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
}

/// What to answer, and where that is written.
pub(crate) type Answer = (Response, Mark);

/// Sentences that share fixed slots.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) sentences: Vec<Scalar>,
    pub(crate) slots: Vec<(String, Value)>,
    pub(crate) response: Option<Answer>,
    pub(crate) threshold: Option<f32>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) template: Scalar,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) kind: ListKind,
}

#[derive(Debug)]
pub(crate) enum ListKind {
    Values(Vec<ListValue>),
    Range(Range),
    Wildcard { max_tokens: u32 },
}

#[derive(Debug)]
pub(crate) struct ListValue {
    pub(crate) input: Scalar,
    pub(crate) output: Option<Value>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) step: i64,
    pub(crate) unit: Unit,
    pub(crate) fractions: Fractions,
    pub(crate) multiplier: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Number,
    Percentage,
    Temperature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fractions {
    None,
    Halves,
    Tenths,
}

pub(crate) fn read(source: &Source<'_>) -> Result<File, Error> {
    let root = yaml::read(source)?;
    let reader = Reader { source };
    let entries = reader.entries(&root, &["language", "intents", "lists", "expansion_rules", "skip_words"])?;
    let language = reader.scalar(entries.required("language")?)?.text.clone();
    let intents = entries.required("intents")?;
    let intents = reader.named(intents)?.into_iter().map(|(name, node)| reader.intent(name, node)).collect::<Result<Vec<_>, _>>()?;
    let lists = entries.map("lists", |node| reader.named(node)?.into_iter().map(|(name, node)| reader.list(name, node)).collect())?;
    let rules = entries.map("expansion_rules", |node| {
        let rule = |(name, node)| Ok(Rule { name, template: reader.scalar(node)?.clone() });
        reader.named(node)?.into_iter().map(rule).collect()
    })?;
    let skip_words = entries.map("skip_words", |node| reader.scalars(node))?;
    if intents.is_empty() {
        return Err(source.error(root.mark, Fault::MissingKey, "no intent", "give at least one under intents:"));
    }
    Ok(File { language, intents, lists, rules, skip_words })
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    source: &'a Source<'a>,
}

/// The entries of a mapping whose keys are known.
struct Entries<'a> {
    source: &'a Source<'a>,
    mark: Mark,
    entries: &'a [(Scalar, Node)],
}

impl<'a> Entries<'a> {
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    fn required(&self, key: &str) -> Result<&'a Node, Error> {
        self.get(key)
            .ok_or_else(|| self.source.error(self.mark, Fault::MissingKey, format!("{key}: is missing here"), format!("add {key}:")))
    }

    /// What `read` makes of the value of `key`, or the default without it.
    fn map<T: Default>(&self, key: &str, read: impl FnOnce(&'a Node) -> Result<T, Error>) -> Result<T, Error> {
        self.get(key).map_or_else(|| Ok(T::default()), read)
    }
}

impl<'a> Reader<'a> {
    fn wrong(&self, node: &Node, wanted: &str) -> Error {
        self.source.error(node.mark, Fault::Value, node.describe(), wanted)
    }

    fn mapping(&self, node: &'a Node) -> Result<&'a [(Scalar, Node)], Error> {
        match &node.kind {
            Kind::Mapping(entries) => Ok(entries),
            _ => Err(self.wrong(node, "keys and values belong here")),
        }
    }

    fn entries(&self, node: &'a Node, known: &[&str]) -> Result<Entries<'a>, Error> {
        let entries = self.mapping(node)?;
        match entries.iter().find(|(key, _)| !known.contains(&key.text.as_str())) {
            Some((key, _)) => {
                let (found, wanted) = (format!("unknown key {}", quoted(&key.text)), format!("one of {}", known.join(", ")));
                Err(self.source.error(key.mark, Fault::UnknownKey, found, wanted))
            }
            None => Ok(Entries { source: self.source, mark: node.mark, entries }),
        }
    }

    /// A mapping from names that the file chooses.
    fn named(&self, node: &'a Node) -> Result<Vec<(String, &'a Node)>, Error> {
        let check = |(key, node): &'a (Scalar, Node)| {
            if template::is_name(&key.text) {
                Ok((key.text.clone(), node))
            } else {
                let found = format!("the name {}", quoted(&key.text));
                Err(self.source.error(key.mark, Fault::Value, found, "letters, digits, _ and - make a name"))
            }
        };
        self.mapping(node)?.iter().map(check).collect()
    }

    fn sequence(&self, node: &'a Node) -> Result<&'a [Node], Error> {
        match &node.kind {
            Kind::Sequence(nodes) if !nodes.is_empty() => Ok(nodes),
            _ => Err(self.wrong(node, "a list belongs here: lines that begin with -")),
        }
    }

    fn scalar(&self, node: &'a Node) -> Result<&'a Scalar, Error> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.text.trim().is_empty() => Ok(scalar),
            _ => Err(self.wrong(node, "text belongs here; quote it if it has brackets or a colon")),
        }
    }

    fn scalars(&self, node: &'a Node) -> Result<Vec<Scalar>, Error> {
        self.sequence(node)?.iter().map(|node| self.scalar(node).cloned()).collect()
    }

    fn value(&self, node: &'a Node) -> Result<Value, Error> {
        let scalar = self.scalar(node)?;
        let number = if scalar.style == ScalarStyle::Plain { scalar.text.parse::<f64>().ok() } else { None };
        Ok(number.filter(|n| n.is_finite()).map_or_else(|| Value::Text(scalar.text.clone()), Value::Number))
    }

    fn number<T: std::str::FromStr + PartialOrd>(&self, node: &'a Node, low: T, high: T, wanted: &str) -> Result<T, Error> {
        let number = self.scalar(node)?.text.parse::<T>().ok().filter(|n| (low..=high).contains(n));
        number.ok_or_else(|| self.wrong(node, wanted))
    }

    fn flag(&self, node: &'a Node) -> Result<(), Error> {
        if self.scalar(node)?.text == "true" {
            Ok(())
        } else {
            Err(self.wrong(node, "only true may stand here; leave the key out otherwise"))
        }
    }

    fn intent(&self, name: String, node: &'a Node) -> Result<Intent, Error> {
        let entries = self.entries(node, &["data", "response", "threshold"])?;
        let (response, threshold) = self.carried(&entries)?;
        let block = |node| self.block(node, response.as_ref(), threshold);
        let blocks = self.sequence(entries.required("data")?)?.iter().map(block).collect::<Result<Vec<_>, _>>()?;
        Ok(Intent { name, blocks })
    }

    fn carried(&self, entries: &Entries<'a>) -> Result<(Option<Answer>, Option<f32>), Error> {
        let response = entries.map("response", |node| self.response(node).map(Some))?;
        let threshold = entries.map("threshold", |node| self.number(node, 0.0, 1.0, "a number from 0 to 1").map(Some))?;
        Ok((response, threshold))
    }

    fn response(&self, node: &'a Node) -> Result<Answer, Error> {
        let scalar = self.scalar(node)?;
        let parsed = Response::parse(&scalar.text);
        let response =
            parsed.map_err(|error| self.source.error(self.source.position(scalar, error.at), Fault::Template, error.found, error.wanted));
        Ok((response?, scalar.mark))
    }

    fn block(&self, node: &'a Node, response: Option<&Answer>, threshold: Option<f32>) -> Result<Block, Error> {
        let entries = self.entries(node, &["sentences", "slots", "response", "threshold"])?;
        let sentences = self.scalars(entries.required("sentences")?)?;
        let slot = |(name, node)| Ok((name, self.value(node)?));
        let slots = entries.map("slots", |node| self.named(node)?.into_iter().map(slot).collect())?;
        let own = self.carried(&entries)?;
        Ok(Block { sentences, slots, response: own.0.or_else(|| response.cloned()), threshold: own.1.or(threshold) })
    }

    fn list(&self, name: String, node: &'a Node) -> Result<List, Error> {
        let entries = self.entries(node, &["values", "range", "wildcard", "max_tokens"])?;
        let kinds: Vec<&str> = ["values", "range", "wildcard"].into_iter().filter(|kind| entries.get(kind).is_some()).collect();
        if kinds.len() != 1 {
            let found = if kinds.is_empty() { format!("an empty list {name}") } else { kinds.join(" and ") };
            return Err(self.source.error(node.mark, Fault::Value, found, "one of values:, range: and wildcard: makes a list"));
        }
        let max_tokens = entries.map("max_tokens", |node| {
            let wanted = format!("a whole number from 1 to {MAX_WILDCARD_TOKENS}");
            self.number(node, 1, MAX_WILDCARD_TOKENS, &wanted).map(Some)
        })?;
        let kind = match kinds[0] {
            "values" => {
                let values = self.sequence(entries.required("values")?)?;
                ListKind::Values(values.iter().map(|node| self.list_value(node)).collect::<Result<_, _>>()?)
            }
            "range" => ListKind::Range(self.range(entries.required("range")?)?),
            _ => {
                self.flag(entries.required("wildcard")?)?;
                ListKind::Wildcard { max_tokens: max_tokens.unwrap_or(WILDCARD_TOKENS) }
            }
        };
        match entries.get("max_tokens").filter(|_| kinds[0] != "wildcard") {
            Some(node) => Err(self.source.error(node.mark, Fault::UnknownKey, "max_tokens", "it belongs to wildcard: true")),
            None => Ok(List { name, mark: node.mark, kind }),
        }
    }

    fn list_value(&self, node: &'a Node) -> Result<ListValue, Error> {
        if matches!(node.kind, Kind::Scalar(_)) {
            let input = self.scalar(node)?.clone();
            if input.text.contains(['[', '(', '<', '{']) {
                let wanted = "write {in: ..., out: ...}, so that the value has one name";
                return Err(self.source.error(node.mark, Fault::Value, format!("a template, {}", quoted(&input.text)), wanted));
            }
            return Ok(ListValue { input, output: None });
        }
        let entries = self.entries(node, &["in", "out"])?;
        let input = self.scalar(entries.required("in")?)?.clone();
        Ok(ListValue { input, output: Some(self.value(entries.required("out")?)?) })
    }

    fn range(&self, node: &'a Node) -> Result<Range, Error> {
        let entries = self.entries(node, &["from", "to", "step", "type", "fractions", "multiplier"])?;
        let bound = format!("a whole number from -{} to {}", numbers::MAX, numbers::MAX);
        let from = self.number(entries.required("from")?, -numbers::MAX, numbers::MAX, &bound)?;
        let to = entries.required("to")?;
        let to = self.number(to, from, numbers::MAX, &format!("a whole number from {from} (from:) to {}", numbers::MAX))?;
        let step = entries.map("step", |node| self.number(node, 1, numbers::MAX, "a whole number from 1 up").map(Some))?.unwrap_or(1);
        let unit = match entries.get("type") {
            None => Unit::Number,
            Some(node) => match self.scalar(node)?.text.as_str() {
                "number" => Unit::Number,
                "percentage" => Unit::Percentage,
                "temperature" => Unit::Temperature,
                _ => return Err(self.wrong(node, "one of number, percentage, temperature")),
            },
        };
        let fractions = match entries.get("fractions") {
            None => Fractions::None,
            Some(node) => match self.scalar(node)?.text.as_str() {
                "halves" => Fractions::Halves,
                "tenths" => Fractions::Tenths,
                _ => return Err(self.wrong(node, "one of halves, tenths")),
            },
        };
        let multiplier = entries.map("multiplier", |node| self.number(node, -1e9, 1e9, "a number").map(Some))?.unwrap_or(1.0);
        let each = match fractions {
            Fractions::None => 1,
            Fractions::Halves => 2,
            Fractions::Tenths => 10,
        };
        let values = ((to - from) / step + 1) * each;
        if values > MAX_RANGE_VALUES {
            let wanted = format!("at most {MAX_RANGE_VALUES}; make the range shorter or its step larger");
            return Err(self.source.error(node.mark, Fault::TooLarge, format!("a range of {values} values"), wanted));
        }
        Ok(Range { from, to, step, unit, fractions, multiplier })
    }
}
