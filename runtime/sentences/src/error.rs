//! What can be wrong with a sentence file.

use std::fmt;

/// The kind of fault in a sentence file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Not YAML, or a part of YAML that sentence files do without.
    Yaml,
    /// A key that means nothing here.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// The same name twice.
    Duplicate,
    /// A value of the wrong kind or out of range.
    Value,
    /// A template that cannot be read.
    Template,
    /// A list or rule that is not defined.
    Undefined,
    /// Rules that contain themselves.
    Recursion,
    /// A stated limit is passed.
    TooLarge,
}

/// A fault in a sentence file: where it is, what was found there and what would be right. One line when displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file's name as given.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// The kind of fault.
    pub fault: Fault,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub wanted: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.found, self.wanted)
    }
}

impl std::error::Error for Error {}
