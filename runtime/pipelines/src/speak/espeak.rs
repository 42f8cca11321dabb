//! Phonemes by the program `espeak-ng`, as a process of its own: it is not linked, and a voice that needs it says so where it is missing.

use std::io::Write;
use std::process::{Command, Stdio};

use unicode_normalization::UnicodeNormalization;

use super::SpeakError;

/// The program.
const PROGRAM: &str = "espeak-ng";

/// Most characters that it is given at once; longer clauses are cut at a blank.
const LONGEST: usize = 400;

/// What ends a clause, and how that is said.
const MARKS: [(&[char], char); 6] = [
    (&['.', '…', '。'], '.'),
    (&['!', '！'], '!'),
    (&['?', '？', '؟'], '?'),
    (&[',', '،', '、', '，'], ','),
    (&[';', '؛', '；'], ';'),
    (&[':', '：'], ':'),
];

/// Abbreviations that a sentence does not end with.
const TITLES: [&str; 6] = ["Mr", "Mrs", "Ms", "Dr", "Prof", "St"];

/// Phonemes of one language.
#[derive(Debug)]
pub(super) struct Espeak {
    voice: String,
}

/// A part of a text, and the mark after it.
#[derive(Debug, PartialEq, Eq)]
struct Clause {
    text: String,
    mark: char,
}

impl Clause {
    fn ends(&self) -> bool {
        matches!(self.mark, '.' | '!' | '?')
    }
}

impl Espeak {
    pub(super) fn new(voice: &str) -> Self {
        Self { voice: voice.to_owned() }
    }

    /// A line of phonemes for each sentence of a text, marks included. The program is asked for even if there is none.
    pub(super) fn pronounce(&self, text: &str) -> Result<Vec<String>, SpeakError> {
        let clauses = split(text);
        let mut input = String::new();
        for clause in &clauses {
            input.push_str(&clause.text);
            input.push('\n');
        }
        let all = self.run(&input)?;
        // It gives a line for each clause that it sees. Where it sees more of them, or nothing to say, each is asked for by itself.
        let mut lines: Vec<String> = all.lines().map(plain).collect();
        if lines.len() != clauses.len() || lines.iter().any(String::is_empty) {
            lines.clear();
            for clause in &clauses {
                let parts: Vec<String> =
                    self.run(&format!("{}\n", clause.text))?.lines().map(plain).filter(|part| !part.is_empty()).collect();
                lines.push(parts.join(" "));
            }
        }
        let mut sentences = vec![];
        let mut sentence = String::new();
        for (clause, phonemes) in clauses.iter().zip(lines) {
            if !phonemes.is_empty() {
                if !sentence.is_empty() {
                    sentence.push(' ');
                }
                sentence.push_str(&phonemes);
                sentence.push(clause.mark);
            }
            if clause.ends() && !sentence.is_empty() {
                sentences.push(std::mem::take(&mut sentence));
            }
        }
        sentences.extend(Some(sentence).filter(|rest| !rest.is_empty()));
        Ok(sentences)
    }

    fn run(&self, text: &str) -> Result<String, SpeakError> {
        let failed = |problem: String| SpeakError::Espeak { problem };
        let child = Command::new(PROGRAM)
            .args(["-v", &self.voice, "-q", "--ipa", "-b", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("not installed: install it (Debian: espeak-ng), or give --phonemes".into()),
            _ => failed(format!("cannot be started: {error}")),
        })?;
        let mut input = child.stdin.take();
        // It answers while it reads.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || input.as_mut().map(|input| input.write_all(text.as_bytes())));
            child.wait_with_output()
        });
        let output = output.map_err(|error| failed(format!("cannot be heard: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
            return Err(failed(format!("voice {}: {}", self.voice, line.trim().escape_debug())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Phonemes as voices know them: characters apart from what is put above and below them, without marks of other languages, `(en)`.
fn plain(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line.trim();
    while let Some((before, after)) = rest.split_once('(') {
        kept.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept.nfd().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a text into clauses.
fn split(text: &str) -> Vec<Clause> {
    let mut clauses = vec![];
    for line in text.lines() {
        let mut own = String::new();
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            let mark = MARKS.iter().find(|(signs, _)| signs.contains(&c)).map(|(_, mark)| *mark);
            // Marks of closing quotes and brackets, and more of the same, belong to it.
            let after: String =
                chars.clone().take_while(|next| matches!(next, '"' | '”' | '’' | '\'' | ')' | ']' | '.' | '!' | '?')).collect();
            let next = chars.clone().nth(after.chars().count());
            let wide = mark.is_some() && !c.is_ascii() && c != '…';
            let cut = mark.filter(|_| wide || next.is_none_or(char::is_whitespace));
            let Some(mark) = cut.filter(|mark| *mark != '.' || ends(&own, chars.clone())) else {
                own.push(if c.is_control() { ' ' } else { c });
                continue;
            };
            chars.by_ref().take(after.chars().count()).for_each(drop);
            // The last of several marks says how it is said, `?!` or `...`.
            let mark = after.chars().rev().find(|c| "!?".contains(*c)).unwrap_or(mark);
            push(&mut clauses, &own, mark);
            own.clear();
        }
        push(&mut clauses, &own, '.');
    }
    clauses
}

/// Whether a full stop after `before` ends a sentence: not after a title, nor before a small letter.
fn ends(before: &str, after: impl Iterator<Item = char>) -> bool {
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut after = after.skip_while(|c| !c.is_alphanumeric());
    !TITLES.contains(&word) && after.next().is_none_or(|next| !next.is_lowercase())
}

/// Adds a clause, or several if it is long.
fn push(clauses: &mut Vec<Clause>, text: &str, mark: char) {
    let mut rest = text.trim();
    while let Some((most, _)) = rest.char_indices().nth(LONGEST) {
        let end = rest[..most].rfind(char::is_whitespace).unwrap_or(most);
        push(clauses, &rest[..end], ',');
        rest = rest[end..].trim_start();
    }
    if rest.chars().any(char::is_alphanumeric) || rest.chars().any(|c| !c.is_ascii() && !c.is_whitespace()) {
        clauses.push(Clause { text: rest.to_owned(), mark });
    } else if let Some(last) = clauses.last_mut().filter(|last| !last.ends() && ".!?".contains(mark)) {
        // Nothing to say, but an end.
        last.mark = mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clauses(text: &str) -> Vec<(String, char)> {
        split(text).into_iter().map(|clause| (clause.text, clause.mark)).collect()
    }

    fn wanted(parts: &[(&str, char)]) -> Vec<(String, char)> {
        parts.iter().map(|(text, mark)| ((*text).to_owned(), *mark)).collect()
    }

    #[test]
    fn texts_are_cut_at_marks() {
        assert_eq!(clauses("Hello, world. Is it 3.5 m?"), wanted(&[("Hello", ','), ("world", '.'), ("Is it 3.5 m", '?')]));
        assert_eq!(clauses("Dr. Who e.g. here\nnew"), wanted(&[("Dr. Who e.g. here", '.'), ("new", '.')]));
        assert_eq!(clauses("\"Really?!\" he said..."), wanted(&[("\"Really", '!'), ("he said", '.')]));
        assert_eq!(clauses("你好。再见！"), wanted(&[("你好", '.'), ("再见", '!')]));
        assert!(clauses(" . , \n ... ").is_empty() && clauses("").is_empty());
    }

    #[test]
    fn nothing_is_lost_of_long_clauses() {
        for text in ["word ".repeat(1000), "x".repeat(3000)] {
            let all = clauses(&text);
            assert!(all.iter().all(|(part, _)| part.chars().count() <= LONGEST));
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            assert_eq!(all.iter().map(|(part, _)| letters(part)).sum::<usize>(), letters(&text));
            assert!(all.last().is_some_and(|(_, mark)| *mark == '.') && all[..all.len() - 1].iter().all(|(_, mark)| *mark == ','));
        }
    }

    #[test]
    fn phonemes_are_taken_apart() {
        assert_eq!(plain(" (de)bõ\u{a0} ʒˈuʁ(fr) "), "bo\u{303} ʒˈuʁ");
        assert_eq!(plain("a(b"), "a");
    }
}
