//! What a trace says of the run as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;

/// Where a run's bits come from, and where it ran. Its texts hold no control characters, but for the values of settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The program and its version, such as `ossicle 0.1.0`.
    pub program: String,
    /// Version of the numerics contract.
    pub numerics: u32,
    /// Which pipeline ran, such as `transcribe`; the settings are its own.
    pub pipeline: String,
    /// What it ran on.
    pub input: Input,
    /// What it ran with.
    pub model: Model,
    /// Models that ran beside it, in their order, such as one that hears sound events in what an encoder gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Model>,
    /// Everything asked for that changes bits.
    pub settings: Value,
    /// The instruction set, which changes no bit.
    pub isa: String,
    /// Threads, which change no bit.
    pub threads: usize,
    /// The machine.
    pub machine: Machine,
    /// Whether the checksums are made with a key.
    #[serde(default)]
    pub keyed: bool,
}

impl Header {
    /// Whether printing it could move a terminal's cursor. The values of settings may hold anything: an initial prompt has line ends.
    pub(crate) fn has_control_characters(&self) -> bool {
        let Self { program, pipeline, input, model, beside, isa, machine, .. } = self;
        let texts = [program, pipeline, &input.name, isa, &machine.arch, &machine.os];
        let optional = [&input.sha256, &machine.cpu, &machine.board].into_iter().flatten();
        let models = || std::iter::once(model).chain(beside);
        let files = models().flat_map(|model| &model.files).flat_map(|(name, sum)| [name, sum]);
        let control = |text: &String| text.contains(char::is_control);
        texts.into_iter().chain(optional).chain(models().map(|model| &model.name)).chain(files).any(control)
            || keys(&self.settings, &control)
    }
}

/// Whether one of a value's keys, on any level, is such.
fn keys(value: &Value, such: &impl Fn(&String) -> bool) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| such(key) || keys(value, such)),
        Value::Array(values) => values.iter().any(|value| keys(value, such)),
        _ => false,
    }
}

/// A recording or another input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its file's name.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of its bytes; `None` for a stream, which is read but once.
    pub sha256: Option<String>,
    /// Samples per second of headerless samples; `None` for a file that says so itself.
    pub raw_rate: Option<u32>,
}

/// A model folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The folder's name.
    pub name: String,
    /// SHA-256 of each file that bits depend on, by name, computed when the run began.
    pub files: BTreeMap<String, String>,
}
