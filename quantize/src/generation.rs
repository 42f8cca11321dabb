//! `generation_config.json`: the token ids and lists that decoding needs, whatever the source was.
//!
//! Special token ids come from `tokenizer.json`, never from a source's own list of language ids:
//! CTranslate2's is off by one for the English-only models.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::float::WhisperConfig;

/// Vocabulary size from which Whisper is multilingual; the English-only models are one smaller.
const MULTILINGUAL_VOCAB: usize = 51_865;
/// Latest first timestamp, in steps of 20 ms: 1 s.
const MAX_INITIAL_TIMESTAMP_INDEX: u32 = 50;

/// Decoding facts under Hugging Face's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationConfig {
    /// `[layer, head]` pairs of the cross attention that follow the audio.
    pub alignment_heads: Vec<[usize; 2]>,
    /// Tokens masked at the first generated position.
    pub begin_suppress_tokens: Vec<u32>,
    /// The `<|startoftranscript|>` token.
    pub decoder_start_token_id: u32,
    /// The `<|endoftext|>` token.
    pub eos_token_id: u32,
    /// False for the English-only models, whose prompt has no language and no task.
    pub is_multilingual: bool,
    /// Language tokens by their text, such as `<|en|>`.
    pub lang_to_id: BTreeMap<String, u32>,
    /// Latest first timestamp, in steps of 20 ms.
    pub max_initial_timestamp_index: u32,
    /// Decoder positions, prompt included.
    pub max_length: usize,
    /// The `<|nospeech|>` or `<|nocaptions|>` token.
    pub no_speech_token_id: u32,
    /// The `<|notimestamps|>` token; timestamps follow it.
    pub no_timestamps_token_id: u32,
    /// The `<|startofprev|>` token.
    pub prev_sot_token_id: u32,
    /// The short windows the model was taught, as the source has it: the runtime's `margin_seconds` and `step_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_windows: Option<Value>,
    /// Tokens masked at every position.
    pub suppress_tokens: Vec<u32>,
    /// `transcribe` and `translate`.
    pub task_to_id: BTreeMap<String, u32>,
}

/// What a source says beside its tokenizer.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// `[layer, head]` pairs; empty when unknown.
    pub alignment_heads: Vec<[usize; 2]>,
    /// Tokens masked at the first generated position.
    pub begin_suppress_tokens: Vec<u32>,
    /// Tokens masked at every position.
    pub suppress_tokens: Vec<u32>,
    /// Whether the source calls itself multilingual, if it says so.
    pub is_multilingual: Option<bool>,
    /// The short windows the model was taught, if any.
    pub short_windows: Option<Value>,
}

impl GenerationConfig {
    /// Joins a source's lists with the special tokens of its tokenizer. `lists_path` and
    /// `tokenizer_path` are named in errors. Without alignment heads, all heads of the upper half of
    /// the decoder are taken, as openai-whisper does.
    ///
    /// # Errors
    /// A special token is missing, or an id, layer or head is out of range.
    pub fn new(config: &WhisperConfig, lists: Lists, lists_path: &Path, tokenizer: &Value, tokenizer_path: &Path) -> Result<Self, Error> {
        let tokens = added_tokens(tokenizer, tokenizer_path)?;
        let find = |names: &[&str]| {
            let id = names.iter().find_map(|name| tokens.get(*name).copied());
            id.ok_or_else(|| Error::json(tokenizer_path, format!("added_tokens has no {}", names.join(" or "))))
        };
        let sot = find(&["<|startoftranscript|>"])?;
        let translate = find(&["<|translate|>"])?;
        let transcribe = find(&["<|transcribe|>"])?;
        let languages = sot + 1..translate.min(transcribe);
        let lang_to_id = tokens.iter().filter(|(_, id)| languages.contains(id));
        let out = Self {
            alignment_heads: if lists.alignment_heads.is_empty() { upper_half(config) } else { lists.alignment_heads },
            begin_suppress_tokens: lists.begin_suppress_tokens,
            decoder_start_token_id: sot,
            eos_token_id: find(&["<|endoftext|>"])?,
            is_multilingual: lists.is_multilingual.unwrap_or(config.vocab_size >= MULTILINGUAL_VOCAB),
            lang_to_id: lang_to_id.map(|(name, id)| (name.clone(), *id)).collect(),
            max_initial_timestamp_index: MAX_INITIAL_TIMESTAMP_INDEX,
            max_length: config.max_target_positions,
            no_speech_token_id: find(&["<|nospeech|>", "<|nocaptions|>"])?,
            no_timestamps_token_id: find(&["<|notimestamps|>"])?,
            prev_sot_token_id: find(&["<|startofprev|>"])?,
            short_windows: lists.short_windows,
            suppress_tokens: lists.suppress_tokens,
            task_to_id: BTreeMap::from([("transcribe".to_owned(), transcribe), ("translate".to_owned(), translate)]),
        };
        if let Some((name, id)) = tokens.iter().find(|(_, id)| **id as usize >= config.vocab_size) {
            let reason = format!("{name} has id {id}, but the model has {} tokens", config.vocab_size);
            return Err(Error::json(tokenizer_path, reason));
        }
        let masked = out.suppress_tokens.iter().chain(&out.begin_suppress_tokens);
        if let Some(id) = masked.copied().find(|&id| id as usize >= config.vocab_size) {
            let reason = format!("suppressed token {id}, but the model has {} tokens", config.vocab_size);
            return Err(Error::json(lists_path, reason));
        }
        let (layers, heads) = (config.decoder_layers, config.decoder_attention_heads);
        if let Some([layer, head]) = out.alignment_heads.iter().find(|[l, h]| *l >= layers || *h >= heads) {
            let reason = format!("alignment head [{layer}, {head}], but the decoder has {layers} layers of {heads} heads");
            return Err(Error::json(lists_path, reason));
        }
        Ok(out)
    }
}

fn upper_half(config: &WhisperConfig) -> Vec<[usize; 2]> {
    (config.decoder_layers / 2..config.decoder_layers)
        .flat_map(|layer| (0..config.decoder_attention_heads).map(move |head| [layer, head]))
        .collect()
}

fn added_tokens(tokenizer: &Value, path: &Path) -> Result<BTreeMap<String, u32>, Error> {
    let list = tokenizer.get("added_tokens").and_then(Value::as_array);
    let list = list.ok_or_else(|| Error::json(path, "added_tokens is missing or not a list"))?;
    let mut tokens = BTreeMap::new();
    for (i, token) in list.iter().enumerate() {
        let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let content = token.get("content").and_then(Value::as_str);
        let (Some(id), Some(content)) = (id, content) else {
            return Err(Error::json(path, format!("added_tokens[{i}] needs a numeric id and a text content")));
        };
        tokens.insert(content.to_owned(), id);
    }
    Ok(tokens)
}
