//! From text to phonemes, sentence by sentence.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::OpenError;
use crate::lexicon::{self, Context, VOWELS};
use crate::pack::Pack;
use crate::text::{self, Kind, Manner, Token};

/// A sentence in phonemes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// Phonemes and marks, words with blanks between them.
    pub phonemes: String,
    /// The words as they are said, numbers read out.
    pub words: Vec<String>,
    /// Words that nothing is known to say for, and that are left out: those of scripts that the network never saw.
    pub left_out: Vec<String>,
}

/// Says how English text is pronounced.
#[derive(Debug)]
pub struct Phonemizer {
    pack: Pack,
    own: HashMap<String, String>,
}

impl Phonemizer {
    /// From a file that [`Parts`](crate::Parts) wrote.
    ///
    /// # Errors
    /// If the file cannot be read or is something else.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        fs::read(path).map_err(OpenError::Read).and_then(Self::from_bytes)
    }

    /// From the bytes of such a file, which may be mapped.
    ///
    /// # Errors
    /// If they are something else.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, OpenError> {
        Pack::new(Box::new(bytes)).map(|pack| Self { pack, own: HashMap::new() })
    }

    /// Language of the texts, such as `en-us`.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.pack.head.language
    }

    /// Says `word` (in any case) as `phonemes` from now on.
    pub fn pronounce(&mut self, word: &str, phonemes: &str) {
        self.own.insert(word.to_lowercase(), phonemes.to_owned());
    }

    /// Takes pronunciations from the text of a file: a word and its phonemes a line, blanks or a tab between them; lines that are empty or
    /// begin with `#` say nothing. Gives their number.
    ///
    /// # Errors
    /// The number of the first line that has no phonemes, counted from 1; those before it count.
    pub fn pronounce_all(&mut self, text: &str) -> Result<usize, usize> {
        let lines = text.lines().zip(1usize..).map(|(line, number)| (line.trim(), number));
        let mut count = 0;
        for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
            let (word, phonemes) = line.split_once(char::is_whitespace).ok_or(number)?;
            self.pronounce(word, phonemes.trim());
            count += 1;
        }
        Ok(count)
    }

    /// The sentences of a text, in phonemes. Sentences without a word are left out. `[word](/phonemes/)` is said as it says.
    #[must_use]
    pub fn phonemize(&self, text: &str) -> Vec<Clause> {
        let tokens = text::tokens(text, &self.pack.head.readings);
        let mut clauses = Vec::new();
        let mut start = 0;
        for at in 0..tokens.len() {
            let next = tokens.get(at + 1);
            let ends = tokens[at].kind == Kind::End && next.is_none_or(|next| next.begins);
            if ends || next.is_none() {
                clauses.extend(
                    Some(self.clause(&tokens[start..=at])).filter(|clause| !(clause.words.is_empty() && clause.left_out.is_empty())),
                );
                start = at + 1;
            }
        }
        clauses
    }

    fn clause(&self, tokens: &[Token]) -> Clause {
        let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        let tags = self.pack.tags(&words);
        // From the end, as some words are said by what comes next.
        let mut next_vowel = None;
        let mut said: Vec<String> = Vec::with_capacity(tokens.len());
        for (token, tag) in tokens.iter().zip(&tags).rev() {
            if token.kind != Kind::Word {
                said.push(token.text.clone());
                if !matches!(token.text.as_str(), "(" | ")") {
                    next_vowel = None;
                }
                continue;
            }
            let mut phonemes = match &token.manner {
                Manner::Said(phonemes) => phonemes.clone(),
                Manner::Letters => self.pack.spelt(&token.text).unwrap_or_default(),
                _ => self.word(&token.text, Context { tag, next_vowel }),
            };
            if token.manner == Manner::Light {
                phonemes.retain(|c| !"ˈˌ".contains(c));
            }
            let first = phonemes.chars().find(|c| c.is_alphabetic() && !"ˈˌː".contains(*c));
            next_vowel = first.map(|c| VOWELS.contains(c)).or(next_vowel);
            said.push(phonemes);
        }
        said.reverse();
        let mut clause = Clause::default();
        for (token, said) in tokens.iter().zip(said) {
            if token.blank && !clause.phonemes.is_empty() && !said.is_empty() {
                clause.phonemes.push(' ');
            }
            clause.phonemes.push_str(&said);
            if token.kind == Kind::Word {
                if said.is_empty() { &mut clause.left_out } else { &mut clause.words }.push(token.text.clone());
            }
        }
        clause
    }

    fn word(&self, word: &str, context: Context<'_>) -> String {
        if let Some(said) = (!self.own.is_empty()).then(|| self.own.get(&word.to_lowercase())).flatten() {
            return said.clone();
        }
        if let Some(owner) = word.strip_suffix("'s").filter(|owner| parts(owner).len() > 1)
            && self.pack.known(word, context).is_none()
        {
            return lexicon::with_s(self.word(owner, context));
        }
        let parts = parts(word);
        let Some((last, before)) = parts.split_last().filter(|(_, before)| !before.is_empty()) else {
            return self.pack.say(word, context);
        };
        if let Some(said) = self.pack.known(word, context) {
            return said;
        }
        let inner = Context { next_vowel: Some(false), ..context };
        let say = |part: &&str| match part.chars().count() {
            1 => self.pack.spelt(part).unwrap_or_else(|| self.pack.say(part, inner)),
            _ => self.pack.say(part, inner),
        };
        let mut said: Vec<String> = before.iter().map(say).collect();
        said.push(self.pack.say(last, context));
        if let ([_], [first, second]) = (before, &mut said[..])
            && before[0].chars().count() == 1
            && first.contains('ˈ')
        {
            // A letter leads: `X-ray`.
            *second = second.replace('ˈ', "ˌ");
        }
        unstress(&mut said);
        said.concat()
    }
}

/// The parts of a compound: between hyphens, and at a capital that begins a word inside of another (`TeamViewer`, `DMax`).
fn parts(word: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let mut cuts = vec![0];
    for (i, &(at, c)) in chars.iter().enumerate().skip(1) {
        let before = chars[i - 1].1;
        let word_begins = || chars[i + 1..].iter().take(2).filter(|(_, c)| c.is_lowercase()).count() == 2;
        // What has no vowel is no word of its own: `McGill`.
        let is_word = || word[cuts[cuts.len() - 1]..at].contains(|c| "aeiouyAEIOUY".contains(c));
        if c.is_uppercase() && (before.is_lowercase() && is_word() || i == 1 && word_begins()) || before == '-' {
            cuts.push(at);
        }
    }
    let ends = cuts.iter().skip(1).copied().chain([word.len()]);
    let parts = cuts.iter().zip(ends).map(|(&start, end)| word[start..end].trim_matches('-'));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Leaves the main stress to the heavier half of the parts of a compound.
fn unstress(parts: &mut [String]) {
    let stressed = parts.iter().filter(|part| part.contains('ˈ')).count();
    if parts.len() < 2 || stressed <= parts.len().div_ceil(2) {
        return;
    }
    let weight = |part: &str| part.chars().map(|c| usize::from(!"ˈˌ".contains(c)) + usize::from("AIOQWYʤʧ".contains(c))).sum::<usize>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&i| (parts[i].contains('ˈ'), weight(&parts[i])));
    for &i in &order[..parts.len() / 2] {
        parts[i] = parts[i].replace('ˈ', "ˌ");
    }
}
