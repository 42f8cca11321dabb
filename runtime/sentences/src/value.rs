//! What a slot holds.

use std::fmt;

use crate::words;

/// The value of a slot.
#[derive(Clone, Debug)]
pub enum Value {
    /// A name from a list, or a text written as `out:` or under `slots:`.
    Text(String),
    /// What was said for a free-text slot, as it was written; equal to what has the same words, whatever their case and punctuation.
    Free(String),
    /// A number of a range, or one written as `out:` or under `slots:`.
    Number(f64),
    /// Several values, any of which may be meant: those of an `out:` of Home Assistant's that is a list.
    Several(Vec<Value>),
}

impl Value {
    /// The number, if it is whole and below 10^15: formats that tell whole numbers from others write it without a point.
    pub fn whole(&self) -> Option<i64> {
        match *self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(number as i64),
            Self::Number(_) | Self::Text(_) | Self::Free(_) | Self::Several(_) => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Free(a), Self::Free(b)) => {
                words::split(a).iter().map(|word| &word.text).eq(words::split(b).iter().map(|word| &word.text))
            }
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Several(a), Self::Several(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Free(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Several(values) => {
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_free_text_the_words_count_and_of_names_every_sign() {
        let same = |a: &str, b: &str| (Value::Free(a.into()) == Value::Free(b.into()), Value::Text(a.into()) == Value::Text(b.into()));
        assert_eq!(same("Oat milk, and eggs.", "oat-milk and eggs"), (true, false));
        assert_eq!(same("C++", "C"), (true, false));
        assert_eq!(same("oat milk", "soy milk"), (false, false));
        assert_ne!(Value::Free("C".into()), Value::Text("C".into()));
    }

    #[test]
    fn whole_numbers_are_known() {
        for (number, whole) in [(21.0, Some(21)), (-0.0, Some(0)), (-3.0, Some(-3)), (20.5, None), (1e15, None), (f64::NAN, None)] {
            assert_eq!(Value::Number(number).whole(), whole, "{number}");
        }
        assert_eq!(Value::Text("21".into()).whole(), None);
    }
}
