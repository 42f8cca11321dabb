//! Which classes, and by which rules scores become events: a small TOML.
//!
//! ```toml
//! [default]                # for classes that do not say otherwise, and for all labels if there are no classes
//! threshold = 0.3          # a score that begins an event, above 0 to 1
//! release = 0.2            # an event goes on while its score is at least this [two thirds of the threshold]; not for classes with a
//!                          # threshold of their own
//! min_seconds = 0.0        # shorter events are dropped
//! merge_seconds = 0.5      # events this close are one
//! cooldown_seconds = 0.0   # for so long after an event none of its class begins
//! repeat_seconds = 0.0     # an event that goes on is told again after so long [0: it is not]
//!
//! [classes.dog]
//! labels = ["Dog", "Bark"] # the largest of their scores counts [the class's own name]
//! threshold = 0.2
//! near = ["Growling"]      # an event counts only where the largest score of these, of `near_labels.txt`, reaches the next [none]
//! near_threshold = 0.05    # above 0 to 1
//! unless = ["Siren"]       # nor does it count where the largest score of these reaches the next and is more than that of `near` [none]
//! unless_threshold = 0.3   # above 0 to 1
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::around::{Around, Named, Near};
use super::error::SettingsError;
use super::labels::Labels;
use super::near::near;

/// The file of a model's folder with the settings it comes with.
pub const SETTINGS_FILE: &str = "events.toml";

/// Most bytes of a file; with a table for each label of YAMNet it has 20 KB.
const MAX_BYTES: u64 = 64 << 10;

/// How scores become events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// A score that begins an event, above 0 to 1.
    pub threshold: f32,
    /// An event goes on while its score is at least this; at most the threshold.
    pub release: f32,
    /// Shorter events are dropped.
    pub min_seconds: f64,
    /// Events of a class this close are one.
    pub merge_seconds: f64,
    /// For so long after an event none of its class begins.
    pub cooldown_seconds: f64,
    /// A stream tells an event that goes on again after so long; 0 if it does not. Changes no event.
    pub repeat_seconds: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Written::default().over(Written::default())
    }
}

/// Classes and their rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    default: Written,
    classes: BTreeMap<String, Class>,
}

/// Rules as far as they are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    threshold: Option<f32>,
    release: Option<f32>,
    min_seconds: Option<f64>,
    merge_seconds: Option<f64>,
    cooldown_seconds: Option<f64>,
    repeat_seconds: Option<f64>,
}

impl Written {
    /// What is written here, or in `below`, or else by default.
    fn over(self, below: Self) -> Rules {
        let threshold = self.threshold.or(below.threshold).unwrap_or(0.3);
        // A threshold of its own goes with a release of its own.
        let release = self.release.or(if self.threshold.is_none() { below.release } else { None });
        Rules {
            threshold,
            release: release.unwrap_or(threshold * (2.0 / 3.0)),
            min_seconds: self.min_seconds.or(below.min_seconds).unwrap_or(0.0),
            merge_seconds: self.merge_seconds.or(below.merge_seconds).unwrap_or(0.5),
            cooldown_seconds: self.cooldown_seconds.or(below.cooldown_seconds).unwrap_or(0.0),
            repeat_seconds: self.repeat_seconds.or(below.repeat_seconds).unwrap_or(0.0),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Class {
    labels: Vec<String>,
    rules: Written,
    near: Option<Named>,
    unless: Option<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    default: Written,
    #[serde(default)]
    classes: BTreeMap<String, FileClass>,
}

/// As [`Written`], beside the labels: serde does not flatten structs that refuse unknown keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClass {
    labels: Option<Vec<String>>,
    threshold: Option<f32>,
    release: Option<f32>,
    min_seconds: Option<f64>,
    merge_seconds: Option<f64>,
    cooldown_seconds: Option<f64>,
    repeat_seconds: Option<f64>,
    near: Option<Vec<String>>,
    near_threshold: Option<f32>,
    unless: Option<Vec<String>>,
    unless_threshold: Option<f32>,
}

/// A class of a model: which outputs, and by which rules.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) outputs: Vec<usize>,
    pub(crate) rules: Rules,
    pub(crate) near: Option<Near>,
    pub(crate) unless: Option<Near>,
}

impl Resolved {
    /// Whether an event with this around it counts.
    pub(super) fn lets(&self, around: Around) -> bool {
        around.lets(self.near.as_ref(), self.unless.as_ref())
    }
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SettingsError`] if it cannot be read, has more than 64 KiB, is not TOML, has keys that are not known or values out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let mut bytes = vec![];
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        let refused = |source| SettingsError::Read { path: path.to_owned(), source };
        if read.map_err(refused)? as u64 > MAX_BYTES {
            let problem = format!("has more than {} KiB: give a small TOML", MAX_BYTES >> 10);
            return Err(SettingsError::Toml { path: path.to_owned(), problem });
        }
        let text = String::from_utf8(bytes).map_err(|error| refused(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Self::parse(&text, path)
    }

    /// The settings that a model comes with: `events.toml` of its folder, or [`Settings::default`] if it has none.
    ///
    /// # Errors
    /// As for [`read`](Settings::read).
    pub fn of_model(folder: &Path) -> Result<Self, SettingsError> {
        let path = folder.join(SETTINGS_FILE);
        if path.is_file() { Self::read(&path) } else { Ok(Self::default()) }
    }

    /// Reads a file's text; `path` is for errors.
    ///
    /// # Errors
    /// As for [`read`](Settings::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let in_file = |problem| SettingsError::Toml { path: path.to_owned(), problem };
        let file: Tables = toml::from_str(text).map_err(|error| in_file(describe(text, &error)))?;
        let classes = file.classes.into_iter().map(|(name, class)| {
            let FileClass {
                labels,
                threshold,
                release,
                min_seconds,
                merge_seconds,
                cooldown_seconds,
                repeat_seconds,
                near,
                near_threshold,
                unless,
                unless_threshold,
            } = class;
            let labels = labels.unwrap_or_else(|| vec![name.clone()]);
            let near = Named::new(&name, "near", near, near_threshold).map_err(in_file)?;
            let unless = Named::new(&name, "unless", unless, unless_threshold).map_err(in_file)?;
            let rules = Written { threshold, release, min_seconds, merge_seconds, cooldown_seconds, repeat_seconds };
            Ok((name, Class { labels, rules, near, unless }))
        });
        let settings = Self { default: file.default, classes: classes.collect::<Result<_, _>>()? };
        settings.check().map_err(|error| in_file(error.to_string()))?;
        Ok(settings)
    }

    /// The classes' names, in order.
    pub fn class_names(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// The rules of a class as far as they do not depend on a model; `None` if there is no such class.
    pub fn rules(&self, class: &str) -> Option<Rules> {
        Some(self.classes.get(class)?.rules.over(self.default))
    }

    fn check(&self) -> Result<(), SettingsError> {
        check_rules("default", self.default.over(Written::default()))?;
        for (name, class) in &self.classes {
            let place = format!("classes.{name}");
            if name.is_empty() || name.contains(char::is_control) {
                return Err(SettingsError::Value { key: place, problem: "a class needs a name of printable characters".into() });
            }
            if class.labels.is_empty() {
                return Err(SettingsError::Value { key: format!("{place}.labels"), problem: "name at least one label".into() });
            }
            for (key, named) in [("near", &class.near), ("unless", &class.unless)] {
                named.as_ref().map_or(Ok(()), |named| named.check(name, key))?;
            }
            // What it takes over is known only with the model: its labels may have thresholds of their own.
            let Written { threshold, release, .. } = class.rules;
            let threshold = threshold.unwrap_or(1.0);
            check_rules(
                &place,
                Written { threshold: Some(threshold), release: release.or(Some(threshold)), ..class.rules }.over(self.default),
            )?;
        }
        Ok(())
    }

    /// The classes for a model with these labels, by name, then learned labels that no class has; of them only `wanted`, if any are named, which may also be labels.
    pub(crate) fn resolve(&self, labels: &Labels, wanted: &[String]) -> Result<Vec<Resolved>, SettingsError> {
        let output = |label: &str| labels.names.iter().position(|known| known == label);
        let like = |name: &str, classes: bool| {
            let classes = self.class_names().filter(|_| classes);
            near(name, classes.chain(labels.names.iter().map(String::as_str)))
        };
        // A label that was learned with a threshold of its own keeps it, unless a class says otherwise: one whose other labels were not
        // learned does. Of several the least counts, so that none is heard later than it would be alone.
        let below = |outputs: &[usize]| {
            let learned: Option<Vec<f32>> = outputs.iter().map(|&output| labels.thresholds[output]).collect();
            match learned.and_then(|thresholds| thresholds.into_iter().reduce(f32::min)) {
                Some(threshold) => Written { threshold: Some(threshold), release: None, ..self.default },
                None => self.default,
            }
        };
        let plain = |label: &str, output: usize| Resolved {
            name: label.to_owned(),
            outputs: vec![output],
            rules: below(&[output]).over(Written::default()),
            near: None,
            unless: None,
        };
        let class = |name: &str, class: &Class| {
            let outputs = class
                .labels
                .iter()
                .map(|label| {
                    let missing = || SettingsError::Label { class: name.to_owned(), label: label.clone(), near: like(label, false) };
                    output(label).ok_or_else(missing)
                })
                .collect::<Result<Vec<_>, _>>()?;
            let rules = class.rules.over(below(&outputs));
            check_rules(&format!("classes.{name}"), rules)?;
            let named = |key, named: &Option<Named>| named.as_ref().map(|named| named.resolve(name, key, labels)).transpose();
            let (near, unless) = (named("near", &class.near)?, named("unless", &class.unless)?);
            Ok(Resolved { name: name.to_owned(), outputs, rules, near, unless })
        };
        if !wanted.is_empty() {
            let known = |name: &str| self.classes.contains_key(name) || output(name).is_some();
            let mut names: Vec<&str> = vec![];
            for name in wanted.iter().flat_map(|list| split(list, known)) {
                if names.contains(&name) {
                    return Err(SettingsError::Twice { class: name.to_owned() });
                }
                names.push(name);
            }
            let named = names.into_iter().map(|name| match (self.classes.get(name), output(name)) {
                (Some(found), _) => class(name, found),
                (None, Some(output)) => Ok(plain(name, output)),
                (None, None) => Err(SettingsError::Class { class: name.to_owned(), near: like(name, true) }),
            });
            return named.collect();
        }
        if self.classes.is_empty() {
            return Ok(labels.names.iter().enumerate().map(|(output, label)| plain(label, output)).collect());
        }
        let mut classes = self.classes.iter().map(|(name, found)| class(name, found)).collect::<Result<Vec<_>, _>>()?;
        // What was learned and added is listened for, even if the settings do not know of it.
        let added = labels.thresholds.iter().enumerate().filter(|(_, learned)| learned.is_some()).map(|(output, _)| output);
        let unknown = |output: &usize| {
            !self.classes.contains_key(&labels.names[*output]) && !classes.iter().any(|class| class.outputs.contains(output))
        };
        let added: Vec<usize> = added.filter(unknown).collect();
        classes.extend(added.into_iter().map(|output| plain(&labels.names[output], output)));
        Ok(classes)
    }
}

/// Names with commas between them, and often in them: each as long as it can be. What is not known ends at its first comma.
fn split(list: &str, known: impl Fn(&str) -> bool) -> Vec<&str> {
    let (mut names, mut rest) = (vec![], Some(list));
    while let Some(text) = rest {
        let ends = || text.match_indices(',').map(|(at, _)| at).chain([text.len()]);
        let end = ends().rev().find(|&end| known(text[..end].trim())).or_else(|| ends().next()).unwrap_or(text.len());
        names.push(text[..end].trim());
        rest = text.get(end + 1..);
    }
    names
}

fn check_rules(place: &str, rules: Rules) -> Result<(), SettingsError> {
    let wrong = |key: &str, problem: String| Err(SettingsError::Value { key: format!("{place}.{key}"), problem });
    if !(rules.threshold > 0.0 && rules.threshold <= 1.0) {
        return wrong("threshold", format!("{} is not above 0 and at most 1", rules.threshold));
    }
    if !(rules.release > 0.0 && rules.release <= rules.threshold) {
        return wrong("release", format!("{} is not above 0 and at most the threshold, {}", rules.release, rules.threshold));
    }
    for (key, seconds) in [
        ("min_seconds", rules.min_seconds),
        ("merge_seconds", rules.merge_seconds),
        ("cooldown_seconds", rules.cooldown_seconds),
        ("repeat_seconds", rules.repeat_seconds),
    ] {
        if !(0.0..=86_400.0).contains(&seconds) {
            return wrong(key, format!("{seconds} is not within 0 to 86400"));
        }
    }
    Ok(())
}

/// A parser's complaint in one line, with the line of the file.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message().lines().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
