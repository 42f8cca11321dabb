//! Text to tokens, as a model's `tokenizer.json` says it (Hugging Face's format).
//!
//! What a file asks for is either done exactly as the `tokenizers` library does it, or refused by name. Files are untrusted: sizes are limited,
//! and nothing here panics on any of them.
//!
//! ```
//! use ossicle_text::Tokenizer;
//!
//! let tokenizer = Tokenizer::from_json(r###"{
//!   "added_tokens": [{"id": 1, "content": "[CLS]"}, {"id": 2, "content": "[SEP]"}],
//!   "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true},
//!   "pre_tokenizer": {"type": "BertPreTokenizer"},
//!   "post_processor": {"type": "TemplateProcessing",
//!     "single": [{"SpecialToken": {"id": "[CLS]"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "[SEP]"}}],
//!     "special_tokens": {"[CLS]": {"ids": [1]}, "[SEP]": {"ids": [2]}}},
//!   "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
//!     "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "snor": 3, "##ing": 4, "!": 5}}
//! }"###)?;
//! let encoding = tokenizer.encode("Snoring!", 128);
//! assert_eq!(encoding.ids, [1, 3, 4, 5, 2]);
//! assert_eq!(encoding.left_out, 0);
//! # Ok::<(), ossicle_text::TokenizerError>(())
//! ```

#![forbid(unsafe_code)]

mod added;
mod bert;
mod bpe;
mod charsmap;
mod clean;
mod clip;
mod error;
mod file;
mod letters;
mod pieces;
mod steps;
mod tables;
mod template;
mod unigram;
mod vocabulary;
mod wordpiece;

pub use error::TokenizerError;

use std::borrow::Cow;

use added::{Added, Piece};
use bert::Normalizer;
use clip::Clip;
use pieces::Pieces;
use template::Template;
use unigram::Unigram;
use wordpiece::WordPiece;

/// Most bytes of a `tokenizer.json`.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Most tokens of a vocabulary; ids are below it, too.
pub const MAX_TOKENS: usize = 1 << 20;

/// A text's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids, those that the model wants around a text included.
    pub ids: Vec<u32>,
    /// Tokens at the end of the text that did not fit.
    pub left_out: usize,
}

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Tokens taken out of a text as it comes.
    added: Added,
    /// Tokens taken out once it has been normalised.
    normalized: Added,
    model: Model,
    template: Template,
    cleaning: Cleaning,
}

/// What is done to a text before anything that `tokenizer.json` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleaning {
    /// Nothing.
    #[default]
    None,
    /// What the tokenizers of OpenAI's CLIP and of open_clip do, and with which their models were trained: mistaken encodings are undone, curly quotes,
    /// ligatures and wide letters made plain, control characters removed (ftfy 6.3.1), and HTML's references read. Of a text of more than 64 layers
    /// of such mistakes the rest stays.
    Ftfy,
}

/// A text once it is cleaned.
///
/// ```
/// use ossicle_text::{Cleaning, clean};
///
/// assert_eq!(clean("A “cafÃ©” &amp; a ﬁsh", Cleaning::Ftfy), "a \"café\" & a fish");
/// ```
pub fn clean(text: &str, cleaning: Cleaning) -> Cow<'_, str> {
    match cleaning {
        Cleaning::None => Cow::Borrowed(text),
        Cleaning::Ftfy => Cow::Owned(clean::clean(text)),
    }
}

/// How a text becomes words, and words tokens.
#[derive(Clone, Debug)]
enum Model {
    /// BERT's words and WordPiece.
    Bert(Normalizer, WordPiece),
    /// CLIP's words and byte pairs.
    Clip(Clip),
    /// SentencePiece's byte pairs, as Gemma has them.
    Pieces(Pieces),
    /// SentencePiece's words and unigram model, as T5 has them.
    Unigram(Unigram),
}

impl Model {
    fn normalize<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Bert(normalizer, _) => normalizer.apply(text),
            Self::Clip(_) => Cow::Owned(clip::normalize(text)),
            Self::Pieces(model) => model.normalize(text),
            Self::Unigram(model) => model.normalize(text),
        }
    }

    fn encode(&self, normalized: &str, ids: &mut Vec<u32>) {
        match self {
            Self::Bert(_, model) => bert::words(normalized, |word| model.encode(word, ids)),
            Self::Clip(model) => clip::words(normalized, clip::ENDINGS, |word| model.encode(word, ids)),
            Self::Pieces(model) => model.encode(normalized, ids),
            Self::Unigram(model) => model.encode(normalized, ids),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bert(_, model) => model.size(),
            Self::Clip(model) => model.size(),
            Self::Pieces(model) => model.size(),
            Self::Unigram(model) => model.size(),
        }
    }
}

impl Tokenizer {
    /// Reads the text of `tokenizer.json`. What it says about padding and truncation is left to the caller.
    ///
    /// # Errors
    /// If it is not JSON of that form, is too large, or asks for what is not supported.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(TokenizerError::TooLarge { what: "bytes", have: text.len(), most: MAX_FILE_BYTES });
        }
        let file: file::File = serde_json::from_str(text).map_err(TokenizerError::Json)?;
        file.build()
    }

    /// The same, but texts are cleaned first.
    ///
    /// # Errors
    /// [`TokenizerError::Unsupported`] unless it is CLIP's.
    pub fn cleaned(self, cleaning: Cleaning) -> Result<Self, TokenizerError> {
        match (&self.model, cleaning) {
            (Model::Clip(_), _) | (_, Cleaning::None) => Ok(Self { cleaning, ..self }),
            _ => Err(TokenizerError::Unsupported { what: "cleaning of texts for", found: "a tokenizer other than CLIP's".into() }),
        }
    }

    /// The tokens of a text, at most `most` of them: what does not fit is cut off at the text's end and counted. The tokens that the model wants
    /// around a text always fit, so there may be more of them than `most`.
    pub fn encode(&self, text: &str, most: usize) -> Encoding {
        let mut ids = match (&self.model, self.cleaning) {
            (Model::Clip(model), Cleaning::Ftfy) => self.own_tokens(model, text),
            _ => self.tokens(text),
        };
        let room = most.saturating_sub(self.template.len());
        let left_out = ids.len().saturating_sub(room);
        ids.truncate(room);
        Encoding { ids: self.template.around(&ids), left_out }
    }

    /// As the `tokenizers` library does it.
    fn tokens(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![];
        for piece in self.added.split(text) {
            match piece {
                Piece::Token(id) => ids.push(id),
                Piece::Text(text) => {
                    for piece in self.normalized.split(&self.model.normalize(text)) {
                        match piece {
                            Piece::Token(id) => ids.push(id),
                            Piece::Text(text) => self.model.encode(text, &mut ids),
                        }
                    }
                }
            }
        }
        ids
    }

    /// As CLIP's own tokenizers do it: added tokens are words like others.
    fn own_tokens(&self, model: &Clip, text: &str) -> Vec<u32> {
        // A mark to them, but also the letter iota of another case, so that no part of their expression matches it.
        const YPOGEGRAMMENI: &str = "\u{345}";
        let mut ids = vec![];
        clip::words(&clean::clean(text).replace(YPOGEGRAMMENI, " "), clip::OWN_ENDINGS, |word| match self.added_token(word) {
            Some(id) => ids.push(id),
            None => model.encode(word, &mut ids),
        });
        ids
    }

    /// One more than the largest id.
    pub fn size(&self) -> usize {
        self.model.size().max(self.added.size()).max(self.normalized.size()).max(self.template.size())
    }

    /// The id of an added token by its text, such as `<|endoftext|>`.
    pub fn added_token(&self, text: &str) -> Option<u32> {
        self.added.id(text).or_else(|| self.normalized.id(text))
    }
}
