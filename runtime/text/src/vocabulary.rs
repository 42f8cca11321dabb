//! Tokens by their text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::MAX_TOKENS;

/// Most bytes of one token's text.
const MAX_TOKEN_BYTES: usize = u16::MAX as usize;

/// A vocabulary: texts in one block, found by binary search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    text: String,
    /// In order of their texts.
    entries: Vec<Entry>,
    /// By id, of a list of tokens with scores.
    scores: Vec<f64>,
    size: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    bytes: u16,
    id: u32,
}

impl Vocabulary {
    /// The id of a token's text.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        let found = self.entries.binary_search_by(|entry| self.of(entry).cmp(token)).ok()?;
        Some(self.entries[found].id)
    }

    /// The id and the score of a token's text.
    pub(crate) fn scored(&self, token: &str) -> Option<(u32, f64)> {
        let id = self.id(token)?;
        self.scores.get(id as usize).map(|&score| (id, score))
    }

    /// The lowest score; 0 without any.
    pub(crate) fn least_score(&self) -> f64 {
        self.scores.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// Whether each token has a score.
    pub(crate) fn is_scored(&self) -> bool {
        self.scores.len() == self.size
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the longest token.
    pub(crate) fn longest(&self) -> usize {
        self.entries.iter().map(|entry| usize::from(entry.bytes)).max().unwrap_or(0)
    }

    fn of(&self, entry: &Entry) -> &str {
        &self.text[entry.start as usize..][..usize::from(entry.bytes)]
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary, each token with its id or its score")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((token, id)) = map.next_entry::<Cow<'de, str>, u32>()? {
            vocabulary.add(&token, id)?;
        }
        vocabulary.sorted()
    }

    /// Tokens in the order of their ids, each with its score.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((token, score)) = items.next_element::<(Cow<'de, str>, f64)>()? {
            if !score.is_finite() {
                return Err(A::Error::custom(format!("token {token:?} has score {score}")));
            }
            vocabulary.add(&token, u32::try_from(vocabulary.entries.len()).unwrap_or(u32::MAX))?;
            vocabulary.scores.push(score);
        }
        vocabulary.sorted()
    }
}

impl Vocabulary {
    fn add<E: Error>(&mut self, token: &str, id: u32) -> Result<(), E> {
        if id as usize >= MAX_TOKENS || self.entries.len() >= MAX_TOKENS {
            return Err(E::custom(format!("token {token:?} has id {id}: ids below {MAX_TOKENS} are read")));
        }
        let bytes = u16::try_from(token.len()).map_err(|_| E::custom(format!("a token has more than {MAX_TOKEN_BYTES} bytes")))?;
        // The file's size bounds this.
        let start = u32::try_from(self.text.len()).map_err(E::custom)?;
        self.text.push_str(token);
        self.entries.push(Entry { start, bytes, id });
        self.size = self.size.max(id as usize + 1);
        Ok(())
    }

    fn sorted<E: Error>(mut self) -> Result<Self, E> {
        let text = std::mem::take(&mut self.text);
        let of = |entry: &Entry| &text[entry.start as usize..][..usize::from(entry.bytes)];
        self.entries.sort_unstable_by(|a, b| of(a).cmp(of(b)));
        if let Some(pair) = self.entries.windows(2).find(|pair| of(&pair[0]) == of(&pair[1])) {
            return Err(E::custom(format!("token {:?} is there twice", of(&pair[0]))));
        }
        Ok(Self { text, ..self })
    }
}
