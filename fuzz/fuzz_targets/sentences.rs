//! Any text as a sentence file: a grammar or an error with a place, and a grammar's own sentences match.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_sentences::Grammar;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Grammar::parse("fuzz.yaml", text) {
        Ok(grammar) => {
            for sample in grammar.samples(1).take(3) {
                let words = sample.text.split_whitespace().count();
                assert!(words > 100 || !grammar.matches(&sample.text).is_empty(), "{sample:?}");
            }
            grammar.matches(text);
        }
        Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
    }
});
