//! YAML to a tree of marked nodes. Anchors, aliases, tags and several documents are refused: a sentence file needs none of them.

use saphyr_parser::{Event, Parser, Span, StrInput};

use crate::error::{Error, Fault};
use crate::source::{Mark, Scalar, Source};

/// The longest file read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 16;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Scalar, Node)>),
}

impl Node {
    /// The node's kind in words, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.text.is_empty() || scalar.text == "~" => "nothing".to_owned(),
            Kind::Scalar(scalar) => quoted(&scalar.text),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "keys and values".to_owned(),
        }
    }
}

/// `text` in quotes and not too long, for messages.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    let short: String = text.chars().take(MAX_CHARS).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{:?}", short + dots)
}

pub(crate) fn read(source: &Source<'_>) -> Result<Node, Error> {
    check_size(source)?;
    let mut reader = Reader { source, events: Parser::new_from_str(source.text) };
    let node = loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Err(reader.refuse(at, "an empty file", "start with language: and intents:")),
            event => break reader.node(event, at, 0)?,
        }
    };
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(node),
            Event::DocumentEnd | Event::Nothing => {}
            _ => return Err(reader.refuse(at, "a second document", "one file holds one document")),
        }
    }
}

/// Every document of a file; none of an empty one.
pub(crate) fn read_all(source: &Source<'_>) -> Result<Vec<Node>, Error> {
    check_size(source)?;
    let mut reader = Reader { source, events: Parser::new_from_str(source.text) };
    let mut nodes = Vec::new();
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(nodes),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => nodes.push(reader.node(event, at, 0)?),
        }
    }
}

fn check_size(source: &Source<'_>) -> Result<(), Error> {
    if source.text.len() <= MAX_FILE_BYTES {
        return Ok(());
    }
    let found = format!("{} bytes", source.text.len());
    Err(source.error(Mark { line: 1, column: 1 }, Fault::TooLarge, found, format!("at most {MAX_FILE_BYTES}")))
}

struct Reader<'a> {
    source: &'a Source<'a>,
    events: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Mark), Error> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, mark(&span))),
            Some(Err(error)) => {
                let at = mark(&Span::empty(*error.marker()));
                Err(self.refuse(at, &format!("not YAML ({})", error.info()), "check indentation, quotes and colons here and above"))
            }
            None => Ok((Event::StreamEnd, Mark { line: 1, column: 1 })),
        }
    }

    fn refuse(&self, at: Mark, found: &str, wanted: &str) -> Error {
        self.source.error(at, Fault::Yaml, found, wanted)
    }

    fn node(&mut self, event: Event<'a>, at: Mark, depth: usize) -> Result<Node, Error> {
        if depth == MAX_DEPTH {
            let wanted = format!("at most {MAX_DEPTH} levels");
            return Err(self.source.error(at, Fault::TooLarge, "nested too deeply", wanted));
        }
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(at, anchor, tag.is_some())?;
                Kind::Scalar(Scalar { text: text.into_owned(), mark: at, style })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(at, anchor, tag.is_some())?;
                Kind::Sequence(self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(at, anchor, tag.is_some())?;
                Kind::Mapping(self.mapping(depth)?)
            }
            Event::Alias(_) => return Err(self.refuse(at, "an alias (*name)", "write the value out")),
            _ => return Err(self.refuse(at, "nothing", "a value")),
        };
        Ok(Node { mark: at, kind })
    }

    fn plain(&self, at: Mark, anchor: usize, tag: bool) -> Result<(), Error> {
        if anchor != 0 {
            return Err(self.refuse(at, "an anchor (&name)", "write the value out where it is needed"));
        }
        if tag {
            return Err(self.refuse(at, "a tag (!name)", "plain values only"));
        }
        Ok(())
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(nodes);
            }
            nodes.push(self.node(event, at, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Scalar, Node)>, Error> {
        let mut entries: Vec<(Scalar, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let Kind::Scalar(key) = self.node(event, at, depth + 1)?.kind else {
                return Err(self.refuse(at, "a key that is no plain text", "a name and a colon"));
            };
            let (event, at) = self.next()?;
            entries.push((key, self.node(event, at, depth + 1)?));
        }
        let mut names: Vec<(&str, Mark)> = entries.iter().map(|(key, _)| (key.text.as_str(), key.mark)).collect();
        names.sort_by_key(|&(name, mark)| (name, mark.line, mark.column));
        match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                let (found, wanted) = (format!("{} once more", quoted(pair[1].0)), format!("it is already in line {}", pair[0].1.line));
                Err(self.source.error(pair[1].1, Fault::Duplicate, found, wanted))
            }
            None => Ok(entries),
        }
    }
}

fn mark(span: &Span) -> Mark {
    Mark { line: span.start.line().max(1) as u32, column: span.start.col() as u32 + 1 }
}
