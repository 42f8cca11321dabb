//! SentencePiece's precompiled normalisation: a trie of texts and what stands for them.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// Most bytes of a cluster of characters that is looked up as a whole.
const CLUSTER: usize = 6;

/// Texts and what stands for them.
#[derive(Clone, Debug)]
pub(crate) struct CharsMap {
    /// A trie in a double array (Aoe 1989), as darts-clone lays it out.
    trie: Vec<u32>,
    /// What stands for the texts, each ended by a zero.
    texts: String,
}

impl CharsMap {
    /// From the bytes of `precompiled_charsmap`: the trie's size, the trie, the texts. None if they are not that.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (trie, texts) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let (units, odd) = trie.as_chunks();
        let texts = String::from_utf8(texts.to_vec()).ok()?;
        odd.is_empty().then(|| Self { trie: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(), texts })
    }

    /// What stands for a text that begins with an entry: the first that is found. (Not the longest: this is how the reference does it.)
    fn find(&self, text: &str) -> Option<&str> {
        let offset = |unit: u32| (unit >> 10) << ((unit & 1 << 9) >> 6);
        let mut at = offset(*self.trie.first()?);
        for byte in text.bytes().take_while(|&byte| byte != 0) {
            at ^= u32::from(byte);
            let unit = *self.trie.get(at as usize)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            at ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let start = self.trie.get(at as usize)? & !(1 << 31);
                let text = self.texts.get(start as usize..)?;
                return Some(text.split('\0').next().unwrap_or_default());
            }
        }
        None
    }

    /// A text with all entries replaced.
    pub(crate) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::with_capacity(text.len());
        for cluster in text.graphemes(true) {
            match Some(cluster).filter(|cluster| cluster.len() < CLUSTER).and_then(|cluster| self.find(cluster)) {
                Some(text) => out.push_str(text),
                None => {
                    for (at, character) in cluster.char_indices() {
                        let own = &cluster[at..at + character.len_utf8()];
                        out.push_str(self.find(own).unwrap_or(own));
                    }
                }
            }
        }
        if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
    }
}

/// The bytes of base64 with padding, as Hugging Face writes them; none if it is not that.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for &character in text {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            // The low byte of what is left above the rest.
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, want) in [("", Some("")), ("Zg==", Some("f")), ("Zm8=", Some("fo")), ("Zm9vYg", Some("foob")), ("Zm9v!", None)] {
            assert_eq!(from_base64(text), want.map(|text| text.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn damaged_maps_change_nothing_or_are_none() {
        assert!(CharsMap::new(&[1, 2, 3]).is_none() && CharsMap::new(&[8, 0, 0, 0, 1]).is_none());
        for unit in [0, u32::MAX, 1 << 9 | 1 << 10, 0x6100 | 1 << 8, 1 << 31] {
            let bytes = [&[8, 0, 0, 0][..], &u32::to_le_bytes(unit), &u32::to_le_bytes(!unit), b"x\0"].concat();
            let map = CharsMap::new(&bytes).unwrap();
            assert!(map.apply("a dog \u{fb01}\0").len() < 100);
        }
    }
}
