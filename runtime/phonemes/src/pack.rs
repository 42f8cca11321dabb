//! The file of a language: a head in JSON and four tables behind it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `OSSPHON1` |
//! | 4 | length of the head, little-endian |
//! | so many | the [head](Head), JSON |
//! | the rest | sections, at the places that the head says, from the start of the file |

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::OpenError;
use crate::net::Shape;
use crate::table::{self, Table};

const MAGIC: &[u8; 8] = b"OSSPHON1";
/// The most bytes of a head.
const MAX_HEAD: usize = 1 << 20;

/// How numbers, units and abbreviations are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Months by their first letters.
    pub months: BTreeMap<String, String>,
    /// Titles before a name, without their points.
    pub titles: BTreeMap<String, String>,
    /// Abbreviations as they are written.
    pub abbreviations: BTreeMap<String, String>,
    /// Units behind a number: for one, for several.
    pub units: BTreeMap<String, [String; 2]>,
    /// Signs between words.
    pub symbols: BTreeMap<String, String>,
    /// Signs of money: one of it, several.
    pub currency: BTreeMap<String, [String; 2]>,
    /// Words before Roman numerals that count.
    pub roman_cardinal: Vec<String>,
    /// Words before Roman numerals that rank.
    pub roman_ordinal: Vec<String>,
}

/// What a file says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) language: String,
    /// A character each: the phonemes that pronunciations are made of.
    pub(crate) symbols: String,
    /// The letters that the network knows, from number 1.
    pub(crate) letters: String,
    /// The phonemes that it says, from number 1.
    pub(crate) said: String,
    /// Parts of speech.
    pub(crate) tags: Vec<String>,
    pub(crate) net: Shape,
    pub(crate) readings: Readings,
    pub(crate) sections: Sections,
}

/// Where the tables are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sections {
    pub(crate) lexicon: Range<usize>,
    pub(crate) tag_of_word: Range<usize>,
    pub(crate) tag_weights: Range<usize>,
    pub(crate) net: Range<usize>,
}

/// A file's bytes with its head read.
pub(crate) struct Pack {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    pub(crate) head: Head,
    pub(crate) symbols: Vec<char>,
}

impl Pack {
    pub(crate) fn new(bytes: Box<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self, OpenError> {
        let whole = (*bytes).as_ref();
        let rest = whole.strip_prefix(MAGIC).ok_or(OpenError::NotPhonemes)?;
        let (length, rest) = rest.split_first_chunk().ok_or(OpenError::Cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let head = rest.get(..length.min(MAX_HEAD)).ok_or(OpenError::Cut)?;
        let head: Head = serde_json::from_slice(head).map_err(|error| OpenError::Head(error.to_string()))?;
        let sections = head.sections.clone();
        for range in [&sections.lexicon, &sections.tag_of_word, &sections.tag_weights, &sections.net] {
            whole.get(range.clone()).ok_or(OpenError::Cut)?;
        }
        if head.net.floats().map(|floats| 4 * floats) != Some(sections.net.len()) {
            return Err(OpenError::Net);
        }
        let symbols: Vec<char> = head.symbols.chars().collect();
        Ok(Self { head, symbols, bytes })
    }

    fn section(&self, range: &Range<usize>) -> &[u8] {
        (*self.bytes).as_ref().get(range.clone()).unwrap_or_default()
    }

    pub(crate) fn lexicon(&self) -> Table<'_> {
        Table::new(self.section(&self.head.sections.lexicon))
    }

    pub(crate) fn tag_of_word(&self) -> Table<'_> {
        Table::new(self.section(&self.head.sections.tag_of_word))
    }

    pub(crate) fn tag_weights(&self) -> Table<'_> {
        Table::new(self.section(&self.head.sections.tag_weights))
    }

    pub(crate) fn net(&self) -> &[u8] {
        self.section(&self.head.sections.net)
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("head", &self.head).finish_non_exhaustive()
    }
}

/// When a pronunciation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum When {
    Else,
    Noun,
    Verb,
    Adjective,
    Adverb,
    /// Nothing follows.
    Last,
    Past,
    Participle,
    Present,
    Determiner,
}

impl When {
    /// As lexicons write it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "DEFAULT" => Self::Else,
            "NOUN" => Self::Noun,
            "VERB" => Self::Verb,
            "ADJ" => Self::Adjective,
            "ADV" => Self::Adverb,
            "None" => Self::Last,
            "VBD" => Self::Past,
            "VBN" => Self::Participle,
            "VBP" => Self::Present,
            "DT" => Self::Determiner,
            _ => return None,
        })
    }
}

/// A pronunciation as lexicons give it: one, or by part of speech; null where the word is spelt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Pronunciation {
    /// The same everywhere.
    One(String),
    /// By `DEFAULT`, `NOUN`, `VERB`, `ADJ`, `ADV`, `VBD`, `VBN`, `VBP`, `DT` or `None` (nothing follows).
    Several(BTreeMap<String, Option<String>>),
}

/// What a file is made of; see [`write`](Parts::write).
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The language, such as `en-us`.
    pub language: String,
    /// Words and how they are said.
    pub lexicon: BTreeMap<String, Pronunciation>,
    /// Parts of speech of the tagger.
    pub tags: Vec<String>,
    /// Words that are always of one part of speech.
    pub tag_of_word: BTreeMap<String, String>,
    /// Features and what they say for and against each part of speech.
    pub tag_weights: BTreeMap<String, BTreeMap<String, f32>>,
    /// Letters that the network knows, one character each.
    pub letters: String,
    /// Phonemes that it says, one character each.
    pub said: String,
    /// Phonemes said for a letter.
    pub slots: usize,
    /// Sizes of the network: width, heads, hidden width, layers.
    pub net: [usize; 4],
    /// Weights of the network: embedding, places; for each layer norm, qkv, out, norm, two linear ones; norm, head. Matrices are inputs by
    /// outputs, biases come behind them.
    pub weights: Vec<f32>,
    /// Numbers, units and abbreviations.
    pub readings: Readings,
}

impl Parts {
    /// The file.
    ///
    /// # Errors
    /// If the parts do not fit one another; the message says which.
    pub fn write(&self) -> Result<Vec<u8>, String> {
        let (letters, phonemes) = (self.letters.chars().count() + 1, self.said.chars().count() + 1);
        let [width, heads, hidden, layers] = self.net;
        let net = Shape { letters, phonemes, slots: self.slots, width, heads, hidden, layers };
        if net.floats() != Some(self.weights.len()) {
            return Err(format!("{} weights for {net:?}", self.weights.len()));
        }
        let mut symbols: Vec<char> = Vec::new();
        let lexicon: Vec<(&str, Vec<u8>)> = self
            .lexicon
            .iter()
            .map(|(word, said)| Ok((word.as_str(), entry(said, &mut symbols).map_err(|error| format!("{word}: {error}"))?)))
            .collect::<Result<_, String>>()?;
        let tag = |tag: &String| self.tags.iter().position(|known| known == tag).map(|place| place as u8);
        let words = self.tag_of_word.iter().filter_map(|(word, of)| Some((word.as_str(), vec![tag(of)?])));
        let weights = self.tag_weights.iter().map(|(feature, weights)| {
            let weights = weights.iter().filter_map(|(of, weight)| Some((tag(of)?, (10.0 * weight).round() as i16)));
            (feature.as_str(), weights.flat_map(|(tag, weight)| [[tag].to_vec(), weight.to_le_bytes().to_vec()].concat()).collect())
        });
        let (words, weights): (Vec<_>, Vec<(&str, Vec<u8>)>) = (words.collect(), weights.collect());
        let tables = [lexicon, words, weights].map(|entries| table::write(entries.iter().map(|(key, value)| (key.as_bytes(), &value[..]))));
        let net_bytes: Vec<u8> = self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let mut head = Head {
            language: self.language.clone(),
            symbols: symbols.into_iter().collect(),
            letters: self.letters.clone(),
            said: self.said.clone(),
            tags: self.tags.clone(),
            net,
            readings: self.readings.clone(),
            sections: Sections::default(),
        };
        // The head has a fixed length, whatever the places in it are.
        let text = |head: &Head| serde_json::to_string(head).map_err(|error| error.to_string());
        let length = text(&head)?.len() + 128;
        let mut at = MAGIC.len() + 4 + length;
        let mut place = |bytes: &[u8]| {
            let start = at.next_multiple_of(16);
            at = start + bytes.len();
            start..at
        };
        let [lexicon, tag_of_word, tag_weights] = [&tables[0], &tables[1], &tables[2]].map(|table| place(table));
        head.sections = Sections { lexicon, tag_of_word, tag_weights, net: place(&net_bytes) };
        let mut file = MAGIC.to_vec();
        file.extend((length as u32).to_le_bytes());
        file.extend(format!("{:length$}", text(&head)?).bytes());
        for (range, bytes) in [
            (&head.sections.lexicon, &tables[0]),
            (&head.sections.tag_of_word, &tables[1]),
            (&head.sections.tag_weights, &tables[2]),
            (&head.sections.net, &net_bytes),
        ] {
            file.resize(range.start, 0);
            file.extend_from_slice(bytes);
        }
        Ok(file)
    }
}

/// Pronunciations of a word in the numbers of symbols: when, how many, which; 255 where the word is spelt.
fn entry(said: &Pronunciation, symbols: &mut Vec<char>) -> Result<Vec<u8>, String> {
    let all: Vec<(When, Option<&str>)> = match said {
        Pronunciation::One(said) => vec![(When::Else, Some(said))],
        Pronunciation::Several(several) => several
            .iter()
            .map(|(when, said)| Ok((When::named(when).ok_or(format!("unknown part of speech {when}"))?, said.as_deref())))
            .collect::<Result<_, String>>()?,
    };
    let mut out = Vec::new();
    for (when, said) in all {
        out.push(when as u8);
        let Some(said) = said else {
            out.push(u8::MAX);
            continue;
        };
        // The flap, and the glottal stop before n, as voices have them.
        let said: Vec<char> = said
            .chars()
            .map(|c| {
                if c == 'ɾ' {
                    'T'
                } else if c == 'ʔ' {
                    't'
                } else {
                    c
                }
            })
            .collect();
        if said.len() >= usize::from(u8::MAX) {
            return Err("too long".to_owned());
        }
        out.push(said.len() as u8);
        for c in said {
            let place = symbols.iter().position(|&known| known == c).unwrap_or_else(|| {
                symbols.push(c);
                symbols.len() - 1
            });
            out.push(u8::try_from(place).map_err(|_| "more than 256 phonemes".to_owned())?);
        }
    }
    Ok(out)
}
