//! Tokens with a meaning of their own.

use std::fmt;

use super::config::GenerationConfig;

/// Timestamp tokens of every Whisper model: 0.00 to 30.00 s in steps of 0.02 s.
pub const TIMESTAMPS: u32 = 1501;

/// Seconds between two timestamp tokens.
pub const SECONDS_PER_TIMESTAMP: f64 = 0.02;

/// The special tokens of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specials {
    /// End of text. Text tokens are all smaller.
    pub eot: u32,
    /// Start of transcript.
    pub sot: u32,
    /// Marks the text before the window (initial prompt).
    pub sot_prev: Option<u32>,
    /// Produced at the position of [`sot`](Self::sot) when nobody speaks.
    pub no_speech: Option<u32>,
    /// Asks for text without timestamps.
    pub no_timestamps: u32,
    /// The timestamp 0.00; larger tokens are later.
    pub timestamp_begin: u32,
    /// Asks for the language spoken; absent in English-only models.
    pub transcribe: Option<u32>,
    /// Asks for English; absent in English-only models.
    pub translate: Option<u32>,
    /// Language codes with their token, by token; empty in English-only models.
    pub languages: Vec<(String, u32)>,
    /// Whether the model knows languages other than English.
    pub multilingual: bool,
}

/// A model's special tokens do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecialsError {
    /// `generation_config.json` lacks a key.
    Missing(&'static str),
    /// A token is outside the vocabulary, or the vocabulary too small for the timestamps.
    OutOfRange {
        /// Which one.
        name: &'static str,
        /// The token.
        token: u32,
        /// Tokens in the vocabulary.
        vocab_size: usize,
    },
    /// An alignment head is not the decoder's.
    NoSuchHead {
        /// Layer and head.
        head: (usize, usize),
        /// Layers, and heads of each.
        decoder: (usize, usize),
    },
}

impl fmt::Display for SpecialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "generation_config.json: {key} is missing"),
            Self::OutOfRange { name, token, vocab_size } => {
                write!(f, "generation_config.json: {name} is token {token}, but the vocabulary has {vocab_size}")
            }
            Self::NoSuchHead { head: (layer, head), decoder: (layers, heads) } => {
                write!(f, "generation_config.json: alignment head [{layer}, {head}], but the decoder has {layers} layers of {heads} heads")
            }
        }
    }
}

impl std::error::Error for SpecialsError {}

impl Specials {
    /// Takes the tokens from a model's generation settings. A missing `no_speech` or `prev_sot` is derived from the fixed order of
    /// Whisper's vocabularies (..., startofprev, nospeech, notimestamps, 0.00, ...).
    ///
    /// # Errors
    /// If a needed key is missing or a token lies outside the vocabulary.
    pub fn new(config: &GenerationConfig, vocab_size: usize) -> Result<Self, SpecialsError> {
        let eot = config.eos_token_id.ok_or(SpecialsError::Missing("eos_token_id"))?;
        let sot = config.decoder_start_token_id.ok_or(SpecialsError::Missing("decoder_start_token_id"))?;
        let no_timestamps = config.no_timestamps_token_id.ok_or(SpecialsError::Missing("no_timestamps_token_id"))?;
        let timestamp_begin = no_timestamps.saturating_add(1);
        let mut languages: Vec<(String, u32)> = config
            .lang_to_id
            .iter()
            .map(|(name, &token)| (name.trim_start_matches("<|").trim_end_matches("|>").to_owned(), token))
            .collect();
        languages.sort_by_key(|&(_, token)| token);
        let specials = Self {
            eot,
            sot,
            sot_prev: config.prev_sot_token_id.or(no_timestamps.checked_sub(2)),
            no_speech: config.no_speech_token_id.or(no_timestamps.checked_sub(1)),
            no_timestamps,
            timestamp_begin,
            transcribe: config.task_to_id.get("transcribe").copied(),
            translate: config.task_to_id.get("translate").copied(),
            languages,
            multilingual: config.is_multilingual,
        };
        if specials.multilingual {
            specials.transcribe.ok_or(SpecialsError::Missing("task_to_id.transcribe"))?;
            if specials.languages.is_empty() {
                return Err(SpecialsError::Missing("lang_to_id"));
            }
        }
        let last_timestamp = timestamp_begin.saturating_add(TIMESTAMPS - 1);
        let named = [
            ("eos_token_id", Some(eot)),
            ("decoder_start_token_id", Some(sot)),
            ("prev_sot_token_id", specials.sot_prev),
            ("no_speech_token_id", specials.no_speech),
            ("task_to_id.transcribe", specials.transcribe),
            ("task_to_id.translate", specials.translate),
            ("the last timestamp", Some(last_timestamp)),
        ];
        let languages = specials.languages.iter().map(|&(_, token)| ("lang_to_id", Some(token)));
        for (name, token) in named.into_iter().chain(languages) {
            if let Some(token) = token.filter(|&token| token as usize >= vocab_size) {
                return Err(SpecialsError::OutOfRange { name, token, vocab_size });
            }
        }
        Ok(specials)
    }

    /// Whether `token` is a timestamp.
    pub fn is_timestamp(&self, token: u32) -> bool {
        token >= self.timestamp_begin
    }

    /// The token of a language code.
    pub fn language_token(&self, code: &str) -> Option<u32> {
        self.languages.iter().find(|(name, _)| name == code).map(|&(_, token)| token)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small multilingual vocabulary: text 0..50, eot 50, sot 51, en 52, de 53, translate 54, transcribe 55, startoflm 56,
    /// startofprev 57, nospeech 58, notimestamps 59, timestamps 60..1561.
    pub(crate) fn small() -> GenerationConfig {
        GenerationConfig {
            is_multilingual: true,
            lang_to_id: [("<|en|>".to_owned(), 52), ("<|de|>".to_owned(), 53)].into(),
            task_to_id: [("translate".to_owned(), 54), ("transcribe".to_owned(), 55)].into(),
            suppress_tokens: vec![7, 8],
            begin_suppress_tokens: vec![9, 50],
            no_timestamps_token_id: Some(59),
            decoder_start_token_id: Some(51),
            eos_token_id: Some(50),
            max_initial_timestamp_index: Some(50),
            alignment_heads: vec![(0, 0), (0, 1)],
            ..GenerationConfig::default()
        }
    }

    /// Tokens of [`small`].
    pub(crate) const SMALL_VOCAB: usize = 1561;

    #[test]
    fn derives_what_is_missing() {
        let specials = Specials::new(&small(), SMALL_VOCAB).unwrap();
        assert_eq!((specials.sot_prev, specials.no_speech, specials.timestamp_begin), (Some(57), Some(58), 60));
        assert_eq!(specials.language_token("de"), Some(53));
        assert_eq!(specials.language_token("fr"), None);
        assert!(specials.is_timestamp(60) && !specials.is_timestamp(59));
    }

    #[test]
    fn refuses_tokens_outside_the_vocabulary() {
        let error = Specials::new(&small(), SMALL_VOCAB - 1).unwrap_err();
        assert_eq!(error, SpecialsError::OutOfRange { name: "the last timestamp", token: 1560, vocab_size: 1560 });
        let error = Specials::new(&GenerationConfig { eos_token_id: None, ..small() }, SMALL_VOCAB).unwrap_err();
        assert_eq!(error, SpecialsError::Missing("eos_token_id"));
    }
}
