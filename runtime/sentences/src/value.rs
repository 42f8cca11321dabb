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

impl Value {
    /// The number, if it is whole and below 10^15: formats that tell whole numbers from others write it without a point.
    pub fn whole(&self) -> Option<i64> {
        match *self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(number as i64),
            Self::Number(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_known() {
        for (number, whole) in [(21.0, Some(21)), (-0.0, Some(0)), (-3.0, Some(-3)), (20.5, None), (1e15, None), (f64::NAN, None)] {
            assert_eq!(Value::Number(number).whole(), whole, "{number}");
        }
        assert_eq!(Value::Text("21".into()).whole(), None);
    }
}
