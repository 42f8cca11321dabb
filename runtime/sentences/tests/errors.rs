//! What a faulty file is answered with, word by word: file, line, column, what was found, what would be right.

use ossicle_sentences::{Error, Fault, Grammar};

fn error(text: &str) -> Error {
    match Grammar::parse("x.yaml", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    }
}

/// A file with one sentence, in line 5 from column 12.
fn with_sentence(sentence: &str) -> String {
    format!("language: en\nintents:\n  A:\n    data:\n      - sentences:\n          - {sentence}\n")
}

#[test]
fn faults_of_the_file() {
    let head = "language: en\nintents:\n  A:\n    data:\n      - sentences: [x]\n";
    for (text, fault, expected) in [
        ("", Fault::Yaml, "x.yaml:1:1: an empty file: start with language: and intents:"),
        ("- a", Fault::Value, "x.yaml:1:1: a list: keys and values belong here"),
        ("language: en", Fault::MissingKey, "x.yaml:1:1: intents: is missing here: add intents:"),
        ("language: en\nintents: {}", Fault::MissingKey, "x.yaml:1:1: no intent: give at least one under intents:"),
        (
            &format!("{head}list:\n  x: 1\n"),
            Fault::UnknownKey,
            "x.yaml:6:1: unknown key \"list\": one of language, intents, lists, expansion_rules, skip_words",
        ),
        (
            &format!("{head}        requires_context: {{}}\n"),
            Fault::UnknownKey,
            "x.yaml:6:9: unknown key \"requires_context\": one of sentences, slots, response, threshold",
        ),
        (&format!("{head}language: de\n"), Fault::Duplicate, "x.yaml:6:1: \"language\" once more: it is already in line 1"),
        (
            &format!("{head}lists:\n  a b: {{wildcard: true}}\n"),
            Fault::Value,
            "x.yaml:7:3: the name \"a b\": letters, digits, _ and - make a name",
        ),
        (
            &format!("{head}lists:\n  a: {{}}\n"),
            Fault::Value,
            "x.yaml:7:6: an empty list a: one of values:, range: and wildcard: makes a list",
        ),
        (
            &format!("{head}lists:\n  a:\n    range: {{from: 10, to: 1}}\n"),
            Fault::Value,
            "x.yaml:8:27: \"1\": a whole number from 10 (from:) to 999999",
        ),
        (
            &format!("{head}lists:\n  a:\n    range: {{from: 0, to: 999999}}\n"),
            Fault::TooLarge,
            "x.yaml:8:12: a range of 1000000 values: at most 10001; make the range shorter or its step larger",
        ),
        (
            &format!("{head}lists:\n  a:\n    range: {{from: 0, to: 9, type: speed}}\n"),
            Fault::Value,
            "x.yaml:8:35: \"speed\": one of number, percentage, temperature",
        ),
        (
            &format!("{head}lists:\n  a:\n    values:\n      - x [y]\n"),
            Fault::Value,
            "x.yaml:9:9: a template, \"x [y]\": write {in: ..., out: ...}, so that the value has one name",
        ),
        (
            &format!("{head}lists:\n  a:\n    values:\n      - {{in: \"x {{a}}\", out: z}}\n"),
            Fault::Template,
            "x.yaml:9:17: a slot inside a list's value: values hold text, [ ], ( ) and rules without slots",
        ),
        (&format!("{head}        threshold: 2\n"), Fault::Value, "x.yaml:6:20: \"2\": a number from 0 to 1"),
        (
            &format!("{head}        slots: &a {{x: 1}}\n"),
            Fault::Yaml,
            "x.yaml:6:16: an anchor (&name): write the value out where it is needed",
        ),
        (
            &format!("{head}expansion_rules:\n  a: x <b>\n  b: y <a>\n"),
            Fault::Recursion,
            "x.yaml:8:8: <a> inside itself or 16 rules deep: rules may not go round in circles",
        ),
        (
            &format!("{head}lists: {{\n"),
            Fault::Yaml,
            "x.yaml:7:1: not YAML (while parsing a node, did not find expected node content): check indentation, quotes and colons here and above",
        ),
    ] {
        let error = error(text);
        assert_eq!((error.fault, error.to_string().as_str()), (fault, expected), "{text}");
    }
}

/// The column is that of the bracket in the file, through quotes, escapes and folded lines.
#[test]
fn faults_inside_templates() {
    for (sentence, expected) in [
        ("turn [on", "x.yaml:6:18: [ is never closed: close it with ]"),
        ("\"turn [on\"", "x.yaml:6:19: [ is never closed: close it with ]"),
        ("'it''s [on'", "x.yaml:6:20: [ is never closed: close it with ]"),
        ("\"\\u00e9 \\\" [on\"", "x.yaml:6:24: [ is never closed: close it with ]"),
        ("\"turn\n            [on\"", "x.yaml:7:13: [ is never closed: close it with ]"),
        (">\n            turn\n            [on\n", "x.yaml:8:13: [ is never closed: close it with ]"),
        ("turn on]", "x.yaml:6:20: ] closes nothing: open it with [ or take it away"),
        ("turn (on|off]", "x.yaml:6:25: ] where ( is open: close it with )"),
        ("turn on|off", "x.yaml:6:20: | outside brackets: put the alternatives in ( ) or [ ]"),
        ("turn on {light}", "x.yaml:6:21: {light} is not defined: define it under lists: (it holds none)"),
        ("turn on <light>", "x.yaml:6:21: <light> is not defined: define it under expansion_rules: (it holds none)"),
        ("\"[turn on]\"", "x.yaml:6:13: a sentence that can be empty: at least one word must always be said"),
        ("\"...\"", "x.yaml:6:13: a sentence that can be empty: at least one word must always be said"),
    ] {
        assert_eq!(error(&with_sentence(sentence)).to_string(), expected, "{sentence}");
    }
}

#[test]
fn limits_are_errors() {
    let deep = (0..40).map(|_| "[a ").collect::<String>();
    assert_eq!(error(&with_sentence(&format!("'{deep}'"))).fault, Fault::Template);

    let wide = "(a|b|c|d|e|f|g|h)".repeat(6);
    let found = error(&with_sentence(&wide));
    assert_eq!((found.fault, found.line), (Fault::TooLarge, 6), "{found}");

    // Each rule doubles the one before: 2^16 words from ten lines, and rules of nothing that take as long.
    for body in ["w", "[w]"] {
        let mut rules = format!("expansion_rules:\n  r0: \"{body}\"\n");
        for i in 1..15 {
            rules.push_str(&format!("  r{i}: {}\n", format!("<r{}> ", i - 1).repeat(8)));
        }
        let found = error(&format!("{}{rules}", with_sentence("x <r14>")));
        assert_eq!((found.fault, found.line), (Fault::TooLarge, 6), "{found}");
    }

    // Rules that each hold the one before, which is known already when they are read: deep expressions from a file that is not nested.
    for (body, line) in [("a <r#>", 264), ("a<r#>", 9)] {
        let rules: String = (1..20_000).map(|i| format!("  r{i}: {}\n", body.replace('#', &(i - 1).to_string()))).collect();
        let found = error(&format!("{}expansion_rules:\n  r0: b\n{rules}", with_sentence("x")));
        assert!(matches!(found.fault, Fault::TooLarge | Fault::Recursion), "{found}");
        assert_eq!(found.line, line, "{found}");
    }

    // Few ways to say it, each of them long: gigabytes in all.
    let found = error(&with_sentence(&format!("({}|b){}", "c ".repeat(5000), "(a|b)".repeat(11))));
    assert_eq!((found.fault, found.found.as_str(), found.line), (Fault::TooLarge, "too much text in parts that touch", 6), "{found}");

    // Some thousand phrases of each of many lines.
    let skip_words: String = (0..300).map(|i| format!("  - w{i}{}\n", " (a|b)".repeat(12))).collect();
    let found = error(&format!("{}skip_words:\n{skip_words}", with_sentence("x")));
    assert_eq!((found.fault, found.found.as_str(), found.line), (Fault::TooLarge, "too many skipped phrases", 8), "{found}");

    let word = "x".repeat(65);
    for (text, line, column) in [
        (with_sentence(&format!("turn on {word}")), 6, 21),
        (with_sentence(&format!("'{}[{}]'", &word[..40], &word[..40])), 6, 14),
        (format!("{}skip_words: [um, {word}]\n", with_sentence("x")), 7, 18),
        (format!("{}lists: {{a: {{values: [{word}]}}}}\n", with_sentence("x")), 7, 22),
    ] {
        let found = error(&text);
        assert_eq!((found.fault, found.line, found.column), (Fault::TooLarge, line, column), "{found}");
        assert!(found.found.starts_with("a word of "), "{found}");
    }
    assert!(Grammar::parse("x.yaml", &with_sentence(&word[..64])).is_ok());

    let ranges: String = (0..100).map(|i| format!("  r{i}: {{range: {{from: 0, to: 10000}}}}\n")).collect();
    assert_eq!(error(&format!("{}lists:\n{ranges}", with_sentence("x"))).fault, Fault::TooLarge);

    let long = format!("language: en\n# {}", "x".repeat(1 << 20));
    assert_eq!(error(&long).fault, Fault::TooLarge);
    let nested = "[".repeat(1000);
    assert!(matches!(error(&nested).fault, Fault::TooLarge | Fault::Yaml));
}
