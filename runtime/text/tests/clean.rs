//! What texts become before CLIP's tokens are made, next to PyPI's ftfy.

use std::path::Path;
use std::process::Command;

use ossicle_text::{Cleaning, Tokenizer, TokenizerError, clean};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Each line's text becomes what the line says; how many there were.
fn compare(lines: &str) -> usize {
    let mut count = 0;
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap();
        assert_eq!(clean(text, Cleaning::Ftfy), line["clean"].as_str().unwrap(), "{text:?}");
        count += 1;
    }
    count
}

/// Lines of seed 11.
#[test]
fn texts_become_what_ftfy_made_of_them() {
    assert_eq!(compare(include_str!("clean.jsonl")), 1000);
}

/// Ten thousand more of ftfy itself, if the Python of `OSSICLE_PYTHON` has it.
#[test]
fn texts_become_what_ftfy_makes_of_them() {
    let Some(python) = std::env::var_os("OSSICLE_PYTHON") else {
        eprintln!("SKIPPED: OSSICLE_PYTHON names no Python with ftfy 6.3.1, so it is not asked");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/text/clean.py");
    let out = Command::new(python).arg(script).args(["lines", "10000", "12"]).output().expect("the Python that OSSICLE_PYTHON names");
    if !out.status.success() {
        eprintln!("SKIPPED: {}", String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default());
        return;
    }
    assert_eq!(compare(&String::from_utf8(out.stdout).unwrap()), 10_000);
}

/// The tokenizer of a CLIP whose words are single bytes.
fn clip() -> Tokenizer {
    let bytes: Vec<char> = (0u32..256)
        .map(|byte| {
            let seen = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let hidden = (0..byte).filter(|b| !matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)).count() as u32;
            char::from_u32(if seen { byte } else { 0x100 + hidden }).unwrap()
        })
        .collect();
    let inner = bytes.iter().enumerate().map(|(id, byte)| (byte.to_string(), json!(id)));
    let last = bytes.iter().enumerate().map(|(id, byte)| (format!("{byte}</w>"), json!(256 + id)));
    let around = [("<|startoftext|>".to_owned(), json!(512)), ("<|endoftext|>".to_owned(), json!(513))];
    let vocabulary: serde_json::Map<String, Value> = inner.chain(last).chain(around).collect();
    let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let file = json!({
        "added_tokens": [{"id": 512, "content": "<|startoftext|>", "normalized": false}, {"id": 513, "content": "<|endoftext|>", "normalized": false}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false}
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 513], "cls": ["<|startoftext|>", 512]},
        "model": {"type": "BPE", "end_of_word_suffix": "</w>", "merges": [], "vocab": vocabulary},
    });
    Tokenizer::from_json(&file.to_string()).unwrap()
}

#[test]
fn tokens_are_those_of_the_clean_text() {
    let (plain, cleaned) = (clip(), clip().cleaned(Cleaning::Ftfy).unwrap());
    let most = usize::MAX;
    assert_eq!(cleaned.encode("A “cafÃ©”", most), plain.encode("a \"café\"", most));
    assert_ne!(plain.encode("A “cafÃ©”", most), plain.encode("a \"café\"", most));
    // The small sigma at the end of a word, and the long s of an ending, which Hugging Face does not know.
    assert_eq!(cleaned.encode("ΣΑΣ", most).ids.len(), plain.encode("ΣΑΣ", most).ids.len());
    assert_ne!(cleaned.encode("ΣΑΣ", most), plain.encode("ΣΑΣ", most));
    let of = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, most).ids;
    assert_eq!(of(&cleaned, "'\u{17f}t").len(), 2 + 3 + 1);
    assert_eq!(of(&cleaned, "a\u{345}b"), of(&cleaned, "a b"));
    // Tokens among words, unless other marks stand before them.
    assert_eq!(of(&cleaned, "<|ENDOFTEXT|>"), [512, 513, 513]);
    assert_eq!(of(&cleaned, "&lt;|endoftext|&gt;"), [512, 513, 513]);
    assert_eq!(of(&cleaned, "!<|endoftext|>").len(), 2 + 3 + 9 + 2);
    // What does not fit is counted.
    let cut = cleaned.encode("ab&amp;", 4);
    assert_eq!((cut.ids.len(), cut.left_out), (4, 1));
}

#[test]
fn only_clip_s_texts_are_cleaned() {
    let file = json!({
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0]]},
    });
    let unigram = || Tokenizer::from_json(&file.to_string()).unwrap();
    assert!(matches!(unigram().cleaned(Cleaning::Ftfy), Err(TokenizerError::Unsupported { .. })));
    assert!(unigram().cleaned(Cleaning::None).is_ok());
    assert_eq!(clean("“", Cleaning::None), "“");
}

proptest! {
    #[test]
    fn any_text_becomes_one_that_stays(text in any::<String>()) {
        let once = clean(&text, Cleaning::Ftfy).into_owned();
        prop_assert!(!once.contains("  ") && once.trim() == once);
        clip().cleaned(Cleaning::Ftfy).unwrap().encode(&text, 77);
    }
}
