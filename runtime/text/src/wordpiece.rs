//! WordPiece (Wu et al. 2016): a word as the longest pieces of the vocabulary, from left to right.

use crate::vocabulary::Vocabulary;

#[derive(Clone, Debug)]
pub(crate) struct WordPiece {
    pub(crate) vocabulary: Vocabulary,
    /// Bytes of the vocabulary's longest piece.
    pub(crate) longest: usize,
    /// For words that the vocabulary does not have.
    pub(crate) unknown: u32,
    /// What pieces within a word begin with.
    pub(crate) prefix: String,
    /// Words of more characters are unknown.
    pub(crate) most_chars: usize,
}

impl WordPiece {
    pub(crate) fn size(&self) -> usize {
        self.vocabulary.size()
    }

    /// Appends the tokens of a word.
    pub(crate) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let first = ids.len();
        if word.chars().nth(self.most_chars).is_some() || self.pieces(word, ids).is_none() {
            ids.truncate(first);
            ids.push(self.unknown);
        }
    }

    fn pieces(&self, word: &str, ids: &mut Vec<u32>) -> Option<()> {
        let mut key = String::with_capacity(self.prefix.len() + word.len());
        let mut rest = word;
        while !rest.is_empty() {
            key.clear();
            if rest.len() < word.len() {
                key.push_str(&self.prefix);
            }
            let own = key.len();
            key.push_str(rest);
            let (id, length) = self.longest_piece(&mut key, own)?;
            ids.push(id);
            rest = &rest[length..];
        }
        Some(())
    }

    /// The longest beginning of `key`, longer than `own` bytes, that is in the vocabulary, and its length beyond them.
    fn longest_piece(&self, key: &mut String, own: usize) -> Option<(u32, usize)> {
        while key.len() > self.longest {
            key.pop();
        }
        while key.len() > own {
            if let Some(id) = self.vocabulary.id(key) {
                return Some((id, key.len() - own));
            }
            key.pop();
        }
        None
    }
}
