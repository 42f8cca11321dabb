//! `generation_config.json`: how a model wants its text to be generated.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::short_windows::ShortWindows;
use crate::command::confidence::Calibration;

/// The parts of `generation_config.json` the pipeline reads; unknown keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Decoder (layer, head) pairs whose cross-attention follows the audio.
    pub alignment_heads: Vec<(usize, usize)>,
    /// Tokens that are never produced.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not produced first.
    pub begin_suppress_tokens: Vec<u32>,
    /// Whether the model knows languages other than English.
    pub is_multilingual: bool,
    /// `<|en|>` and the like with their token.
    pub lang_to_id: BTreeMap<String, u32>,
    /// `transcribe` and `translate` with their token.
    pub task_to_id: BTreeMap<String, u32>,
    /// `<|notimestamps|>`; the next token is the timestamp 0.00.
    pub no_timestamps_token_id: Option<u32>,
    /// `<|startoftranscript|>`
    pub decoder_start_token_id: Option<u32>,
    /// `<|endoftext|>`
    pub eos_token_id: Option<u32>,
    /// `<|startofprev|>`
    pub prev_sot_token_id: Option<u32>,
    /// `<|nospeech|>`
    pub no_speech_token_id: Option<u32>,
    /// The latest first timestamp, in steps of 0.02 s.
    pub max_initial_timestamp_index: Option<u32>,
    /// The short windows the model was taught, if any; Ossicle's own key.
    pub short_windows: Option<ShortWindows>,
    /// How sure commands are, fitted for this model; Ossicle's own key.
    pub command_confidence: Option<Calibration>,
}

impl GenerationConfig {
    /// Reads the text of `generation_config.json`.
    ///
    /// # Errors
    /// If it is not JSON or a value has the wrong type.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hugging_face_names_and_ignores_others() {
        let config = GenerationConfig::from_json(
            r#"{"alignment_heads": [[1, 0], [2, 5]], "suppress_tokens": [1, 2], "begin_suppress_tokens": [220, 50256],
                "is_multilingual": true, "lang_to_id": {"<|en|>": 50259}, "task_to_id": {"transcribe": 50359, "translate": 50358},
                "no_timestamps_token_id": 50363, "decoder_start_token_id": 50258, "eos_token_id": 50257,
                "max_initial_timestamp_index": 50, "transformers_version": "4"}"#,
        )
        .unwrap();
        assert_eq!(config.alignment_heads, [(1, 0), (2, 5)]);
        assert_eq!(config.lang_to_id["<|en|>"], 50259);
        assert_eq!(config.no_speech_token_id, None);
    }

    #[test]
    fn refuses_wrong_types() {
        assert!(GenerationConfig::from_json(r#"{"suppress_tokens": ["a"]}"#).is_err());
        assert!(GenerationConfig::from_json("").is_err());
    }
}
