//! What a trace says of the run as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// Where a run's bits come from, and where it ran.
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
    /// Everything asked for that changes bits.
    pub settings: serde_json::Value,
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
