use std::fmt;

/// Why a `tokenizer.json` cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenizerError {
    /// It is not JSON, or a part has another form.
    Json(serde_json::Error),
    /// It asks for something that is not done here.
    Unsupported {
        /// The key.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// A token that another part names is not in the vocabulary.
    Missing {
        /// Who names it.
        what: &'static str,
        /// The token.
        token: String,
    },
    /// It is larger than any that is known.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        have: usize,
        /// How much there may be.
        most: usize,
    },
}

impl fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokenizer.json: ")?;
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Unsupported { what, found } => write!(f, "{what} {found} is not supported"),
            Self::Missing { what, token } => write!(f, "{what} {token:?} is not in the vocabulary"),
            Self::TooLarge { what, have, most } => write!(f, "{have} {what}, at most {most} are read"),
        }
    }
}

impl std::error::Error for TokenizerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}
