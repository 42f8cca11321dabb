//! SentencePiece's byte pair encoding, as Gemma has it: a text is not cut into words, spaces are characters like others, and what has no token is bytes.

use std::borrow::Cow;

use crate::TokenizerError;
use crate::bpe::Merges;
use crate::steps::Step;
use crate::vocabulary::Vocabulary;

/// Byte pair encoding of characters, and what is done to a text before.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    vocabulary: Vocabulary,
    /// Tokens of bytes.
    bytes: Box<[u32; 256]>,
    merges: Merges,
    steps: Vec<Step>,
}

impl Pieces {
    /// From a vocabulary and its merges, in order.
    ///
    /// # Errors
    /// [`TokenizerError::Missing`] names a byte or a merged token that has no id.
    pub(crate) fn new(vocabulary: Vocabulary, merges: &[(String, String)], steps: Vec<Step>) -> Result<Self, TokenizerError> {
        let id = |what, token: String| vocabulary.id(&token).ok_or(TokenizerError::Missing { what, token });
        let mut bytes = Box::new([0; 256]);
        for (byte, place) in bytes.iter_mut().enumerate() {
            *place = id("byte", format!("<0x{byte:02X}>"))?;
        }
        let merges = merges.iter().map(|(a, b)| {
            let merge = |token: &str| id("merge", token.to_owned());
            Ok(((merge(a)?, merge(b)?), merge(&format!("{a}{b}"))?))
        });
        let merges = Merges::new(merges.collect::<Result<Vec<_>, TokenizerError>>()?.into_iter());
        Ok(Self { vocabulary, bytes, merges, steps })
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.vocabulary.size()
    }

    pub(crate) fn normalize<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.steps.iter().fold(Cow::Borrowed(text), |text, step| step.apply(text))
    }

    /// The tokens of a normalised text.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut symbols = Vec::with_capacity(text.len());
        for character in text.chars() {
            let mut bytes = [0; 4];
            let character = &*character.encode_utf8(&mut bytes);
            match self.vocabulary.id(character) {
                Some(id) => symbols.push(id),
                None => symbols.extend(character.bytes().map(|byte| self.bytes[usize::from(byte)])),
            }
        }
        self.merges.apply(&symbols, ids);
    }
}
