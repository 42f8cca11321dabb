//! SentencePiece's byte pairs next to Hugging Face's, and files that are wrong.
//!
//! `pieces/small.json` has the form of Gemma's and SigLIP 2's, with 701 tokens (`tests/text/pieces.py`); its lines are those of
//! `tests/text/oracle.py` with seed 11.

use ossicle_text::{Tokenizer, TokenizerError};
use serde_json::{Value, json};

const SMALL: &str = include_str!("pieces/small.json");

#[test]
fn tokens_are_those_of_hugging_face() {
    let tokenizer = Tokenizer::from_json(SMALL).unwrap();
    assert_eq!(tokenizer.size(), 701);
    let mut count = 0;
    for line in include_str!("pieces/small.jsonl").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, usize::MAX).ids, ids, "{text:?}");
        count += 1;
    }
    assert_eq!(count, 300);
}

fn with(change: impl Fn(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let mut file: Value = serde_json::from_str(SMALL).unwrap();
    change(&mut file);
    Tokenizer::from_json(&file.to_string())
}

#[test]
fn small_letters_may_come_first() {
    let lowercase = json!({"type": "Sequence", "normalizers": [
        {"type": "Lowercase"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}
    ]});
    let small = with(|file| file["normalizer"] = lowercase.clone()).unwrap();
    let plain = with(|_| {}).unwrap();
    assert_eq!(small.encode("A Tokenizer.json", 99), plain.encode("a tokenizer.json", 99));
    assert_ne!(plain.encode("A Tokenizer.json", 99), plain.encode("a tokenizer.json", 99));
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Value)| match with(change) {
        Ok(_) => panic!("taken"),
        Err(error) => error.to_string(),
    };
    let byte = refused(&|file| drop(file["model"]["vocab"].as_object_mut().unwrap().remove("<0x7F>")));
    assert!(byte.contains("<0x7F>"), "{byte}");
    let spaces = refused(&|file| file["normalizer"] = Value::Null);
    assert!(spaces.contains("spaces"), "{spaces}");
    let words = refused(&|file| file["pre_tokenizer"] = json!({"type": "Whitespace"}));
    assert!(words.contains("Whitespace"), "{words}");
    let dropout = refused(&|file| file["model"]["dropout"] = json!(0.1));
    assert!(dropout.contains("dropout"), "{dropout}");
    let merge = refused(&|file| file["model"]["merges"].as_array_mut().unwrap().push(json!(["<0x00>", "<0x01>"])));
    assert!(merge.contains("<0x00><0x01>"), "{merge}");
}
