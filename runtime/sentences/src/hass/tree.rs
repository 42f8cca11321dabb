//! A YAML node with its file, asked for what should be there.

use std::sync::Arc;

use saphyr_parser::ScalarStyle;

use super::corpus::Located;
use crate::error::{Error, Fault};
use crate::source::{Scalar, Source};
use crate::value::Value;
use crate::yaml::{Kind, Node};

/// The largest whole number read.
const MAX_WHOLE: i64 = 999_999;

#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) node: &'a Node,
    pub(super) source: &'a Source<'a>,
    pub(super) file: &'a Arc<str>,
}

impl<'a> Tree<'a> {
    fn at(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    pub(super) fn error(self, fault: Fault, found: impl Into<String>, wanted: impl Into<String>) -> Error {
        self.source.error(self.node.mark, fault, found, wanted)
    }

    pub(super) fn wrong(self, wanted: &str) -> Error {
        self.error(Fault::Value, self.node.describe(), wanted)
    }

    pub(super) fn is_empty(self) -> bool {
        matches!(&self.node.kind, Kind::Scalar(scalar) if scalar.style == ScalarStyle::Plain && matches!(scalar.text.as_str(), "" | "~" | "null"))
    }

    pub(super) fn entries(self) -> Result<Vec<(&'a Scalar, Tree<'a>)>, Error> {
        match &self.node.kind {
            Kind::Mapping(entries) => Ok(entries.iter().map(|(key, node)| (key, self.at(node))).collect()),
            _ => Err(self.wrong("keys and values belong here")),
        }
    }

    pub(super) fn get(self, key: &str) -> Option<Tree<'a>> {
        match &self.node.kind {
            Kind::Mapping(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| self.at(node)),
            _ => None,
        }
    }

    pub(super) fn items(self) -> Result<Vec<Tree<'a>>, Error> {
        match &self.node.kind {
            Kind::Sequence(nodes) => Ok(nodes.iter().map(|node| self.at(node)).collect()),
            _ => Err(self.wrong("a list belongs here: lines that begin with -")),
        }
    }

    fn scalar(self) -> Result<&'a Scalar, Error> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Ok(scalar),
            _ => Err(self.wrong("text belongs here; quote it if it has brackets or a colon")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Error> {
        Ok(&self.scalar()?.text)
    }

    /// A text that is not empty, with its place.
    pub(super) fn located(self) -> Result<Located, Error> {
        let scalar = self.scalar()?;
        if scalar.text.trim().is_empty() {
            return Err(self.wrong("text belongs here"));
        }
        Ok(Located { text: scalar.text.clone(), file: self.file.clone(), mark: scalar.mark })
    }

    pub(super) fn texts(self) -> Result<Vec<String>, Error> {
        self.items()?.into_iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    pub(super) fn texts_or_one(self) -> Result<Vec<String>, Error> {
        if matches!(self.node.kind, Kind::Sequence(_)) { self.texts() } else { Ok(vec![self.text()?.to_owned()]) }
    }

    pub(super) fn flag(self) -> Result<bool, Error> {
        match self.text()? {
            "true" | "True" | "yes" | "on" => Ok(true),
            "false" | "False" | "no" | "off" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(super) fn number(self) -> Result<f64, Error> {
        self.text()?.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| self.wrong("a number"))
    }

    pub(super) fn whole(self) -> Result<i64, Error> {
        let whole = self.text()?.parse().ok().filter(|whole| (-MAX_WHOLE..=MAX_WHOLE).contains(whole));
        whole.ok_or_else(|| self.wrong("a whole number below a million"))
    }

    /// A text, a number or a list of them.
    pub(super) fn value(self) -> Result<Value, Error> {
        if matches!(self.node.kind, Kind::Sequence(_)) {
            return self.items()?.into_iter().map(Tree::value).collect::<Result<_, _>>().map(Value::Several);
        }
        let scalar = self.scalar()?;
        let number = if scalar.style == ScalarStyle::Plain { scalar.text.parse::<f64>().ok() } else { None };
        Ok(number.filter(|number| number.is_finite()).map_or_else(|| Value::Text(scalar.text.clone()), Value::Number))
    }
}
