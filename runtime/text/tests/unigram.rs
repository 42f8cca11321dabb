//! SentencePiece's unigram model next to Hugging Face's, and files that are wrong.
//!
//! `unigram/small.json` is the form that T5 has, `small-spaces.json` the one of newer conversions; both have 200 tokens that SentencePiece made of
//! this project's documentation, and a few rules of normalisation. The lines are those of `tests/text/oracle.py` with seed 11.

use std::path::Path;

use ossicle_text::{Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::{Value, json};

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unigram").join(name)).expect("a file of this folder")
}

#[test]
fn tokens_are_those_of_hugging_face() {
    for name in ["small", "small-spaces"] {
        let tokenizer = Tokenizer::from_json(&file(&format!("{name}.json"))).unwrap();
        assert_eq!(tokenizer.size(), 204);
        let lines = file(&format!("{name}.jsonl"));
        let mut count = 0;
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = line["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
            assert_eq!(tokenizer.encode(text, usize::MAX).ids, ids, "{name}: {text:?}");
            count += 1;
        }
        assert_eq!(count, 200);
    }
}

/// A file with one change.
fn with(change: impl Fn(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let mut file = json!({
        "added_tokens": [{"id": 0, "content": "</s>"}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": null,
        "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": false,
            "vocab": [["</s>", 0.0], ["<unk>", 0.0], ["\u{2581}", -3.0], ["\u{2581}a", -2.0], ["b", -2.5], ["bb", -4.0], ["\u{2581}ab", -4.5]]},
    });
    change(&mut file);
    Tokenizer::from_json(&file.to_string())
}

#[test]
fn the_likeliest_tokens_are_taken() {
    let ids = |text: &str| with(|_| {}).unwrap().encode(text, usize::MAX).ids;
    // Of two ways that are as likely the one that is found first: the longer token at the earlier place.
    assert_eq!(ids("ab"), [6]);
    assert_eq!(ids("abb"), [3, 5]);
    assert_eq!(ids("a  b</s>xyz?"), [3, 2, 2, 4, 0, 2, 1]);
    assert_eq!(ids(""), Vec::<u32>::new());
    // Long words take time in the order of their length.
    assert_eq!(ids(&"b".repeat(200_000)).len(), 1 + 200_000 / 2);
}

/// The ids are those of `tokenizers` 0.23.
#[test]
fn added_tokens_may_take_white_space_with_them() {
    let strip = |f: &mut Value| f["normalizer"] = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    let greedy = with(|f| {
        f["added_tokens"][0] = json!({"id": 0, "content": "</s>", "lstrip": true, "rstrip": true});
        strip(f);
    });
    let (greedy, plain) = (greedy.unwrap(), with(|_| {}).unwrap());
    let ids = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, usize::MAX).ids;
    for (text, taken, left) in [
        ("b </s> b", vec![2, 4, 0, 2, 4], vec![2, 4, 2, 0, 2, 4]),
        ("  b</s>  ab", vec![2, 4, 0, 6], vec![2, 2, 4, 0, 2, 6]),
        ("</s></s> b", vec![0, 0, 2, 4], vec![0, 0, 2, 4]),
        (" </s> ", vec![0], vec![2, 0, 2]),
    ] {
        assert_eq!((ids(&greedy, text), ids(&plain, text)), (taken, left), "{text:?}");
    }
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 12] = [
        (|f| f["model"]["byte_fallback"] = json!(true), "model Unigram with byte_fallback is not supported"),
        (|f| f["model"]["unk_id"] = json!(null), "model Unigram without an unknown token among tokens with scores is not supported"),
        (|f| f["model"]["unk_id"] = json!(7), "without an unknown token"),
        (|f| f["model"]["vocab"] = json!({"a": 0, "<unk>": 1}), "without an unknown token"),
        (|f| f["model"]["vocab"] = json!([["a", 0.0], ["a", 1.0]]), "token \"a\" is there twice"),
        (|f| f["model"]["vocab"] = json!([["a", 1]]), "without an unknown token"),
        (|f| f["model"]["vocab"] = json!([["a"]]), "invalid length"),
        (|f| f["normalizer"] = json!({"type": "NFKC"}), "normalizer NFKC is not supported"),
        (|f| f["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAA"}), "damaged precompiled_charsmap"),
        (|f| f["pre_tokenizer"] = json!({"type": "ByteLevel"}), "pre_tokenizer of a unigram model ByteLevel is not supported"),
        (|f| f["pre_tokenizer"]["prepend_scheme"] = json!("never"), "pre_tokenizer of a unigram model Metaspace is not supported"),
        (|f| f["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": []}), "pre_tokenizer [] is not supported"),
    ];
    for (change, words) in changes {
        let line = with(change).unwrap_err().to_string();
        assert!(line.starts_with("tokenizer.json: ") && line.contains(words), "{line}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_tokens_of_the_vocabulary(text in ".{0,60}") {
        let tokenizer = Tokenizer::from_json(&file("small.json")).unwrap();
        let ids = tokenizer.encode(&text, usize::MAX).ids;
        prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.size()) && ids.last() == Some(&1));
    }
}
