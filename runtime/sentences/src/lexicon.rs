//! The words of a grammar and how templates write them.

use std::collections::HashMap;

use crate::words::Word;

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
}

impl Lexicon {
    pub(crate) fn intern(&mut self, word: &str) -> u32 {
        if let Some(&id) = self.ids.get(word) {
            return id;
        }
        let id = self.entries.len() as u32;
        self.entries.push(Entry { text: word.to_owned(), given: Vec::new(), hyphen: false });
        self.ids.insert(word.to_owned(), id);
        id
    }

    /// The words of `text`, remembering how it writes them.
    pub(crate) fn learn(&mut self, text: &str, words: &[Word]) -> Vec<u32> {
        let mut ids: Vec<u32> = Vec::with_capacity(words.len());
        for word in words {
            let id = self.intern(&word.text);
            let given = &text[word.span.clone()];
            let entry = &mut self.entries[id as usize];
            // Signs such as % have spellings of their own.
            if given.starts_with(char::is_alphanumeric) && !entry.given.iter().any(|form| form == given) {
                entry.given.push(given.to_owned());
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

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
