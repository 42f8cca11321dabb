//! What is answered: text with slots filled in.

use std::fmt::Write as _;

use crate::Value;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Slot(String),
    /// Left out where one of its slots is not there.
    Optional(Vec<Part>),
}

/// An answer, as a sentence file has it: `A timer [of {minutes} minutes] is set.`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response(Vec<Part>);

/// Why a text is no [`Response`], and the character where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseError {
    pub(crate) at: usize,
    pub(crate) found: String,
    pub(crate) wanted: &'static str,
}

impl Response {
    pub(crate) fn parse(text: &str) -> Result<Self, ResponseError> {
        let (mut parts, mut optional, mut plain) = (Vec::new(), None, String::new());
        let mut chars = text.chars().enumerate();
        while let Some((at, c)) = chars.next() {
            let wrong = |found: &str, wanted| Err(ResponseError { at, found: found.to_owned(), wanted });
            match c {
                '{' => {
                    flush(&mut plain, &mut optional, &mut parts);
                    let (mut name, mut closed) = (String::new(), false);
                    for (_, c) in chars.by_ref() {
                        closed = c == '}';
                        if closed {
                            break;
                        }
                        name.push(c);
                    }
                    let is_name = |c: char| c.is_alphanumeric() || c == '_';
                    if !closed || name.is_empty() || !name.chars().all(is_name) {
                        return wrong(
                            &format!("{{{name}"),
                            "an answer has {slot} with the name of a slot; other templates are not known here",
                        );
                    }
                    optional.as_mut().unwrap_or(&mut parts).push(Part::Slot(name));
                }
                '[' if optional.is_none() => {
                    flush(&mut plain, &mut optional, &mut parts);
                    optional = Some(Vec::new());
                }
                ']' if optional.is_some() => {
                    flush(&mut plain, &mut optional, &mut parts);
                    parts.push(Part::Optional(optional.take().unwrap_or_default()));
                }
                '}' | '[' | ']' => {
                    return wrong(&c.to_string(), "brackets of an answer come in pairs, and [...] does not stand within [...]");
                }
                c => plain.push(c),
            }
        }
        flush(&mut plain, &mut optional, &mut parts);
        match optional {
            Some(_) => Err(ResponseError { at: text.chars().count(), found: "the answer ends within [".into(), wanted: "close it with ]" }),
            None => Ok(Self(parts)),
        }
    }

    /// Names of its slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|part| match part {
                Part::Optional(parts) => parts.as_slice(),
                other => std::slice::from_ref(other),
            })
            .filter_map(|part| if let Part::Slot(name) = part { Some(name.as_str()) } else { None })
    }

    /// The answer for these slots: a slot that is not there is empty, and what is optional around it is left out.
    pub(crate) fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v Value>) -> String {
        let mut out = String::new();
        let mut put = |part: &Part| match part {
            Part::Text(text) => out.push_str(text),
            Part::Slot(name) => _ = value(name).map(|value| write!(out, "{value}")),
            Part::Optional(_) => {}
        };
        for part in &self.0 {
            match part {
                Part::Optional(parts) => {
                    let missing = |part: &Part| matches!(part, Part::Slot(name) if value(name).is_none());
                    if !parts.iter().any(missing) {
                        parts.iter().for_each(&mut put);
                    }
                }
                part => put(part),
            }
        }
        tidy(&out)
    }
}

fn flush(plain: &mut String, optional: &mut Option<Vec<Part>>, parts: &mut Vec<Part>) {
    if !plain.is_empty() {
        optional.as_mut().unwrap_or(parts).push(Part::Text(std::mem::take(plain)));
    }
}

/// One blank where there are several, and none before a mark.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() && !word.starts_with(['.', ',', '!', '?', ';', ':']) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    fn filled(text: &str, slots: &[(&'static str, Value)]) -> String {
        Response::parse(text).unwrap().fill(|name| slots.iter().find(|(own, _)| *own == name).map(|(_, value)| value))
    }

    #[test]
    fn slots_are_filled_in_and_what_is_missing_is_left_out() {
        let timer = "A timer of [{hours} hours] [{minutes} minutes], is set.";
        assert_eq!(filled(timer, &[("minutes", Value::Number(10.0))]), "A timer of 10 minutes, is set.");
        assert_eq!(
            filled(timer, &[("hours", Value::Number(1.5)), ("minutes", Value::Number(3.0))]),
            "A timer of 1.5 hours 3 minutes, is set."
        );
        assert_eq!(filled("The {area} light is on.", &[]), "The light is on.");
        assert_eq!(filled("The {area}.", &[("area", Value::Free("blue room".into()))]), "The blue room.");
        assert_eq!(filled(" It is  on ", &[]), "It is on");
        assert_eq!(filled("", &[]), "");
        assert_eq!(Response::parse("{a} [b {c}]").unwrap().slots().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn what_is_no_answer_says_where() {
        for (text, at) in [
            ("a {", 2),
            ("a {b", 2),
            ("a {}", 2),
            ("{{ slots.area }}", 0),
            ("{% if x %}", 0),
            ("a }", 2),
            ("[a [b]]", 3),
            ("a]", 1),
            ("é [a", 4),
        ] {
            assert_eq!(Response::parse(text).unwrap_err().at, at, "{text}");
        }
    }
}
