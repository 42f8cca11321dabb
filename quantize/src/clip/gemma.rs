//! SigLIP 2 (Tschannen et al. 2025) reads texts by Gemma's tokenizer.

use std::path::Path;

use ossicle_text::Tokenizer;
use serde_json::{Value, json};

use crate::Error;
use crate::source::read_json;

/// The token that ends a text.
pub(super) const END: &str = "<eos>";

/// What a text is filled up with.
const PAD: &str = "<pad>";

/// What a folder says of Gemma's tokenizer.
pub(super) struct Gemma {
    pub(super) pad: u32,
    /// Whether texts become small letters, as SigLIP 2 was trained.
    pub(super) lowercase: bool,
}

/// Whether a tokenizer is Gemma's, and what `tokenizer_config.json` says of it, if it is there.
///
/// # Errors
/// Texts are to be filled up in front, which is not how SigLIP 2 was trained.
pub(super) fn ends(folder: &Path, tokenizer: &Tokenizer) -> Result<Option<Gemma>, Error> {
    let (Some(_), Some(pad)) = (tokenizer.added_token(END), tokenizer.added_token(PAD)) else { return Ok(None) };
    let path = folder.join("tokenizer_config.json");
    let said: Value = if path.is_file() { read_json(&path)? } else { json!({}) };
    if said["padding_side"] == "left" {
        return Err(Error::unsupported(&path, "padding_side is \"left\": texts that are filled up at their end are possible"));
    }
    Ok(Some(Gemma { pad, lowercase: said["do_lower_case"] != false }))
}

/// A `tokenizer.json` with small letters before anything else; the same if they are there already.
///
/// # Errors
/// It is not JSON.
pub(super) fn lowercased(path: &Path, text: &str) -> Result<String, Error> {
    let mut file: Value = serde_json::from_str(text).map_err(|e| Error::json(path, e))?;
    let normalizer = file["normalizer"].take();
    let lowercase = json!({"type": "Lowercase"});
    let mut steps = match normalizer {
        Value::Null => vec![],
        Value::Object(mut all) if all.get("type") == Some(&json!("Sequence")) => match all.remove("normalizers") {
            Some(Value::Array(steps)) => steps,
            _ => vec![],
        },
        one => vec![one],
    };
    if steps.first() != Some(&lowercase) {
        steps.insert(0, lowercase);
    }
    file["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
    Ok(file.to_string())
}
