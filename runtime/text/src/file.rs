//! `tokenizer.json` as it is written, and a tokenizer from it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::added::{Added, AddedText};
use crate::bert::Normalizer;
use crate::clip::{self, Clip};
use crate::pieces::Pieces;
use crate::steps::{SPACE, Step};
use crate::template::Template;
use crate::unigram::Unigram;
use crate::vocabulary::Vocabulary;
use crate::wordpiece::WordPiece;
use crate::{self as tokenizer, Cleaning, MAX_TOKENS, Tokenizer, TokenizerError};

/// Most added tokens: each is looked for at each place of a text.
const MAX_ADDED: usize = 4096;

/// Most tokens around a text.
const MAX_AROUND: usize = 16;

#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: NormalizerPart,
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
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    dropout: Option<f32>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    unk_id: Option<u32>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    merges: Vec<MergedPair>,
    vocab: Vocabulary,
}

/// Two tokens that are merged, as older and newer files write them.
#[derive(Deserialize)]
#[serde(untagged)]
enum MergedPair {
    Spaced(String),
    Pair(String, String),
}

impl MergedPair {
    fn parts(self) -> Result<(String, String), TokenizerError> {
        match self {
            Self::Pair(a, b) => Ok((a, b)),
            Self::Spaced(text) => match text.split_once(' ') {
                Some((a, b)) if !b.contains(' ') => Ok((a.to_owned(), b.to_owned())),
                _ => Err(unsupported("model's merge", text)),
            },
        }
    }
}

#[derive(Deserialize)]
struct BertNormalizer {
    clean_text: bool,
    handle_chinese_chars: bool,
    #[serde(default)]
    strip_accents: Option<bool>,
    lowercase: bool,
}

/// Tokens around a text, with their ids.
#[derive(Deserialize)]
struct RobertaProcessing {
    sep: (String, u32),
    cls: (String, u32),
}

impl RobertaProcessing {
    fn build(self) -> Result<Template, TokenizerError> {
        check_ids(&[self.cls.1, self.sep.1])?;
        Ok(Template { before: vec![self.cls.1], after: vec![self.sep.1] })
    }
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
        let model = match self.model.kind.as_str() {
            "WordPiece" => {
                let normalizer = self.normalizer.bert()?;
                match self.pre_tokenizer {
                    Some(part) if part.kind == "BertPreTokenizer" => {}
                    other => return Err(unsupported("pre_tokenizer", kind_of(other))),
                }
                tokenizer::Model::Bert(normalizer, self.model.word_piece()?)
            }
            "BPE" if self.model.byte_fallback => {
                let steps = unigram_steps(self.normalizer.0)?;
                no_words(self.pre_tokenizer, &steps)?;
                tokenizer::Model::Pieces(self.model.pieces(steps)?)
            }
            "BPE" => {
                clip_steps(self.normalizer.0, self.pre_tokenizer)?;
                tokenizer::Model::Clip(self.model.byte_pairs()?)
            }
            "Unigram" => {
                let steps = unigram_steps(self.normalizer.0)?;
                let splits_whitespace = unigram_words(self.pre_tokenizer)?;
                tokenizer::Model::Unigram(self.model.unigram(steps, splits_whitespace)?)
            }
            other => return Err(unsupported("model", other.to_owned())),
        };
        let template = match self.post_processor {
            None => Template::default(),
            Some(part) if part.kind == "TemplateProcessing" => part.read::<TemplateProcessing>()?.build()?,
            Some(part) if part.kind == "RobertaProcessing" => part.read::<RobertaProcessing>()?.build()?,
            other => return Err(unsupported("post_processor", kind_of(other))),
        };
        let [added, normalized] = added(self.added_tokens, &model)?;
        Ok(Tokenizer { added, normalized, model, template, cleaning: Cleaning::None })
    }
}

/// The normaliser, whatever it is.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct NormalizerPart(Option<Part>);

impl NormalizerPart {
    fn bert(self) -> Result<Normalizer, TokenizerError> {
        match self.0 {
            Some(part) if part.kind == "BertNormalizer" => {
                let BertNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } = part.read()?;
                let strip_accents = strip_accents.unwrap_or(lowercase);
                Ok(Normalizer { clean: clean_text, ideographs: handle_chinese_chars, strip_accents, lowercase })
            }
            other => Err(unsupported("normalizer", kind_of(other))),
        }
    }
}

/// What CLIP does to a text before byte pairs: these steps with these figures, and no others.
fn clip_steps(normalizer: Option<Part>, pre_tokenizer: Option<Part>) -> Result<(), TokenizerError> {
    let normalizers = match normalizer {
        Some(part) if part.kind == "Sequence" => part.rest["normalizers"].clone(),
        other => return Err(unsupported("normalizer of byte pairs", kind_of(other))),
    };
    let wanted = json!([
        {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}
    ]);
    if normalizers != wanted {
        return Err(unsupported("normalizer", normalizers.to_string()));
    }
    let steps = match pre_tokenizer {
        Some(part) if part.kind == "Sequence" => part.rest["pretokenizers"].clone(),
        other => return Err(unsupported("pre_tokenizer of byte pairs", kind_of(other))),
    };
    let split = |words: &str| json!({"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true});
    let words = steps[0] == split(clip::WORDS) || steps[0] == split(clip::PLAIN_WORDS);
    let bytes = steps[1]["type"] == "ByteLevel" && steps[1]["add_prefix_space"] == false;
    match words && bytes && steps.as_array().is_some_and(|steps| steps.len() == 2) {
        true => Ok(()),
        false => Err(unsupported("pre_tokenizer", steps.to_string())),
    }
}

/// What is done to a text before a model of SentencePiece's.
fn unigram_steps(part: Option<Part>) -> Result<Vec<Step>, TokenizerError> {
    let steps = match part {
        None => vec![],
        Some(part) if part.kind == "Sequence" => part.rest["normalizers"].as_array().cloned().unwrap_or_default(),
        Some(part) => {
            let mut step = part.rest;
            step["type"] = json!(part.kind);
            vec![step]
        }
    };
    Step::all(steps).map_err(|problem| unsupported("normalizer", problem))
}

/// Refuses words: a text may be split at spaces only where there are none left.
fn no_words(part: Option<Part>, steps: &[Step]) -> Result<(), TokenizerError> {
    let marked = matches!(steps.last(), Some(Step::MarkSpaces));
    let at_spaces =
        |rest: &Value| rest["pattern"] == json!({"String": " "}) && rest["behavior"] == "MergedWithPrevious" && rest["invert"] == false;
    match part {
        None if marked => Ok(()),
        Some(part) if marked && part.kind == "Split" && at_spaces(&part.rest) => Ok(()),
        _ if !marked => Err(unsupported("normalizer of byte pairs with byte_fallback", "that leaves spaces as they are".into())),
        other => Err(unsupported("pre_tokenizer of byte pairs with byte_fallback", kind_of(other))),
    }
}

/// How words are told apart: at any white space, or at spaces alone.
fn unigram_words(part: Option<Part>) -> Result<bool, TokenizerError> {
    let metaspace = |step: &Value| {
        let always = match (&step["prepend_scheme"], &step["add_prefix_space"]) {
            (Value::Null, prefix) => *prefix == json!(true),
            (scheme, _) => *scheme == json!("always"),
        };
        let split = step["split"].is_null() || step["split"] == json!(true);
        always && split && step["replacement"].as_str() == Some(SPACE.encode_utf8(&mut [0; 4]))
    };
    match part {
        Some(part) if part.kind == "Metaspace" && metaspace(&part.rest) => Ok(false),
        Some(part) if part.kind == "Sequence" => match part.rest["pretokenizers"].as_array().map(Vec::as_slice) {
            Some([first, second]) if first["type"] == "WhitespaceSplit" && second["type"] == "Metaspace" && metaspace(second) => Ok(true),
            _ => Err(unsupported("pre_tokenizer", part.rest["pretokenizers"].to_string())),
        },
        other => Err(unsupported("pre_tokenizer of a unigram model", kind_of(other))),
    }
}

impl Model {
    fn unigram(self, steps: Vec<Step>, splits_whitespace: bool) -> Result<Unigram, TokenizerError> {
        if self.byte_fallback {
            return Err(unsupported("model Unigram with", "byte_fallback".into()));
        }
        let unknown = self.unk_id.filter(|&id| (id as usize) < self.vocab.size());
        let Some(unknown) = unknown.filter(|_| self.vocab.is_scored()) else {
            return Err(unsupported("model Unigram", "without an unknown token among tokens with scores".into()));
        };
        Ok(Unigram::new(self.vocab, unknown, steps, splits_whitespace))
    }

    /// Byte pairs of characters, and of the bytes of those that have no token.
    fn pieces(self, steps: Vec<Step>) -> Result<Pieces, TokenizerError> {
        let odd = [
            (self.dropout.is_some_and(|share| share != 0.0), "dropout"),
            (self.continuing_subword_prefix.is_some_and(|prefix| !prefix.is_empty()), "continuing_subword_prefix"),
            (self.end_of_word_suffix.is_some_and(|suffix| !suffix.is_empty()), "end_of_word_suffix"),
            (self.ignore_merges, "ignore_merges"),
        ];
        if let Some((_, odd)) = odd.iter().find(|(on, _)| *on) {
            return Err(unsupported("model BPE with byte_fallback and", (*odd).to_owned()));
        }
        Pieces::new(self.vocab, &merged(self.merges)?, steps)
    }

    fn byte_pairs(self) -> Result<Clip, TokenizerError> {
        let odd = [
            (self.dropout.is_some_and(|share| share != 0.0), "dropout"),
            (self.continuing_subword_prefix.is_some_and(|prefix| !prefix.is_empty()), "continuing_subword_prefix"),
            (self.byte_fallback, "byte_fallback"),
            (self.ignore_merges, "ignore_merges"),
        ];
        if let Some((_, odd)) = odd.iter().find(|(on, _)| *on) {
            return Err(unsupported("model BPE with", (*odd).to_owned()));
        }
        let Some(suffix) = self.end_of_word_suffix.filter(|suffix| !suffix.is_empty()) else {
            return Err(unsupported("model BPE", "without end_of_word_suffix".into()));
        };
        Clip::new(&self.vocab, &suffix, &merged(self.merges)?)
    }

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

fn merged(merges: Vec<MergedPair>) -> Result<Vec<(String, String)>, TokenizerError> {
    if merges.len() > MAX_TOKENS {
        return Err(TokenizerError::TooLarge { what: "merges", have: merges.len(), most: MAX_TOKENS });
    }
    merges.into_iter().map(MergedPair::parts).collect()
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

/// Tokens that are looked for in a text as it comes, and those that are looked for once it has been normalised.
fn added(tokens: Vec<AddedToken>, model: &tokenizer::Model) -> Result<[Added; 2], TokenizerError> {
    if tokens.len() > MAX_ADDED {
        return Err(TokenizerError::TooLarge { what: "added_tokens", have: tokens.len(), most: MAX_ADDED });
    }
    let mut all = [Added::default(), Added::default()];
    for token in tokens {
        if token.single_word {
            return Err(unsupported("added_tokens with", "single_word".into()));
        }
        if token.normalized && model.normalize(&token.content) != token.content {
            return Err(unsupported("added_tokens with normalized", token.content));
        }
        if token.content.is_empty() {
            return Err(unsupported("added_tokens with", "no content".into()));
        }
        check_ids(&[token.id])?;
        let taken = AddedText { content: token.content, id: token.id, front: token.lstrip, behind: token.rstrip };
        all[usize::from(token.normalized)].tokens.push(taken);
    }
    all.iter_mut().for_each(|added| added.tokens.sort_by_key(|token| std::cmp::Reverse(token.content.len())));
    Ok(all)
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
