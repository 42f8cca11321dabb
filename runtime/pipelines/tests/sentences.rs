//! Sentence packs on the vocabulary of the bundled model.

use std::path::Path;
use std::time::Instant;

use ossicle::command::vocabulary::WhisperVocabulary;
use ossicle::whisper::tokenizer::Tokenizer;
use ossicle_sentences::{Grammar, PACKS, State, TokenAutomaton, Vocabulary};

/// End of text of tiny.en; text tokens lie below.
const EOT: u32 = 50256;

fn tokenizer() -> Tokenizer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/whisper-tiny.en/tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Tokenizer::from_json(&text).unwrap()
}

fn run(automaton: &TokenAutomaton, tokens: &[u32]) -> Option<State> {
    tokens.iter().try_fold(automaton.start(), |state, &token| automaton.next(state, token))
}

/// What is sampled from a pack is accepted by its automaton, as said and as Whisper would write it, and means what it should.
#[test]
fn packs_on_the_bundled_vocabulary() {
    let tokenizer = tokenizer();
    let vocabulary = WhisperVocabulary::new(&tokenizer, EOT);
    for pack in PACKS {
        let began = Instant::now();
        let grammar = Grammar::parse(pack.name, pack.text).unwrap_or_else(|error| panic!("{error}"));
        let parsed = began.elapsed();
        let automaton = TokenAutomaton::compile(&grammar, &vocabulary).unwrap();
        println!(
            "{}: {} sentences; parsed in {parsed:.2?}, compiled in {:.2?}: {} states, {} arcs, {} bytes",
            pack.name,
            grammar.count(),
            began.elapsed() - parsed,
            automaton.len(),
            automaton.arc_count(),
            automaton.bytes()
        );
        for sample in grammar.samples(1).take(2000) {
            let mut written: Vec<char> = sample.text.chars().collect();
            written[0] = written[0].to_ascii_uppercase();
            let written = format!(" {}.", written.into_iter().collect::<String>());
            for text in [format!(" {}", sample.text), written] {
                let mut tokens = Vec::new();
                vocabulary.encode(&text, &mut tokens);
                let end = run(&automaton, &tokens);
                assert!(end.is_some_and(|state| automaton.accepts(state)), "{}: {text:?} is not accepted", pack.name);
            }
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
