//! `tokenizer.json` as it is written, and a tokenizer from it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::added::Added;
use crate::bert::Normalizer;
use crate::template::Template;
use crate::vocabulary::Vocabulary;
use crate::wordpiece::WordPiece;
use crate::{MAX_TOKENS, Tokenizer, TokenizerError};

/// Most added tokens: each is looked for at each place of a text.
const MAX_ADDED: usize = 4096;

/// Most tokens around a text.
const MAX_AROUND: usize = 16;

#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Part>,
    pre_tokenizer: Option<Part>,
    post_processor: Option<Part>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

/// A step whose form depends on its type.
#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    rest: Value,
}

impl Part {
    fn read<T: for<'de> Deserialize<'de>>(self) -> Result<T, TokenizerError> {
        serde_json::from_value(self.rest).map_err(TokenizerError::Json)
    }
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: Option<usize>,
    vocab: Vocabulary,
}

#[derive(Deserialize)]
struct BertNormalizer {
    clean_text: bool,
    handle_chinese_chars: bool,
    #[serde(default)]
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct TemplateProcessing {
    single: Vec<TemplatePiece>,
    special_tokens: BTreeMap<String, SpecialToken>,
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
}

#[derive(Deserialize)]
enum TemplatePiece {
    SpecialToken { id: String },
    Sequence { id: String },
}

impl File {
    pub(crate) fn build(self) -> Result<Tokenizer, TokenizerError> {
        if self.model.kind != "WordPiece" {
            return Err(unsupported("model", self.model.kind));
        }
        let normalizer = match self.normalizer {
            Some(part) if part.kind == "BertNormalizer" => {
                let BertNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } = part.read()?;
                let strip_accents = strip_accents.unwrap_or(lowercase);
                Normalizer { clean: clean_text, ideographs: handle_chinese_chars, strip_accents, lowercase }
            }
            other => return Err(unsupported("normalizer", kind_of(other))),
        };
        match self.pre_tokenizer {
            Some(part) if part.kind == "BertPreTokenizer" => {}
            other => return Err(unsupported("pre_tokenizer", kind_of(other))),
        }
        let template = match self.post_processor {
            None => Template::default(),
            Some(part) if part.kind == "TemplateProcessing" => part.read::<TemplateProcessing>()?.build()?,
            other => return Err(unsupported("post_processor", kind_of(other))),
        };
        Ok(Tokenizer { added: added(self.added_tokens)?, normalizer, model: self.model.word_piece()?, template })
    }
}

impl Model {
    fn word_piece(self) -> Result<WordPiece, TokenizerError> {
        let unknown = self.unk_token.unwrap_or_else(|| "[UNK]".into());
        let Some(id) = self.vocab.id(&unknown) else {
            return Err(TokenizerError::Missing { what: "unk_token", token: unknown });
        };
        Ok(WordPiece {
            longest: self.vocab.longest(),
            vocabulary: self.vocab,
            unknown: id,
            prefix: self.continuing_subword_prefix.unwrap_or_else(|| "##".into()),
            most_chars: self.max_input_chars_per_word.unwrap_or(100),
        })
    }
}

impl TemplateProcessing {
    fn build(self) -> Result<Template, TokenizerError> {
        let mut template = Template::default();
        let mut text = false;
        for piece in self.single {
            match piece {
                TemplatePiece::Sequence { id } if id == "A" && !text => text = true,
                TemplatePiece::Sequence { id } => return Err(unsupported("post_processor's sequence", id)),
                TemplatePiece::SpecialToken { id } => {
                    let Some(token) = self.special_tokens.get(&id) else {
                        return Err(TokenizerError::Missing { what: "post_processor's token", token: id });
                    };
                    check_ids(&token.ids)?;
                    if text { &mut template.after } else { &mut template.before }.extend(&token.ids);
                }
            }
            if template.len() > MAX_AROUND {
                return Err(TokenizerError::TooLarge { what: "tokens around a text", have: template.len(), most: MAX_AROUND });
            }
        }
        if text { Ok(template) } else { Err(unsupported("post_processor", "without the text".into())) }
    }
}

fn added(tokens: Vec<AddedToken>) -> Result<Added, TokenizerError> {
    if tokens.len() > MAX_ADDED {
        return Err(TokenizerError::TooLarge { what: "added_tokens", have: tokens.len(), most: MAX_ADDED });
    }
    let mut added = Added::default();
    for token in tokens {
        let odd =
            [(token.single_word, "single_word"), (token.lstrip, "lstrip"), (token.rstrip, "rstrip"), (token.normalized, "normalized")];
        if let Some((_, odd)) = odd.iter().find(|(on, _)| *on) {
            return Err(unsupported("added_tokens with", (*odd).to_owned()));
        }
        if token.content.is_empty() {
            return Err(unsupported("added_tokens with", "no content".into()));
        }
        check_ids(&[token.id])?;
        added.tokens.push((token.content, token.id));
    }
    added.tokens.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));
    Ok(added)
}

fn check_ids(ids: &[u32]) -> Result<(), TokenizerError> {
    match ids.iter().find(|&&id| id as usize >= MAX_TOKENS) {
        None => Ok(()),
        Some(&id) => Err(TokenizerError::TooLarge { what: "as an id", have: id as usize, most: MAX_TOKENS - 1 }),
    }
}

fn unsupported(what: &'static str, found: String) -> TokenizerError {
    TokenizerError::Unsupported { what, found }
}

fn kind_of(part: Option<Part>) -> String {
    part.map_or_else(|| "null".into(), |part| part.kind)
}
