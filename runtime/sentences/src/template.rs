//! The template syntax: `turn on [the] (light|lamp)[s] in {area}`.
//!
//! `[x]` may be left out; `(a|b)` is one of several; `(a;b)` is all of them in any order; `{list}` and `{list:slot}` are a slot's
//! values; `<rule>` is an expansion rule; a backslash takes the next character as it is. The syntax is that of Home Assistant's
//! sentence files (<https://github.com/OHF-Voice/hassil>).

/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 16;
/// The most things one permutation may hold: its orders are 2^n states, not n!.
pub(crate) const MAX_PERMUTED: usize = 6;

/// A part of a template. `at` counts characters from the template's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text, with the white space that stands in it.
    Text { text: String, at: usize },
    /// One of these.
    Group { alternatives: Vec<Vec<Part>> },
    /// One of these, or nothing.
    Optional { alternatives: Vec<Vec<Part>> },
    /// All of these in any order.
    Permutation { items: Vec<Vec<Part>> },
    /// A slot: one of a list's values.
    List { list: String, slot: String, at: usize },
    /// An expansion rule.
    Rule { rule: String, at: usize },
}

/// A template that cannot be read: the character where, what was found, what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    pub(crate) at: usize,
    pub(crate) found: String,
    pub(crate) wanted: String,
}

pub(crate) fn parse(template: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parser = Parser { chars: template.chars().collect(), at: 0 };
    let parts = parser.sequence(0)?;
    match parser.peek() {
        None => Ok(parts),
        Some(c @ ('|' | ';')) => Err(parser.refuse(parser.at, format!("{c} outside brackets"), "put the alternatives in ( ) or [ ]")),
        Some(c) => {
            let open = if c == ']' { '[' } else { '(' };
            Err(parser.refuse(parser.at, format!("{c} closes nothing"), format!("open it with {open} or take it away")))
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn refuse(&self, at: usize, found: impl Into<String>, wanted: impl Into<String>) -> TemplateError {
        TemplateError { at, found: found.into(), wanted: wanted.into() }
    }

    /// Parts up to the end or to a sign that a surrounding bracket must deal with.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Part>, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut text_at = self.at;
        while let Some(c) = self.peek() {
            if matches!(c, ']' | ')' | '|' | ';') {
                break;
            }
            if matches!(c, '[' | '(' | '{' | '<') {
                push_text(&mut parts, &mut text, text_at);
                parts.push(match c {
                    '{' => self.list()?,
                    '<' => self.rule()?,
                    _ => self.bracket(c, depth)?,
                });
                text_at = self.at;
                continue;
            }
            if matches!(c, '}' | '>') {
                let open = if c == '}' { '{' } else { '<' };
                return Err(self.refuse(self.at, format!("{c} closes nothing"), format!("open it with {open} or write \\{c}")));
            }
            if c == '\\' {
                self.at += 1;
            }
            match self.peek() {
                Some(c) => text.push(c),
                None => return Err(self.refuse(self.at - 1, "a backslash at the end", "a backslash stands before the sign it protects")),
            }
            self.at += 1;
        }
        push_text(&mut parts, &mut text, text_at);
        Ok(parts)
    }

    fn bracket(&mut self, open: char, depth: usize) -> Result<Part, TemplateError> {
        let start = self.at;
        if depth == MAX_DEPTH {
            return Err(self.refuse(start, "brackets nested too deeply", format!("at most {MAX_DEPTH} levels; use expansion rules")));
        }
        let close = if open == '[' { ']' } else { ')' };
        self.at += 1;
        let mut items = vec![self.sequence(depth + 1)?];
        let mut separator = None;
        loop {
            match self.peek() {
                Some(c) if c == close => {
                    self.at += 1;
                    break;
                }
                Some(c @ ('|' | ';')) => {
                    if *separator.get_or_insert(c) != c {
                        return Err(self.refuse(self.at, "| and ; in one bracket", "bracket the inner choice on its own"));
                    }
                    self.at += 1;
                    items.push(self.sequence(depth + 1)?);
                }
                Some(c) => return Err(self.refuse(self.at, format!("{c} where {open} is open"), format!("close it with {close}"))),
                None => return Err(self.refuse(start, format!("{open} is never closed"), format!("close it with {close}"))),
            }
        }
        match (open, separator) {
            ('[', Some(';')) => Err(self.refuse(start, "a permutation in [ ]", "use ( ; ) inside: [(a;b)]")),
            ('[', _) => Ok(Part::Optional { alternatives: items }),
            (_, Some(';')) if items.len() > MAX_PERMUTED => {
                let found = format!("a permutation of {} things", items.len());
                Err(self.refuse(start, found, format!("at most {MAX_PERMUTED}")))
            }
            (_, Some(';')) => Ok(Part::Permutation { items }),
            _ => Ok(Part::Group { alternatives: items }),
        }
    }

    fn list(&mut self) -> Result<Part, TemplateError> {
        let at = self.at;
        let name = self.name('}')?;
        let (list, slot) = name.split_once(':').unwrap_or((&name, &name));
        self.check(at, list)?;
        self.check(at, slot)?;
        Ok(Part::List { list: list.to_owned(), slot: slot.to_owned(), at })
    }

    fn rule(&mut self) -> Result<Part, TemplateError> {
        let at = self.at;
        let rule = self.name('>')?;
        self.check(at, &rule)?;
        Ok(Part::Rule { rule, at })
    }

    fn name(&mut self, close: char) -> Result<String, TemplateError> {
        let (start, open) = (self.at, self.chars[self.at]);
        match self.chars[start..].iter().position(|&c| c == close) {
            Some(len) => {
                self.at = start + len + 1;
                Ok(self.chars[start + 1..start + len].iter().collect())
            }
            None => Err(self.refuse(start, format!("{open} is never closed"), format!("close it with {close}"))),
        }
    }

    fn check(&self, at: usize, name: &str) -> Result<(), TemplateError> {
        if is_name(name) { Ok(()) } else { Err(self.refuse(at, format!("the name {name:?}"), "letters, digits, _ and - make a name")) }
    }
}

/// Whether `name` can name a list, a slot or a rule.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

fn push_text(parts: &mut Vec<Part>, text: &mut String, at: usize) {
    if !text.is_empty() {
        parts.push(Part::Text { text: std::mem::take(text), at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, at: usize) -> Part {
        Part::Text { text: text.to_owned(), at }
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(parse("turn on").unwrap(), [text("turn on", 0)]);
        assert_eq!(parse("a[b]").unwrap(), [text("a", 0), Part::Optional { alternatives: vec![vec![text("b", 2)]] }]);
        assert_eq!(parse("(a|)").unwrap(), [Part::Group { alternatives: vec![vec![text("a", 1)], vec![]] }]);
        assert_eq!(parse("(a;b)").unwrap(), [Part::Permutation { items: vec![vec![text("a", 1)], vec![text("b", 3)]] }]);
        assert_eq!(parse("{area}").unwrap(), [Part::List { list: "area".into(), slot: "area".into(), at: 0 }]);
        assert_eq!(
            parse("{area:room} <r>").unwrap(),
            [Part::List { list: "area".into(), slot: "room".into(), at: 0 }, text(" ", 11), Part::Rule { rule: "r".into(), at: 12 }]
        );
        assert_eq!(parse(r"\[a\]").unwrap(), [text("[a]", 0)]);
    }

    #[test]
    fn says_where_a_template_is_wrong() {
        for (template, at, found) in [
            ("a [b", 2, "[ is never closed"),
            ("a b]", 3, "] closes nothing"),
            ("(a|b]", 4, "] where ( is open"),
            ("a | b", 2, "| outside brackets"),
            ("(a|b;c)", 4, "| and ; in one bracket"),
            ("[a;b]", 0, "a permutation in [ ]"),
            ("x {area", 2, "{ is never closed"),
            ("x } y", 2, "} closes nothing"),
            ("{a b}", 0, "the name \"a b\""),
            ("<>", 0, "the name \"\""),
            ("a\\", 1, "a backslash at the end"),
            ("(a;b;c;d;e;f;g)", 0, "a permutation of 7 things"),
        ] {
            let error = parse(template).unwrap_err();
            assert_eq!((error.at, error.found.as_str()), (at, found), "{template}");
        }
        assert_eq!(parse(&"[".repeat(40)).unwrap_err().at, MAX_DEPTH);
    }
}
