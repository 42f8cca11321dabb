//! Templates as hassil reads them: text keeps its white space, so that `[ ]` inside a word means something.
//!
//! `[x]` may be left out; `(a|b)` is one of several and `(a;b)` all of them in any order; `{list}`, `{list:slot}` and `{1..5:slot}` are a
//! slot's values, `{list:@name}` and `{@list}` are text that only a response uses; `<rule>` is an expansion rule. A whole template is
//! a group, so `a|b` needs no brackets.

/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 24;
/// The most things one permutation may hold: its orders are 2^n places.
const MAX_PERMUTED: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word with the white space around it that touches it.
    Text(String),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
    Permutation(Vec<Part>),
    List(ListRef),
    Rule(String),
}

/// A mention of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRef {
    pub(super) list: String,
    pub(super) slot: String,
    /// Kept for the response and no slot.
    pub(super) capture: bool,
    /// Whether white space follows: free text ends with a word then.
    pub(super) ends_word: bool,
}

/// What is wrong with a template, in words.
pub(super) fn parse(template: &str) -> Result<Part, String> {
    let mut parser = Parser { chars: template.trim().chars().collect(), at: 0 };
    let part = parser.group(None, 0)?;
    match parser.peek() {
        None => Ok(part),
        Some(c) => Err(format!("{c} closes nothing")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

/// What separates the parts of a bracket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Choice,
    Permutation,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// What stands up to `close`, or to the end of the template, and what it is.
    fn group(&mut self, close: Option<char>, depth: usize) -> Result<Part, String> {
        if depth == MAX_DEPTH {
            return Err(format!("brackets more than {MAX_DEPTH} deep"));
        }
        let mut separator = None;
        let mut items = vec![self.sequence(depth)?];
        while let Some(sign @ ('|' | ';')) = self.peek() {
            let this = if sign == '|' { Separator::Choice } else { Separator::Permutation };
            if separator.is_some_and(|other| other != this) {
                return Err("| and ; in one bracket".to_owned());
            }
            separator = Some(this);
            self.at += 1;
            items.push(self.sequence(depth)?);
            if this == Separator::Permutation && items.len() > MAX_PERMUTED {
                return Err(format!("( ; ) of more than {MAX_PERMUTED} things"));
            }
        }
        match (close, self.peek()) {
            (Some(close), Some(c)) if c == close => self.at += 1,
            (Some(close), _) => return Err(format!("a bracket that no {close} closes")),
            (None, _) => {}
        }
        let sequences = items.into_iter();
        Ok(match separator {
            None => only(sequences.flatten().collect()),
            Some(Separator::Choice) => Part::Choice(sequences.map(only).collect()),
            // Each of them is a word of its own.
            Some(Separator::Permutation) => {
                let space = || Part::Text(" ".to_owned());
                let items = sequences.map(|parts| Part::Sequence([vec![space()], parts, vec![space()]].concat()));
                Part::Permutation(items.collect())
            }
        })
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '|' | ';' | ')' | ']' => break,
                '(' => {
                    self.at += 1;
                    parts.push(self.group(Some(')'), depth + 1)?);
                }
                '[' => {
                    self.at += 1;
                    let inside = self.group(Some(']'), depth + 1)?;
                    let mut ways = if let Part::Choice(ways) = inside { ways } else { vec![inside] };
                    ways.push(Part::Text(String::new()));
                    parts.push(Part::Choice(ways));
                }
                '{' => {
                    let name = self.name('}')?;
                    let ends_word = self.peek().is_some_and(char::is_whitespace);
                    parts.push(Part::List(list_ref(&name, ends_word)?));
                }
                '<' => parts.push(Part::Rule(self.name('>')?)),
                '}' | '>' => return Err(format!("{c} closes nothing")),
                _ => parts.push(Part::Text(self.word())),
            }
        }
        Ok(parts)
    }

    fn name(&mut self, close: char) -> Result<String, String> {
        let rest = &self.chars[self.at + 1..];
        let len = rest.iter().position(|&c| c == close).ok_or_else(|| format!("a bracket that no {close} closes"))?;
        let name: String = rest[..len].iter().collect();
        self.at += len + 2;
        let name = name.trim();
        if name.is_empty() { Err("a list or rule without a name".to_owned()) } else { Ok(name.to_owned()) }
    }

    /// A word, with the white space before and after it.
    fn word(&mut self) -> String {
        let mut word = String::new();
        let (mut first, mut ended) = (true, false);
        while let Some(c) = self.peek() {
            let c = match c {
                '\\' => {
                    let Some(&escaped) = self.chars.get(self.at + 1) else { break };
                    escaped
                }
                '(' | '[' | '{' | '<' | ')' | ']' | '}' | '>' | '|' | ';' => break,
                c => c,
            };
            if c.is_whitespace() {
                ended |= !first;
            } else if ended {
                break;
            }
            first = false;
            self.at += if self.chars[self.at] == '\\' { 2 } else { 1 };
            word.push(c);
        }
        if word.is_empty() {
            // A backslash that ends the template stands for itself.
            self.at = self.chars.len();
            word.push('\\');
        }
        word
    }
}

fn only(mut parts: Vec<Part>) -> Part {
    if parts.len() == 1 { parts.remove(0) } else { Part::Sequence(parts) }
}

fn list_ref(name: &str, ends_word: bool) -> Result<ListRef, String> {
    let (list, slot) = name.split_once(':').map_or((name, name), |(list, slot)| (list.trim(), slot.trim()));
    let (list, slot) = (list.strip_prefix('@').unwrap_or(list), slot);
    let capture = slot.starts_with('@');
    let slot = slot.strip_prefix('@').unwrap_or(slot);
    if list.is_empty() || slot.is_empty() {
        return Err(format!("{{{name}}} lacks a name"));
    }
    Ok(ListRef { list: list.to_owned(), slot: slot.to_owned(), capture, ends_word })
}

/// From, to and step of a range that is written where it is used: `{1..5:slot}`, `{0..100,5:slot}`.
pub(super) fn inline_range(name: &str) -> Option<(i64, i64, i64)> {
    let (from, rest) = name.split_once("..")?;
    let (to, step) = rest.split_once(',').map_or((rest, "1"), |(to, step)| (to, step));
    let number = |text: &str| text.parse::<u32>().ok().map(i64::from);
    Some((number(from)?, number(to)?, number(step)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn white_space_is_kept_where_it_stands() {
        let optional = |part: Part| Part::Choice(vec![part, text("")]);
        let half = |word: &str| text(word);
        assert_eq!(parse("drei[ ]viertel Stunde[n]").unwrap(), {
            Part::Sequence(vec![half("drei"), optional(text(" ")), half("viertel "), half("Stunde"), optional(text("n"))])
        });
        assert_eq!(parse(" a|b c ").unwrap(), Part::Choice(vec![text("a"), Part::Sequence(vec![text("b "), text("c")])]));
        let Part::Permutation(items) = parse("(in here;on)").unwrap() else { panic!() };
        assert_eq!(items[1], Part::Sequence(vec![text(" "), text("on"), text(" ")]));
        assert_eq!(parse("a\\[b").unwrap(), text("a[b"));
    }

    #[test]
    fn lists_have_slots_captures_and_ranges() {
        let list = |template: &str| match parse(template).unwrap() {
            Part::List(list) => (list.list, list.slot, list.capture),
            other => panic!("{other:?}"),
        };
        assert_eq!(list("{a}"), ("a".into(), "a".into(), false));
        assert_eq!(list("{a:b}"), ("a".into(), "b".into(), false));
        assert_eq!(list("{a:@b}"), ("a".into(), "b".into(), true));
        assert_eq!(list("{@a}"), ("a".into(), "a".into(), true));
        assert_eq!(inline_range(&list("{1..20,5:b}").0), Some((1, 20, 5)));
        assert_eq!(inline_range("name"), None);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (template, what) in [
            ("a)", ") closes nothing"),
            ("[a", "a bracket that no ] closes"),
            ("{a", "a bracket that no } closes"),
            ("a}", "} closes nothing"),
            ("(a|b;c)", "| and ; in one bracket"),
            ("{:x}", "{:x} lacks a name"),
            ("<>", "a list or rule without a name"),
            ("(a;b;c;d;e;f;g;h;i)", "( ; ) of more than 8 things"),
            ("a;b;c;d;e;f;g;h;i", "( ; ) of more than 8 things"),
        ] {
            assert_eq!(parse(template).unwrap_err(), what, "{template}");
        }
        assert!(parse(&"(".repeat(100)).unwrap_err().starts_with("brackets more than"));
    }
}
