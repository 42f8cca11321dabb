//! The text of a sentence file, and where in it a character of a value stands.

use saphyr_parser::ScalarStyle;

use crate::error::{Error, Fault};

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A scalar: its value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) mark: Mark,
    pub(crate) style: ScalarStyle,
}

/// A file's name and text.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn error(&self, at: Mark, fault: Fault, found: impl Into<String>, wanted: impl Into<String>) -> Error {
        Error { file: self.name.to_owned(), line: at.line, column: at.column, fault, found: found.into(), wanted: wanted.into() }
    }

    /// Where character `index` of the scalar's value is written. Escapes and folded lines are followed; where that fails, the place reached.
    pub(crate) fn position(&self, scalar: &Scalar, index: usize) -> Mark {
        Cursor::new(self.text, scalar).walk(scalar, index)
    }
}

/// A place in the raw text while a scalar's value is followed through it.
struct Cursor<'a> {
    lines: std::iter::Skip<std::str::Lines<'a>>,
    rest: &'a str,
    mark: Mark,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str, scalar: &Scalar) -> Self {
        let Mark { line, column } = scalar.mark;
        let mut lines = text.lines().skip(line as usize - 1);
        let rest = lines.next().unwrap_or_default();
        let mut cursor = Self { lines, rest, mark: Mark { line, column: 1 } };
        cursor.advance(column as usize - 1);
        match scalar.style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => cursor.advance(1),
            ScalarStyle::Literal | ScalarStyle::Folded if cursor.rest.starts_with(['|', '>']) => cursor.next_line(),
            _ => {}
        }
        cursor
    }

    fn advance(&mut self, chars: usize) {
        for _ in 0..chars {
            let mut rest = self.rest.chars();
            if rest.next().is_some() {
                self.rest = rest.as_str();
                self.mark.column += 1;
            }
        }
    }

    /// To the first character of the next line that is no space.
    fn next_line(&mut self) {
        let Some(line) = self.lines.next() else { return };
        self.rest = line;
        self.mark = Mark { line: self.mark.line + 1, column: 1 };
        self.advance(line.chars().take_while(|c| c.is_whitespace()).count());
    }

    fn walk(mut self, scalar: &Scalar, index: usize) -> Mark {
        for wanted in scalar.text.chars().take(index) {
            if !self.pass(wanted, scalar.style) {
                break;
            }
        }
        self.mark
    }

    /// Passes what is written for `wanted`; false if the raw text does not follow the value.
    fn pass(&mut self, wanted: char, style: ScalarStyle) -> bool {
        loop {
            match self.rest.chars().next() {
                None => {
                    let line = self.mark.line;
                    self.next_line();
                    if self.mark.line == line {
                        return false;
                    }
                    if wanted.is_whitespace() {
                        return true;
                    }
                }
                Some('\'') if style == ScalarStyle::SingleQuoted => {
                    self.advance(2);
                    return true;
                }
                Some('\\') if style == ScalarStyle::DoubleQuoted => {
                    let escape = match self.rest.chars().nth(1) {
                        Some('x') => 4,
                        Some('u') => 6,
                        Some('U') => 10,
                        _ => 2,
                    };
                    self.advance(escape);
                    return true;
                }
                Some(raw) if raw == wanted => {
                    self.advance(1);
                    return true;
                }
                Some(raw) if raw.is_whitespace() => self.advance(1),
                Some(_) => return false,
            }
        }
    }
}
