//! What the token automaton must know of a model's vocabulary.

/// A vocabulary of text tokens, numbered from 0.
pub trait Vocabulary {
    /// Text tokens: those below this number. Tokens for control and time lie above.
    fn len(&self) -> u32;

    /// Whether there is no text token.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a text token.
    fn bytes(&self, token: u32) -> &[u8];

    /// The tokens that the model's tokenizer makes of `text`, appended to `tokens`. Their bytes together must be `text`; where the
    /// vocabulary cannot write it, they are not, and that spelling is left out.
    fn encode(&self, text: &str, tokens: &mut Vec<u32>);
}
