//! Tokens to text.
//!
//! Only the vocabulary of `tokenizer.json` is read, into one block of bytes; merges and settings are skipped, so loading takes a few
//! milliseconds. Tokens are pieces of UTF-8 and may end inside a character: [`Utf8Stream`] holds such ends back.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The text of each token of a vocabulary.
#[derive(Clone, Debug, Default)]
pub struct Tokenizer {
    bytes: Vec<u8>,
    /// Start and length of each token's bytes, by token.
    spans: Vec<(u32, u32)>,
}

/// `tokenizer.json` is not a byte-level BPE vocabulary.
#[derive(Debug)]
pub struct TokenizerError(serde_json::Error);

impl fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tokenizer.json: {}", self.0)
    }
}

impl std::error::Error for TokenizerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Tokenizer {
    /// Reads the text of `tokenizer.json`.
    ///
    /// # Errors
    /// If it is not JSON, lacks `model.vocab`, or a piece holds a character outside GPT-2's byte alphabet.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        let mut tokenizer = Self { bytes: Vec::with_capacity(text.len() / 4), spans: Vec::with_capacity(52_000) };
        let mut json = serde_json::Deserializer::from_str(text);
        File(&mut tokenizer).deserialize(&mut json).map_err(TokenizerError)?;
        json.end().map_err(TokenizerError)?;
        Ok(tokenizer)
    }

    /// The bytes of a token; empty for timestamps and tokens without text.
    pub fn bytes(&self, token: u32) -> &[u8] {
        match self.spans.get(token as usize) {
            Some(&(start, len)) => &self.bytes[start as usize..(start + len) as usize],
            None => &[],
        }
    }

    /// The text of `tokens`. Bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: impl IntoIterator<Item = u32>) -> String {
        let bytes: Vec<u8> = tokens.into_iter().flat_map(|token| self.bytes(token)).copied().collect();
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Tokens known, one more than the largest.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether no token is known.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Checks that each token below `eot` is in the vocabulary. (Whisper's multilingual ones have one without text there.)
    ///
    /// # Errors
    /// If one is missing: what it stands for would be lost in silence.
    pub fn check_texts(&self, eot: u32) -> Result<(), TokenizerError> {
        let missing = |&token: &u32| self.spans.get(token as usize).is_none_or(|&span| span == (0, 0));
        match (0..eot).find(missing) {
            None => Ok(()),
            Some(token) => Err(TokenizerError(serde::de::Error::custom(format!("token {token} has no text")))),
        }
    }

    fn insert(&mut self, token: u32, start: usize) -> Result<(), Refused> {
        /// No Whisper vocabulary comes near this; a damaged file must not make us allocate without end.
        const MAX_TOKENS: u32 = 1 << 20;
        if token >= MAX_TOKENS {
            return Err(Refused::Token(token));
        }
        let token = token as usize;
        if token >= self.spans.len() {
            self.spans.resize(token + 1, (0, 0));
        }
        self.spans[token] = (start as u32, (self.bytes.len() - start) as u32);
        Ok(())
    }

    fn push_piece(&mut self, piece: &str) -> Result<(), Refused> {
        for c in piece.chars() {
            self.bytes.push(byte_of(c).ok_or(Refused::Character(c))?);
        }
        Ok(())
    }
}

enum Refused {
    Token(u32),
    Character(char),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token {token} is out of range"),
            Self::Character(c) => write!(f, "{c:?} is not in the byte alphabet"),
        }
    }
}

/// The byte that GPT-2's alphabet writes as `c`: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up in order.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The whole file: `added_tokens` and `model`.
struct File<'a>(&'a mut Tokenizer);

impl<'de> DeserializeSeed<'de> for File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with model.vocab")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "added_tokens" => {
                    for added in map.next_value::<Vec<AddedToken>>()? {
                        let start = self.0.bytes.len();
                        self.0.bytes.extend_from_slice(added.content.as_bytes());
                        self.0.insert(added.id, start).map_err(serde::de::Error::custom)?;
                    }
                }
                "model" => found = map.next_value_seed(Model(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if found { Ok(()) } else { Err(serde::de::Error::missing_field("model.vocab")) }
    }
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// `model`: says whether it had a vocabulary.
struct Model<'a>(&'a mut Tokenizer);

impl<'de> DeserializeSeed<'de> for Model<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Model<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with vocab")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<&str>()? {
            if key == "vocab" {
                map.next_value_seed(Vocab(self.0))?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// `model.vocab`: piece to token.
struct Vocab<'a>(&'a mut Tokenizer);

impl<'de> DeserializeSeed<'de> for Vocab<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Vocab<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of pieces and tokens")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        loop {
            let start = self.0.bytes.len();
            if map.next_key_seed(Piece(self.0))?.is_none() {
                return Ok(());
            }
            let token = map.next_value()?;
            // An added token's content is written as is and wins over the same piece in byte letters.
            let taken = self.0.spans.get(token as usize).is_some_and(|&(_, len)| len > 0);
            if !taken {
                self.0.insert(token, start).map_err(serde::de::Error::custom)?;
            }
        }
    }
}

/// A key of the vocabulary, appended to the tokenizer's bytes.
struct Piece<'a>(&'a mut Tokenizer);

impl<'de> DeserializeSeed<'de> for Piece<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Piece<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a piece of text")
    }

    fn visit_str<E: serde::de::Error>(self, piece: &str) -> Result<(), E> {
        self.0.push_piece(piece).map_err(E::custom)
    }
}

/// Text from bytes that arrive in arbitrary pieces.
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The start of a character whose end has not arrived: at most 3 bytes.
    held: Vec<u8>,
}

impl Utf8Stream {
    /// Appends to `text` what `bytes` completes. Bytes that can no longer become UTF-8 turn into U+FFFD.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.held.extend_from_slice(bytes);
        loop {
            match std::str::from_utf8(&self.held) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.held.clear();
                    return;
                }
                Err(error) => {
                    let (valid, rest) = self.held.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    let Some(bad) = error.error_len() else {
                        self.held = rest.to_vec();
                        return;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.held = rest[bad..].to_vec();
                }
            }
        }
    }

    /// Whether everything pushed has become text.
    pub fn is_complete(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tokenizer whose tokens have the given texts.
    pub(crate) fn of_pieces(pieces: &[(u32, &[u8])]) -> Tokenizer {
        let mut tokenizer = Tokenizer::default();
        for &(token, bytes) in pieces {
            let start = tokenizer.bytes.len();
            tokenizer.bytes.extend_from_slice(bytes);
            assert!(tokenizer.insert(token, start).is_ok());
        }
        tokenizer
    }

    #[test]
    fn the_byte_alphabet_is_a_bijection() {
        let mut seen = [false; 256];
        for c in (0..0x400).filter_map(char::from_u32) {
            if let Some(byte) = byte_of(c) {
                assert!(!std::mem::replace(&mut seen[usize::from(byte)], true), "{c:?}");
            }
        }
        assert!(seen.iter().all(|&s| s));
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of('日'), None);
    }

    #[test]
    fn reads_a_file_and_skips_what_it_does_not_need() {
        let json = r#"{"version": "1.0", "added_tokens": [{"id": 4, "content": "<|endoftext|>", "special": true}],
            "normalizer": null, "model": {"type": "BPE", "merges": ["a b", "c d"],
            "vocab": {"\u0120Hello": 1, "\"": 0, "ĠwÃ¶rld": 3, "!": 2, "<|endoftext|>": 4}}}"#;
        let tokenizer = Tokenizer::from_json(json).unwrap();
        assert_eq!(tokenizer.decode([1, 3, 2]), " Hello wörld!");
        assert_eq!(tokenizer.bytes(0), b"\"");
        assert_eq!(tokenizer.bytes(4), b"<|endoftext|>");
        assert_eq!(tokenizer.bytes(99), b"");
        assert_eq!(tokenizer.len(), 5);
    }

    #[test]
    fn refuses_damaged_files() {
        for json in [
            "",
            "[]",
            r#"{"model": {}}"#,
            r#"{"model": {"vocab": {"日": 1}}}"#,
            r#"{"model": {"vocab": {"a": 4294967295}}}"#,
            r#"{"model": {"vocab": {"a": -1}}}"#,
            r#"{"model": {"vocab": {"a": 1}}} x"#,
        ] {
            assert!(Tokenizer::from_json(json).is_err(), "{json}");
        }
    }

    #[test]
    fn every_token_below_the_end_of_text_is_there() {
        let tokenizer = Tokenizer::from_json(r#"{"model": {"vocab": {"a": 0, "b": 1, "": 2, "c": 4}}}"#).unwrap();
        assert!(tokenizer.check_texts(3).is_ok(), "an empty text is one");
        for eot in [4, 5, 6] {
            assert_eq!(tokenizer.check_texts(eot).unwrap_err().to_string(), "tokenizer.json: token 3 has no text");
        }
        assert_eq!(Tokenizer::default().check_texts(1).unwrap_err().to_string(), "tokenizer.json: token 0 has no text");
    }

    #[test]
    fn characters_split_between_tokens_wait_for_their_end() {
        let text = "aß日𝄞z";
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            for cut2 in cut..=bytes.len() {
                let mut stream = Utf8Stream::default();
                let mut out = String::new();
                for piece in [&bytes[..cut], &bytes[cut..cut2], &bytes[cut2..]] {
                    stream.push(piece, &mut out);
                    assert!(text.starts_with(&out));
                }
                assert_eq!(out, text);
                assert!(stream.is_complete());
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_once_each() {
        let mut stream = Utf8Stream::default();
        let mut out = String::new();
        stream.push(b"a\xFF\xE6\x97", &mut out);
        assert_eq!(out, "a\u{FFFD}");
        assert!(!stream.is_complete());
        stream.push(b"b", &mut out);
        assert_eq!(out, "a\u{FFFD}\u{FFFD}b");
    }
}
