//! SigLIP's `spiece.model`, a SentencePiece model, as the `tokenizer.json` that does the same.
//!
//! The file is a protocol buffer (`sentencepiece_model.proto`), of which pieces, their scores and kinds, and the map of characters are needed.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Error;

/// Most bytes of a file.
const MOST: u64 = 64 << 20;

/// What a model is trained with unless it says otherwise: unigrams.
const UNIGRAM: u64 = 1;

/// Kinds of pieces.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const UNUSED: u64 = 5;

/// Python's `string.punctuation`, which is taken out of texts.
const PUNCTUATION: &str = r##"[\!\"\#\$\%\&\'\(\)\*\+\,\-\.\/\:\;\<\=\>\?\@\[\\\]\^\_\`\{\|\}\~]"##;

/// A field's value.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
}

/// Reads a model, and gives the text of a `tokenizer.json`: small letters, no punctuation, single spaces, the map, the pieces, and the end behind a
/// text. `end` is the piece that ends one.
///
/// # Errors
/// It cannot be read, is not such a file, or asks for what is not supported.
pub(super) fn tokenizer_json(path: &Path, end: &str) -> Result<String, Error> {
    let bytes = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if bytes > MOST {
        return Err(Error::unsupported(path, format!("{bytes} bytes, {MOST} at most")));
    }
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    convert(&bytes, end).map(|value| value.to_string()).map_err(|problem| Error::unsupported(path, problem))
}

fn convert(bytes: &[u8], end: &str) -> Result<Value, String> {
    let mut pieces: Vec<(String, f32)> = vec![];
    let (mut unknown, mut map) = (None, String::new());
    fields(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(piece)) => {
                let (text, score, kind) = read_piece(piece)?;
                match kind {
                    NORMAL | CONTROL | UNUSED => {}
                    UNKNOWN if unknown.is_none() => unknown = Some(pieces.len()),
                    _ => return Err(format!("piece {text:?} is of kind {kind}, which is not done")),
                }
                pieces.push((text, score));
            }
            (2, Field::Bytes(trainer)) => fields(trainer, |number, field| match (number, field) {
                (3, Field::Number(kind)) if kind != UNIGRAM => Err("is no unigram model".into()),
                _ => Ok(()),
            })?,
            (3, Field::Bytes(normalizer)) => fields(normalizer, |number, field| {
                match (number, field) {
                    (2, Field::Bytes(characters)) => map = base64(characters),
                    (4 | 5, Field::Number(0)) => return Err("keeps spaces as they are, which is not done".into()),
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    let unknown = unknown.ok_or("has no unknown piece")?;
    let id = pieces.iter().position(|(piece, _)| piece == end).ok_or_else(|| format!("has no piece {end:?}"))?;
    let vocabulary: Vec<Value> = pieces.iter().map(|(piece, score)| json!([piece, score])).collect();
    let replace = |regex: &str, content: &str| json!({"type": "Replace", "pattern": {"Regex": regex}, "content": content});
    let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    let mut steps = vec![json!({"type": "Lowercase"}), replace(PUNCTUATION, ""), replace(r"\s+", " "), strip.clone()];
    if !map.is_empty() {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": map}));
    }
    // The map makes spaces, too, which SentencePiece takes away at both ends.
    steps.extend([replace(" {2,}", " "), strip]);
    let added = |id: usize| json!({"id": id, "content": pieces[id].0, "single_word": false, "lstrip": true, "rstrip": true, "normalized": false, "special": true});
    Ok(json!({
        "version": "1.0",
        "added_tokens": [added(id), added(unknown)],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
            "special_tokens": {end: {"id": end, "ids": [id], "tokens": [end]}}},
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": false},
    }))
}

/// A piece's text, score and kind.
fn read_piece(bytes: &[u8]) -> Result<(String, f32, u64), String> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, NORMAL);
    fields(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => text = String::from_utf8(bytes.to_vec()).map_err(|_| "has a piece that is no text")?,
            (2, Field::Float(value)) if value.is_finite() => score = value,
            (2, _) => return Err("has a score that is no finite number".into()),
            (3, Field::Number(value)) => kind = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok((text, score, kind))
}

/// Calls `each` with every field of a message: <https://protobuf.dev/programming-guides/encoding/>.
fn fields(mut bytes: &[u8], mut each: impl FnMut(u64, Field<'_>) -> Result<(), String>) -> Result<(), String> {
    const BROKEN: &str = "is no SentencePiece model, or cut off";
    while !bytes.is_empty() {
        let tag = number(&mut bytes).ok_or(BROKEN)?;
        let field = match tag & 7 {
            0 => Field::Number(number(&mut bytes).ok_or(BROKEN)?),
            1 => {
                bytes = bytes.get(8..).ok_or(BROKEN)?;
                continue;
            }
            2 => {
                let length = usize::try_from(number(&mut bytes).ok_or(BROKEN)?).map_err(|_| BROKEN)?;
                let (value, rest) = bytes.split_at_checked(length).ok_or(BROKEN)?;
                bytes = rest;
                Field::Bytes(value)
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk().ok_or(BROKEN)?;
                bytes = rest;
                Field::Float(f32::from_le_bytes(*value))
            }
            _ => return Err(BROKEN.into()),
        };
        each(tag >> 3, field)?;
    }
    Ok(())
}

/// A number of 7 bits a byte.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << (7 * at);
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let value = three.iter().chain([&0, &0]).take(3).fold(0u32, |value, &byte| (value << 8) | u32::from(byte));
        for digit in 0..4 {
            out.push(if digit <= three.len() { char::from(DIGITS[(value >> (18 - 6 * digit)) as usize & 63]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ossicle_text::Tokenizer;

    use super::*;

    fn message(number: u8, value: &[u8]) -> Vec<u8> {
        [&[(number << 3) | 2, value.len() as u8], value].concat()
    }

    fn model() -> Vec<u8> {
        let pieces =
            [("<pad>", 0.0f32, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("\u{2581}a", -1.0, NORMAL), ("b", -2.0, NORMAL)];
        let pieces = pieces.iter().flat_map(|(text, score, kind)| {
            let kind = if *kind == NORMAL { vec![] } else { vec![24, *kind as u8] };
            message(1, &[&message(1, text.as_bytes())[..], &[21], &score.to_le_bytes(), &kind].concat())
        });
        pieces.chain(message(2, &[24, 1])).chain(message(3, &[32, 1])).collect()
    }

    #[test]
    fn a_model_becomes_a_tokenizer() {
        let tokenizer = Tokenizer::from_json(&convert(&model(), "</s>").unwrap().to_string()).unwrap();
        assert_eq!(tokenizer.encode(" A,b!\tAc ", 64).ids, [3, 4, 3, 2, 1]);
        assert_eq!(tokenizer.added_token("</s>"), Some(1));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let refused = |bytes: &[u8]| convert(bytes, "</s>").unwrap_err();
        let model = model();
        assert!(refused(&model[..model.len() - 1]).contains("cut off"));
        for (more, wanted) in [
            (message(2, &[24, 2]), "no unigram model"),
            (message(3, &[32, 0]), "keeps spaces"),
            (message(1, &[&message(1, b"x")[..], &[24, 6]].concat()), "kind 6"),
            (message(1, &[&[21u8][..], &f32::NAN.to_le_bytes()].concat()), "finite"),
            (message(1, &message(1, &[0xff])), "no text"),
        ] {
            let line = refused(&[&model[..], &more].concat());
            assert!(line.contains(wanted), "{line}");
        }
        assert!(refused(&[]).contains("no unknown piece"));
        assert!(convert(&model, "<end>").unwrap_err().contains("<end>"));
    }

    #[test]
    fn base64_is_that_of_its_specification() {
        assert_eq!(["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
