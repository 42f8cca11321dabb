//! Tokens by their text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::MAX_TOKENS;

/// Most bytes of one token's text.
const MAX_TOKEN_BYTES: usize = u16::MAX as usize;

/// A vocabulary: texts in one block, found by binary search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    text: String,
    /// In order of their texts.
    entries: Vec<Entry>,
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
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary, each token with its id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((token, id)) = map.next_entry::<std::borrow::Cow<'de, str>, u32>()? {
            if id as usize >= MAX_TOKENS || vocabulary.entries.len() >= MAX_TOKENS {
                return Err(A::Error::custom(format!("token {token:?} has id {id}: ids below {MAX_TOKENS} are read")));
            }
            let bytes =
                u16::try_from(token.len()).map_err(|_| A::Error::custom(format!("a token has more than {MAX_TOKEN_BYTES} bytes")))?;
            // The file's size bounds this.
            let start = u32::try_from(vocabulary.text.len()).map_err(A::Error::custom)?;
            vocabulary.text.push_str(&token);
            vocabulary.entries.push(Entry { start, bytes, id });
            vocabulary.size = vocabulary.size.max(id as usize + 1);
        }
        let Vocabulary { text, mut entries, size } = vocabulary;
        let of = |entry: &Entry| &text[entry.start as usize..][..usize::from(entry.bytes)];
        entries.sort_unstable_by(|a, b| of(a).cmp(of(b)));
        if let Some(pair) = entries.windows(2).find(|pair| of(&pair[0]) == of(&pair[1])) {
            return Err(A::Error::custom(format!("token {:?} is there twice", of(&pair[0]))));
        }
        Ok(Vocabulary { text, entries, size })
    }
}
