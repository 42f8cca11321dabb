//! Steps that a unigram model's text goes through before it is cut into tokens, in the order in which a file has them.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::charsmap::{CharsMap, from_base64};

/// What stands for a space.
pub(crate) const SPACE: char = '\u{2581}';

/// Most steps of a file.
const MAX_STEPS: usize = 64;

/// One step, as the `tokenizers` library does it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Letter by letter: a final sigma is a sigma.
    Lowercase,
    /// Takes these characters away.
    Remove(Vec<char>),
    /// Any white space becomes one space.
    JoinWhitespace,
    /// A space becomes the character that stands for it in tokens.
    MarkSpaces,
    /// Several spaces become one.
    JoinSpaces,
    /// Takes white space away in front, and behind.
    Strip(bool, bool),
    /// SentencePiece's precompiled map.
    Map(CharsMap),
}

impl Step {
    pub(crate) fn apply<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match self {
            Self::Lowercase => Cow::Owned(text.chars().flat_map(char::to_lowercase).collect()),
            Self::Remove(characters) if text.contains(&characters[..]) => {
                Cow::Owned(text.chars().filter(|character| !characters.contains(character)).collect())
            }
            Self::Remove(_) => text,
            Self::JoinWhitespace => join(text, char::is_whitespace),
            Self::MarkSpaces => Cow::Owned(text.replace(' ', SPACE.encode_utf8(&mut [0; 4]))),
            Self::JoinSpaces if text.contains("  ") => join(text, |character| character == ' '),
            Self::JoinSpaces => text,
            Self::Strip(front, behind) => {
                let mut left = &*text;
                if *front {
                    left = left.trim_start();
                }
                if *behind {
                    left = left.trim_end();
                }
                if left.len() == text.len() { text } else { Cow::Owned(left.to_owned()) }
            }
            Self::Map(map) => match map.apply(&text) {
                Cow::Borrowed(_) => text,
                Cow::Owned(mapped) => Cow::Owned(mapped),
            },
        }
    }

    /// The steps of a normaliser.
    ///
    /// # Errors
    /// What is not done.
    pub(crate) fn all(steps: Vec<Value>) -> Result<Vec<Self>, String> {
        if steps.len() > MAX_STEPS {
            return Err(format!("of {} steps, {MAX_STEPS} at most", steps.len()));
        }
        steps.iter().filter_map(|step| Self::read(step).transpose()).collect()
    }

    /// A step of a file; none that does nothing.
    fn read(step: &Value) -> Result<Option<Self>, String> {
        let kind = step["type"].as_str().unwrap_or("null");
        match kind {
            "Lowercase" => Ok(Some(Self::Lowercase)),
            "Strip" => match (step["strip_left"].as_bool(), step["strip_right"].as_bool()) {
                (Some(front), Some(behind)) => Ok(Some(Self::Strip(front, behind))),
                _ => Err(step.to_string()),
            },
            "Precompiled" => match step["precompiled_charsmap"].as_str() {
                None => Err(kind.to_owned()),
                Some("") => Ok(None),
                Some(text) => match from_base64(text) {
                    Some(bytes) if bytes.is_empty() => Ok(None),
                    bytes => match bytes.and_then(|bytes| CharsMap::new(&bytes)) {
                        Some(map) => Ok(Some(Self::Map(map))),
                        None => Err("Precompiled with a damaged precompiled_charsmap".into()),
                    },
                },
            },
            "Replace" => Self::replacement(step).map(Some).ok_or_else(|| step.to_string()),
            _ => Err(kind.to_owned()),
        }
    }

    fn replacement(step: &Value) -> Option<Self> {
        let (pattern, content) = (&step["pattern"], step["content"].as_str()?);
        if content == " " {
            return match pattern["Regex"].as_str()? {
                " {2,}" => Some(Self::JoinSpaces),
                r"\s+" => Some(Self::JoinWhitespace),
                _ => None,
            };
        }
        if content == SPACE.encode_utf8(&mut [0; 4]) {
            return (*pattern == json!({"String": " "})).then_some(Self::MarkSpaces);
        }
        if !content.is_empty() {
            return None;
        }
        if let Some(text) = pattern["String"].as_str() {
            let mut characters = text.chars();
            let only = characters.next().filter(|_| characters.next().is_none())?;
            return (*pattern == json!({"String": text})).then(|| Self::Remove(vec![only]));
        }
        Some(Self::Remove(class(pattern["Regex"].as_str()?)?))
    }
}

/// The characters of a class such as `[!"\#]`, of ASCII punctuation alone; none if it is anything else.
fn class(regex: &str) -> Option<Vec<char>> {
    let inner = regex.strip_prefix('[')?.strip_suffix(']')?;
    let mut characters = inner.chars();
    let mut found = vec![];
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => characters.next()?,
            // Of a meaning of their own there, unless a backslash stands before them.
            '[' | ']' | '^' | '-' | '&' => return None,
            other => other,
        };
        if !plain.is_ascii_punctuation() {
            return None;
        }
        found.push(plain);
    }
    (!found.is_empty()).then_some(found)
}

/// Runs of such characters as one space.
fn join(text: Cow<'_, str>, is_joined: impl Fn(char) -> bool) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if !is_joined(character) {
            out.push(character);
        } else if !inside {
            out.push(' ');
        }
        inside = is_joined(character);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: Value, text: &str) -> String {
        let steps = Step::all(steps.as_array().unwrap().clone()).unwrap();
        steps.iter().fold(Cow::Borrowed(text), |text, step| step.apply(text)).into_owned()
    }

    #[test]
    fn steps_in_their_order() {
        let remove = json!({"type": "Replace", "pattern": {"Regex": r#"[!"\#'\-\.\[\]\^_\\]"#}, "content": ""});
        let spaces = json!({"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "});
        let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
        let lower = json!({"type": "Lowercase"});
        assert_eq!(run(json!([lower, remove, spaces, strip]), " \tA Dog's  [TAIL]\u{85}, -wags_ \\^!"), "a dogs tail , wags");
        assert_eq!(run(json!([spaces, remove]), "a - b"), "a  b");
        assert_eq!(run(json!([remove, spaces]), "a - b"), "a b");
        assert_eq!(run(json!([{"type": "Replace", "pattern": {"String": "<"}, "content": ""}]), "<b>"), "b>");
        assert_eq!(run(json!([{"type": "Strip", "strip_left": false, "strip_right": true}]), " a "), " a");
        assert_eq!(run(json!([{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]), "a  \t   b"), "a \t b");
        assert_eq!(run(json!([{"type": "Precompiled", "precompiled_charsmap": ""}]), "ﬁ"), "ﬁ");
    }

    #[test]
    fn other_steps_are_refused() {
        let replace = |pattern: Value, content: &str| json!([{"type": "Replace", "pattern": pattern, "content": content}]);
        for steps in [
            json!([{"type": "NFKC"}]),
            json!([{"type": "Strip"}]),
            json!([{"type": "Precompiled", "precompiled_charsmap": "!!"}]),
            replace(json!({"Regex": "[a-z]"}), ""),
            replace(json!({"Regex": "[^!]"}), ""),
            replace(json!({"Regex": "[!&&\"]"}), ""),
            replace(json!({"Regex": r"[\d]"}), ""),
            replace(json!({"Regex": "[]"}), ""),
            replace(json!({"Regex": r"[!\]"}), ""),
            replace(json!({"Regex": "!+"}), ""),
            replace(json!({"String": "ab"}), ""),
            replace(json!({"String": "!"}), "?"),
        ] {
            assert!(Step::all(steps.as_array().unwrap().clone()).is_err(), "{steps}");
        }
    }
}
