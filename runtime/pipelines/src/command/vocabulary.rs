//! Whisper's vocabulary, for sentence files.

use ossicle_sentences::Vocabulary;

use crate::whisper::encode_text::TextEncoder;
use crate::whisper::tokenizer::Tokenizer;

/// The text tokens of a Whisper model.
#[derive(Debug)]
pub struct WhisperVocabulary<'a> {
    tokenizer: &'a Tokenizer,
    encoder: TextEncoder<'a>,
    eot: u32,
}

impl<'a> WhisperVocabulary<'a> {
    /// The tokens below `eot`, the end of text. Takes some ten milliseconds.
    pub fn new(tokenizer: &'a Tokenizer, eot: u32) -> Self {
        Self { tokenizer, encoder: TextEncoder::new(tokenizer, eot), eot }
    }
}

impl Vocabulary for WhisperVocabulary<'_> {
    fn len(&self) -> u32 {
        self.eot
    }

    fn bytes(&self, token: u32) -> &[u8] {
        self.tokenizer.bytes(token)
    }

    fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        tokens.extend(self.encoder.encode(text));
    }
}
