//! The words of a grammar and how templates write them.

use std::collections::HashMap;

use crate::accents;
use crate::words::{self, Word};

/// A word the grammar does not know.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// A word and its forms.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As [`crate::words::split`] gives it.
    pub(crate) text: String,
    /// As templates write it, each form once.
    pub(crate) given: Vec<String>,
    /// Whether a template joins the next word to it by a hyphen.
    pub(crate) hyphen: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    entries: Vec<Entry>,
    ids: HashMap<String, u32>,
    /// Words by their forms without accents.
    plain: HashMap<String, Vec<u32>>,
}

impl Lexicon {
    pub(crate) fn intern(&mut self, word: &str) -> u32 {
        if let Some(&id) = self.ids.get(word) {
            return id;
        }
        let id = self.entries.len() as u32;
        self.entries.push(Entry { text: word.to_owned(), given: Vec::new(), hyphen: false });
        self.ids.insert(word.to_owned(), id);
        for form in accents::without(word) {
            self.plain.entry(form).or_default().push(id);
        }
        id
    }

    /// The words of `text`, remembering how it writes them.
    pub(crate) fn learn(&mut self, text: &str, words: &[Word]) -> Vec<u32> {
        let mut ids: Vec<u32> = Vec::with_capacity(words.len());
        for word in words {
            let id = self.intern(&word.text);
            let given = words::composed(&text[word.span.clone()]);
            let entry = &mut self.entries[id as usize];
            // Signs such as % have spellings of their own.
            if given.starts_with(char::is_alphanumeric) && !entry.given.contains(&given) {
                entry.given.push(given);
            }
            if let Some(&last) = ids.last().filter(|_| word.joined) {
                self.entries[last as usize].hyphen = true;
            }
            ids.push(id);
        }
        ids
    }

    /// The word's number, if the grammar has it.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The words that `word`, which is none of them, may stand for: typed without accents, or with accents that the grammar leaves out.
    pub(crate) fn find_accented(&self, word: &str) -> Vec<u32> {
        let mut found = self.plain.get(word).cloned().unwrap_or_default();
        for form in accents::without(word) {
            found.extend(self.find(&form));
            found.extend(self.plain.get(&form).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
