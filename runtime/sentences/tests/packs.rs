//! The sentence files that come with the library.

use ossicle_sentences::{Grammar, PACKS};

/// What is sampled from a pack means what it should.
#[test]
fn samples_of_packs_match_back() {
    for pack in PACKS {
        let grammar = Grammar::parse(pack.name, pack.text).unwrap_or_else(|error| panic!("{error}"));
        for sample in grammar.samples(1).take(2000) {
            let matches = grammar.matches(&sample.text);
            let found = matches.iter().find(|found| {
                found.intent == sample.intent
                    && found.slots.len() == sample.slots.len()
                    && found.slots.iter().all(|slot| sample.slots.iter().any(|(name, value)| *name == slot.name && *value == slot.value))
            });
            assert!(found.is_some(), "{}: {sample:?} gives {matches:?}", pack.name);
        }
    }
}
