//! What a slot holds.

use std::fmt;

/// The value of a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A name from a list, or the words of a free-text slot.
    Text(String),
    /// A number of a range, or one written as `out:` or under `slots:`.
    Number(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
