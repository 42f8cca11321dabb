//! Any texts as a house and a folder of Home Assistant's sentences: intents that answer, by text and by tokens, or an error with a place.
//!
//! Files are parted by lines that begin with `== ` and the file's path; what comes before the first is the house.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_sentences::Vocabulary;
use ossicle_sentences::hass::{Corpus, House, Intents, SourceFile, SpeechAutomaton};

/// A token for each byte.
struct Bytes(Vec<u8>);

impl Vocabulary for Bytes {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn bytes(&self, token: u32) -> &[u8] {
        &self.0[token as usize..][..1]
    }

    fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        tokens.extend(text.bytes().map(u32::from));
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split("\n== ");
    let house = match House::parse("home.yaml", parts.next().unwrap_or_default()) {
        Ok(house) => house,
        Err(error) => return assert!(error.line > 0 && error.column > 0, "{error}"),
    };
    let files: Vec<SourceFile> = parts
        .map(|part| part.split_once('\n').unwrap_or((part, "")))
        .map(|(path, text)| SourceFile { path: path.to_owned(), text: text.to_owned() })
        .collect();
    let Ok(corpus) = Corpus::read("fuzz", "en", &files) else { return };
    let Ok(intents) = Intents::new(corpus, &house) else { return };
    for line in text.lines().take(20) {
        let _ = intents.understand(line);
    }
    let automaton = SpeechAutomaton::new(&intents, &Bytes((0..=255).collect()));
    // The first sentence that the automaton writes, its bytes chosen by those of the input.
    let (mut state, mut said) = (automaton.start(), Vec::new());
    for &choice in data.iter().cycle().take(200) {
        if automaton.accepts(state) && choice % 4 == 0 {
            break;
        }
        let mut arcs = Vec::new();
        automaton.arcs(state, |token, to| arcs.push((token, to)));
        let Some(&(token, to)) = arcs.get(usize::from(choice) % arcs.len().max(1)) else { break };
        assert!(automaton.next(state, token) == Some(to));
        said.push(token as u8);
        state = to;
    }
    if let (true, Ok(said)) = (automaton.accepts(state), std::str::from_utf8(&said)) {
        let _ = intents.understand(said);
    }
});
