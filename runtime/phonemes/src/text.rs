//! Text as words and marks, with what is no word read out.

mod figures;
mod links;

use unicode_normalization::UnicodeNormalization as _;

use crate::numbers;
use crate::pack::Readings;

/// Stands before a word that is said letter by letter.
const LETTERS: char = '\u{2}';

/// The most characters of what has no blank in it; the rest is a word of its own.
const MAX_CHUNK: usize = 200;

/// Most bytes of a word that its phonemes are given for, and of those.
const MAX_WORD: usize = 256;
const MAX_SAID: usize = 1024;

/// A word or a mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Whether a blank stands before it.
    pub(crate) blank: bool,
    /// Whether a sentence may begin with it.
    pub(crate) begins: bool,
    pub(crate) manner: Manner,
}

/// How a word is said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Manner {
    /// As it is found.
    Plain,
    /// Without stress.
    Light,
    /// Letter by letter.
    Letters,
    /// With these phonemes.
    Said(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Word,
    /// `.`, `!`, `?`, `…` at the end of a sentence.
    End,
    /// Any other mark that is heard as a pause.
    Mark,
}

/// A piece of text between blanks, its marks taken off.
#[derive(Debug)]
struct Chunk {
    before: Vec<char>,
    core: String,
    after: Vec<char>,
    /// The phonemes that the text gives for it.
    said: Option<String>,
}

impl Chunk {
    fn new(text: &str, readings: &Readings) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut first = chars.iter().take_while(|c| is_opening(**c)).count();
        if first > 0 && chars[first - 1] == '.' && chars.get(first).is_some_and(char::is_ascii_digit) && !chars[..first - 1].contains(&'.')
        {
            // `.25`
            first -= 1;
        }
        let mut last = chars.len();
        while last > first && is_closing(chars[last - 1]) {
            let core: String = chars[first..last].iter().collect();
            if chars[last - 1] == '.' && keeps_point(&core, readings)
                || core.ends_with('\'') && core.ends_with("s'") && core.chars().count() > 2
            {
                break;
            }
            last -= 1;
        }
        Self { before: chars[..first].to_vec(), core: chars[first..last].iter().collect(), after: chars[last..].to_vec(), said: None }
    }
}

fn is_opening(c: char) -> bool {
    matches!(
        c,
        '"' | '“'
            | '”'
            | '‘'
            | '’'
            | '\''
            | '('
            | '['
            | '{'
            | '«'
            | '»'
            | '—'
            | '–'
            | '¿'
            | '¡'
            | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '…'
            | '.'
    ) || c == '*'
        || c == '_'
}

fn is_closing(c: char) -> bool {
    matches!(
        c,
        '"' | '“'
            | '”'
            | '’'
            | '\''
            | ')'
            | ']'
            | '}'
            | '«'
            | '»'
            | '—'
            | '–'
            | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '…'
            | '.'
            | '*'
            | '_'
            | '-'
    )
}

/// Whether the point at the end belongs to an abbreviation.
fn keeps_point(core: &str, readings: &Readings) -> bool {
    let letters = core.split('.').all(|part| part.chars().count() <= 1 || part == "Ph");
    readings.abbreviations.contains_key(core)
        || core.strip_suffix('.').is_some_and(|title| readings.titles.contains_key(title))
        || letters && core.chars().filter(char::is_ascii_alphabetic).count() > 1 && core.chars().all(|c| c == '.' || c.is_alphabetic())
        || core.chars().count() == 2 && core.starts_with(|c: char| c.is_uppercase() && c != 'I')
        || matches!(core, "No." | "Nos." | "p.")
}

/// Text as words and marks.
pub(crate) fn tokens(text: &str, readings: &Readings) -> Vec<Token> {
    let text: String = text.nfc().collect();
    let mut chunks = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, word, said, after)) = given(rest) {
        split(before, readings, &mut chunks);
        let said = Some(said.to_owned());
        chunks.push(Chunk { before: Vec::new(), core: word.to_owned(), after: Vec::new(), said });
        // Marks behind it are its own.
        let marks = after.len() - after.trim_start_matches(is_closing).len();
        if let Some(chunk) = chunks.last_mut() {
            chunk.after = after[..marks].chars().collect();
        }
        rest = &after[marks..];
    }
    split(rest, readings, &mut chunks);
    Reader { readings, chunks: &chunks, at: 0, out: Vec::new(), blank: false }.read()
}

/// The first `[word](/phonemes/)`: the text before it, the word, its phonemes and the text behind.
fn given(text: &str) -> Option<(&str, &str, &str, &str)> {
    // What looks like one and is not, such as a link to a page, does not hide those after it.
    text.match_indices("](/").find_map(|(middle, _)| {
        let from = text.ceil_char_boundary(middle.saturating_sub(MAX_WORD));
        let start = from + text[from..middle].rfind('[')?;
        let rest = &text[middle + 3..];
        let end = rest.find(|c: char| matches!(c, '/' | ')' | '[' | ']') || c.is_control()).filter(|&end| end < MAX_SAID)?;
        let (word, said) = (&text[start + 1..middle], &rest[..end]);
        rest[end..].starts_with("/)").then_some((&text[..start], word, said, &rest[end + 2..]))
    })
}

/// Pieces between blanks.
fn split(text: &str, readings: &Readings, chunks: &mut Vec<Chunk>) {
    for piece in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut rest = piece;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(MAX_CHUNK).map_or(rest.len(), |(at, _)| at);
            chunks.extend(dashes(&rest[..end]).map(|part| Chunk::new(part, readings)));
            rest = &rest[end..];
        }
    }
}

/// A text at its dashes between words: `end—start`.
fn dashes(text: &str) -> impl Iterator<Item = &str> {
    let numeric = text.chars().any(|c| c.is_ascii_digit());
    text.split_inclusive(move |c: char| c == '—' || c == '…' || !numeric && c == '–')
        .flat_map(|part| {
            let at = part.find("...").filter(|&at| at > 0 && at + 3 < part.len()).map_or(part.len(), |at| at + 3);
            [&part[..at], &part[at..]]
        })
        .filter(|part| !part.is_empty())
}

struct Reader<'a> {
    readings: &'a Readings,
    chunks: &'a [Chunk],
    at: usize,
    out: Vec<Token>,
    blank: bool,
}

impl Reader<'_> {
    fn read(mut self) -> Vec<Token> {
        while let Some(chunk) = self.chunks.get(self.at) {
            self.blank = true;
            chunk.before.iter().for_each(|&mark| self.mark(mark));
            if let Some(said) = &chunk.said {
                self.push(&chunk.core, Kind::Word, true);
                self.out.last_mut().into_iter().for_each(|token| token.manner = Manner::Said(said.clone()));
            } else if !chunk.core.is_empty() {
                self.core(&chunk.core);
            }
            // What is read with other pieces has moved on to the last of them.
            let after = self.chunks[self.at].after.clone();
            let dots = after.iter().take_while(|c| **c == '.').count();
            if dots >= 3 {
                self.push("...", Kind::End, false);
            }
            for &mark in &after[if dots >= 3 { dots } else { 0 }..] {
                self.blank = false;
                self.mark(mark);
            }
            self.at += 1;
        }
        self.out
    }

    fn push(&mut self, text: &str, kind: Kind, blank: bool) {
        let blank = blank && self.blank;
        let (text, manner) = match text.strip_prefix(numbers::LIGHT) {
            Some(text) => (text, Manner::Light),
            None => text.strip_prefix(LETTERS).map_or((text, Manner::Plain), |text| (text, Manner::Letters)),
        };
        let begins = text == "(" || kind == Kind::Word && !self.chunks[self.at].core.starts_with(char::is_lowercase);
        self.out.push(Token { text: text.to_owned(), kind, blank, begins, manner });
        self.blank = true;
    }

    fn mark(&mut self, mark: char) {
        match mark {
            '.' | '!' | '?' | '…' => self.push(&mark.to_string(), Kind::End, false),
            ',' | ';' | ':' => self.push(&mark.to_string(), Kind::Mark, false),
            '—' | '–' => {
                self.blank = true;
                self.push("—", Kind::Mark, true);
            }
            '(' | '[' | '{' => {
                self.push("(", Kind::Mark, true);
                self.blank = false;
            }
            ')' | ']' | '}' => self.push(")", Kind::Mark, false),
            _ => {}
        }
    }

    /// Words, in one string.
    fn say(&mut self, words: &str) {
        for word in words.split_whitespace() {
            self.push(word, Kind::Word, true);
        }
    }

    fn pause(&mut self) {
        self.push(",", Kind::Mark, false);
    }

    /// The core of the piece after this one, if no mark stands between them.
    fn next(&self) -> Option<&str> {
        let here = &self.chunks[self.at];
        let next = self.chunks.get(self.at + 1)?;
        (here.after.is_empty() && next.before.is_empty()).then_some(next.core.as_str())
    }

    fn core(&mut self, core: &str) {
        if self.figures(core) || self.link(core) || self.short(core) {
            return;
        }
        // What has figures or points in it is read part by part: `1st-class`, `Mon.-Fri.`
        let parts: Vec<&str> = core.split('-').filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 && parts.iter().any(|part| part.ends_with('.') || part.bytes().any(|b| b.is_ascii_digit())) {
            for part in &parts {
                let whole = format!("{part}.");
                let short = self.readings.abbreviations.contains_key(&whole) && parts.iter().any(|part| part.ends_with('.'));
                self.core(if short { &whole } else { part });
            }
            return;
        }
        self.word(core);
    }

    /// Abbreviations, titles, and Roman figures behind what they count.
    fn short(&mut self, core: &str) -> bool {
        let bare = core.strip_suffix('.').unwrap_or(core);
        let before_name = self.next().is_some_and(|next| next.starts_with(char::is_uppercase));
        if core.ends_with('.')
            && before_name
            && let Some(title) = self.readings.titles.get(bare)
        {
            self.say(&title.clone());
            return true;
        }
        let before_figure = || self.next().is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        let counted = match core {
            "No." | "no." => "number",
            "Nos." | "nos." => "numbers",
            "p." => "page",
            _ => "",
        };
        if !counted.is_empty() {
            if before_figure() {
                self.say(counted);
            } else {
                // The answer, and the end of it.
                self.say(bare);
                self.push(".", Kind::End, false);
            }
            return true;
        }
        if let Some(words) = self.readings.abbreviations.get(core) {
            self.say(&words.clone());
            // The point may end the sentence as well.
            if core.ends_with('.') && self.ends_here() {
                self.push(".", Kind::End, false);
            }
            return true;
        }
        let initials = core.contains('.') && core.split('.').all(|part| part.chars().count() <= 2 && part.chars().all(char::is_alphabetic));
        if initials && core.len() > 1 {
            let letters: String = core.chars().filter(|c| *c != '.').collect::<String>().to_uppercase();
            self.push(&letters, Kind::Word, true);
            if core.ends_with('.') && self.ends_here() {
                self.push(".", Kind::End, false);
            }
            return true;
        }
        let counted = self.chunks[..self.at].last().filter(|chunk| chunk.after.is_empty()).map_or("", |chunk| chunk.core.as_str());
        if let Some(value) = numbers::roman(core) {
            let two = self.chunks[..self.at].iter().rev().nth(1).map_or(String::new(), |chunk| format!("{} {counted}", chunk.core));
            let among = |all: &[String]| all.iter().any(|word| word == counted || *word == two);
            if among(&self.readings.roman_ordinal) && (core.len() > 1 || core != "I") {
                self.say(&format!("the {}", numbers::ordinal(&value.to_string())));
                return true;
            }
            if among(&self.readings.roman_cardinal) {
                self.say(&numbers::cardinal(&value.to_string()));
                return true;
            }
        }
        false
    }

    /// Whether nothing comes after this piece.
    fn ends_here(&self) -> bool {
        self.chunks[self.at].after.is_empty() && self.chunks.get(self.at + 1).is_none()
    }

    /// A word, at its signs and where letters meet figures.
    fn word(&mut self, core: &str) {
        let mut word = String::new();
        let code = core.chars().any(|c| c.is_ascii_digit());
        for c in core.chars() {
            let c = if c == '’' || c == '‘' { '\'' } else { c };
            let sign = !c.is_ascii() && self.readings.symbols.contains_key(c.encode_utf8(&mut [0; 4]) as &str);
            if c.is_alphanumeric() && !sign || c == '\'' && !word.is_empty() || c == '-' && !word.is_empty() {
                let figure = word.chars().next_back().is_some_and(|last| last.is_ascii_digit());
                if !word.is_empty() && c.is_alphanumeric() && figure != c.is_ascii_digit() && !word.ends_with(['\'', '-']) {
                    self.flush(&mut word);
                }
                if code && word.is_empty() && c.is_ascii_uppercase() && !core.contains('-') {
                    // `A12` has the letter's name in it.
                    word.push(LETTERS);
                }
                word.push(c);
                continue;
            }
            self.flush(&mut word);
            match c {
                '&' => self.say("and"),
                '+' => self.say("plus"),
                '/' => self.say("slash"),
                '@' => self.say("at"),
                '%' => self.say("percent"),
                '$' => self.say("dollars"),
                _ => {
                    if let Some(words) = self.readings.symbols.get(&c.to_string()) {
                        self.say(&words.clone());
                    }
                }
            }
        }
        self.flush(&mut word);
    }

    fn flush(&mut self, word: &mut String) {
        let bare = word.trim_matches(['-', '\'']).to_owned();
        word.clear();
        let figures = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if figures(&bare) {
            self.say(&if bare.len() == 4 { numbers::year(&bare) } else { numbers::cardinal(&bare) });
        } else if bare.split('-').any(figures) {
            for part in bare.split('-').filter(|part| !part.is_empty()) {
                self.say(&if figures(part) { numbers::cardinal(part) } else { part.to_owned() });
            }
        } else if !bare.is_empty() {
            self.push(&bare, Kind::Word, true);
        }
    }
}
