//! MiniLM's tokenizer next to Hugging Face's, and files that are wrong.

use std::path::Path;

use ossicle_text::{MAX_TOKENS, Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::{Value, json};

fn file() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/minilm/tokenizer.json");
    std::fs::read_to_string(path).expect("the bundled model")
}

#[test]
fn tokens_are_those_of_hugging_face() {
    let tokenizer = Tokenizer::from_json(&file()).unwrap();
    assert_eq!(tokenizer.size(), 30_522);
    let lines = include_str!("oracle.jsonl").lines();
    let mut count = 0;
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, usize::MAX).ids, ids, "{text:?}");
        count += 1;
    }
    assert_eq!(count, 400);
}

#[test]
fn what_does_not_fit_is_counted() {
    let tokenizer = Tokenizer::from_json(&file()).unwrap();
    let whole = tokenizer.encode("a dog barks in the garden", 128);
    assert_eq!((whole.ids.len(), whole.left_out), (9, 0));
    let cut = tokenizer.encode("a dog barks in the garden", 5);
    assert_eq!((cut.ids.len(), cut.left_out), (5, 4));
    assert_eq!((cut.ids[..4].to_vec(), cut.ids[4]), (whole.ids[..4].to_vec(), whole.ids[8]));
    assert_eq!(tokenizer.encode("a dog", 0).ids, [101, 102]);
}

/// A file with one change.
fn with(change: impl Fn(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let mut file = json!({
        "added_tokens": [{"id": 1, "content": "[SEP]"}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "[SEP]": 1, "a": 2}},
    });
    change(&mut file);
    Tokenizer::from_json(&file.to_string())
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    assert_eq!(with(|_| {}).unwrap().encode("A[SEP]b", 9).ids, [2, 1, 0]);
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 12] = [
        (|f| f["model"]["type"] = json!("WordLevel"), "tokenizer.json: model WordLevel is not supported"),
        (|f| f["model"]["type"] = json!("BPE"), "tokenizer.json: normalizer of byte pairs BertNormalizer is not supported"),
        (|f| f["normalizer"] = json!({"type": "NFC"}), "tokenizer.json: normalizer NFC is not supported"),
        (|f| f["normalizer"] = Value::Null, "tokenizer.json: normalizer null is not supported"),
        (|f| f["pre_tokenizer"]["type"] = json!("Whitespace"), "tokenizer.json: pre_tokenizer Whitespace is not supported"),
        (|f| f["post_processor"] = json!({"type": "ByteLevel"}), "tokenizer.json: post_processor ByteLevel is not supported"),
        (|f| f["added_tokens"][0]["single_word"] = json!(true), "tokenizer.json: added_tokens with single_word is not supported"),
        (|f| f["added_tokens"][0]["content"] = json!(""), "tokenizer.json: added_tokens with no content is not supported"),
        (|f| f["added_tokens"][0]["id"] = json!(MAX_TOKENS), "tokenizer.json: 1048576 as an id, at most 1048575 are read"),
        (|f| f["model"]["unk_token"] = json!("?"), "tokenizer.json: unk_token \"?\" is not in the vocabulary"),
        (|f| f["model"]["vocab"]["x"] = json!(1u64 << 31), "ids below 1048576 are read"),
        (
            |f| {
                f["post_processor"] = json!({"type": "TemplateProcessing", "special_tokens": {},
                    "single": [{"SpecialToken": {"id": "[X]"}}, {"Sequence": {"id": "A"}}]});
            },
            "tokenizer.json: post_processor's token \"[X]\" is not in the vocabulary",
        ),
    ];
    for (change, line) in changes {
        let error = with(change).unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
    let twice = r#"{"normalizer": null, "model": {"type": "WordPiece", "vocab": {"a": 1, "a": 2}}}"#;
    assert!(Tokenizer::from_json(twice).unwrap_err().to_string().contains("token \"a\" is there twice"));
    assert!(Tokenizer::from_json("{").is_err() && Tokenizer::from_json("[]").is_err());
}

proptest! {
    /// No text panics, and each has tokens of the vocabulary.
    #[test]
    fn any_text_has_tokens_of_the_vocabulary(text in "\\PC*|[\u{0}-\u{3ff}]*") {
        let tokenizer = with(|_| {}).unwrap();
        prop_assert!(tokenizer.encode(&text, 64).ids.iter().all(|&id| (id as usize) < tokenizer.size()));
    }

    /// No damage to a file panics.
    #[test]
    fn any_damage_is_an_error_or_a_tokenizer(at in 0usize..400, byte in 0u8..128) {
        let mut bytes = json!({"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1}}}).to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let outcome = String::from_utf8(bytes).map(|text| Tokenizer::from_json(&text).map(|t| t.encode("a b", 9).ids.len()));
        prop_assert!(!matches!(outcome, Ok(Ok(0))));
    }
}
