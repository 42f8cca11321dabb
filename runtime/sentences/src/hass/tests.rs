//! Corpora of a few sentences, in text and in tokens.

use super::*;
use crate::vocabulary::Vocabulary;

/// A file of the older form for a house with a lamp, a lock and two rooms.
fn intents(language: &str, file: &str) -> Intents {
    let house = "areas: [Kitchen, Entrée]\nfloors: []\nentities:\n  - {name: Lamp, domain: light, aliases: [big lamp]}\n  - {name: Door, domain: lock}\n";
    let text = format!("language: {language}\n{file}");
    let corpus = Corpus::read("x", language, &[SourceFile { path: "a.yaml".to_owned(), text }]).unwrap();
    Intents::new(corpus, &House::parse("home.yaml", house).unwrap()).unwrap()
}

/// Intent and slots in a line; nothing for no intent.
fn meaning(intents: &Intents, text: &str) -> String {
    intents.understand(text).map_or_else(String::new, |found| {
        let slots = found.slots.iter().map(|(name, value)| format!(" {name}={value}"));
        found.intent.to_owned() + &slots.collect::<String>()
    })
}

#[test]
fn the_best_reading_counts() {
    let intents = intents(
        "en",
        "intents:
  B: {data: [{sentences: ['use [the] {name}', 'play {thing}', 'same']}]}
  A: {data: [{sentences: ['use the big {thing}', 'play song {thing}', 'same']}]}
lists: {thing: {wildcard: true}}
",
    );
    for (text, expected) in [
        ("use the big lamp", "B name=Lamp"),
        ("use the big bell", "A thing=bell"),
        ("play song Yesterday", "A thing=Yesterday"),
        ("play Yesterday", "B thing=Yesterday"),
        ("same", "A"),
        ("play", ""),
    ] {
        assert_eq!(meaning(&intents, text), expected, "{text}");
    }
}

#[test]
fn blanks_and_apostrophes_count_as_they_are_written() {
    let intents = intents(
        "fr",
        "intents:
  A: {data: [{sentences: ['allume [(la|l'')] {area}', 'volume {n}[ %]', '(ici;mets {n})', 'a[ ]b c']}]}
lists: {n: {range: {from: 0, to: 100, multiplier: -1}}}
",
    );
    for (text, expected) in [
        ("Allume l'entrée", "A area=Entrée"),
        ("allume l\u{2019}ENTRÉE.", "A area=Entrée"),
        ("allume kitchen", "A area=Kitchen"),
        ("allumekitchen", ""),
        ("volume 20%", "A n=-20"),
        ("volume vingt et un", "A n=-21"),
        ("mets 5 ici", "A n=-5"),
        ("ici mets cinq", "A n=-5"),
        ("ab c", "A"),
        ("a-b-c", "A"),
        ("abc", ""),
    ] {
        assert_eq!(meaning(&intents, text), expected, "{text}");
    }
}

#[test]
fn contexts_and_names_of_a_blocks_own_are_minded() {
    let intents = intents(
        "en",
        "intents:
  A:
    data:
      - sentences: ['switch <it>']
        requires_context: {domain: [light, lock]}
        excludes_context: {domain: lock}
        expansion_rules: {it: '[my] {name}'}
      - sentences: ['ask <it>', 'set {level} {2..9:n}', 'tell {tone:@tone}']
        lists: {level: {values: [{in: '(low|down)', out: 1}]}}
        requires_context: {area: {slot: room}}
      - sentences: ['never']
        requires_context: {weather: null}
expansion_rules: {it: '{area}'}
lists: {level: {values: [high]}, tone: {values: [{in: up, context: {area: {value: attic}}}]}}
",
    )
    .in_area(Some("Cellar".to_owned()));
    for (text, expected) in [
        ("switch my lamp", "A name=Lamp"),
        ("switch door", ""),
        ("ask kitchen", "A area=Kitchen room=Cellar"),
        ("set down seven", "A level=1 n=7 room=Cellar"),
        ("set high 7", ""),
        ("tell up", "A room=attic"),
        ("never", ""),
    ] {
        assert_eq!(meaning(&intents, text), expected, "{text}");
    }
}

/// Single bytes and some words as tokens.
struct Bytes(Vec<Vec<u8>>);

impl Bytes {
    fn new() -> Self {
        let words = [" turn", " on", " the", " Lamp", "Lam", "p", "20", "%", " twenty", "-", " k", "itchen"];
        Self((0..=255u8).map(|byte| vec![byte]).chain(words.iter().map(|word| word.as_bytes().to_vec())).collect())
    }
}

impl Vocabulary for Bytes {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn bytes(&self, token: u32) -> &[u8] {
        &self.0[token as usize]
    }

    fn encode(&self, _: &str, _: &mut Vec<u32>) {}
}

const SPOKEN: &str = "intents:
  A:
    data:
      - sentences: ['turn on [the] {name}', '{area}[[ ](to|at)] {n}[([ ]%)| percent]', '(here;turn it on)', 'write {x}']
        requires_context: {domain: light}
  B: {data: [{sentences: ['(open|shut) {name}'], requires_context: {domain: [lock]}}]}
lists: {n: {range: {from: 0, to: 30, fractions: halves}}, x: {wildcard: true}}
skip_words: [please, would you]
";

#[test]
fn recognition_takes_sentences_as_people_write_them() {
    let intents = intents("en", SPOKEN);
    let automaton = SpeechAutomaton::new(&intents, &Bytes::new());
    assert_eq!(automaton.note().unwrap(), "1 sentences with free text, which recognition leaves out");
    let accepts = |text: &str| {
        let end = text.bytes().try_fold(automaton.start(), |state, byte| automaton.next(state, u32::from(byte)));
        end.is_some_and(|state| automaton.accepts(state))
    };
    for text in [
        " Turn on the lamp.",
        "turn on Lamp",
        " turn on, the lamp!",
        " turn-on the big lamp?",
        " Would you turn on the lamp, please?",
        " Kitchen to 20%",
        " kitchen 20.5 percent...",
        " Entrée at twenty-five",
        " Entrée twenty and a half %.",
        " turn it on here",
        " Here turn it on",
        " open door",
    ] {
        assert!(accepts(text), "{text}");
        assert!(intents.understand(text).is_some() || text.contains("turn it") || text.contains("20") || text.contains("twenty"), "{text}");
    }
    for text in [
        " turn on",
        " turn on the door",
        " open lamp",
        " tuRn on lamp",
        " turn on LAMP",
        " please-turn on lamp",
        " kitchen-20%",
        " turn  on lamp",
        " write this",
        " kitchen to 31",
        "",
        " ",
        " please",
    ] {
        assert!(!accepts(text), "{text}");
    }
}

/// All that the automaton allows, a random way each, is understood.
#[test]
fn what_is_recognised_is_understood() {
    let intents = intents("en", &SPOKEN.replace("requires_context: {domain: light}", ""));
    let vocabulary = Bytes::new();
    let automaton = SpeechAutomaton::new(&intents, &vocabulary);
    let copy = automaton.clone();
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut ended = 0;
    for _ in 0..400 {
        let (mut state, mut twin) = (automaton.start(), copy.start());
        let mut text = Vec::new();
        for _ in 0..60 {
            let (mut arcs, mut same) = (Vec::new(), Vec::new());
            automaton.arcs(state, |token, to| arcs.push((token, to)));
            copy.arcs(twin, |token, to| same.push((token, to)));
            assert!(arcs.is_sorted_by_key(|&(token, _)| token));
            assert!(arcs.iter().map(|arc| arc.0).eq(same.iter().map(|arc| arc.0)));
            assert_eq!(automaton.accepts(state), copy.accepts(twin));
            if automaton.accepts(state) && (arcs.is_empty() || random(2) == 0) {
                let text = String::from_utf8(text.clone()).unwrap();
                assert!(intents.understand(&text).is_some(), "{text}");
                ended += 1;
                break;
            }
            if arcs.is_empty() {
                break;
            }
            let arc = random(arcs.len());
            assert_eq!(automaton.next(state, arcs[arc].0), Some(arcs[arc].1));
            (state, twin) = (arcs[arc].1, same[arc].1);
            text.extend_from_slice(vocabulary.bytes(arcs[arc].0));
        }
    }
    assert!(ended > 200, "{ended}");
}

#[test]
fn a_search_makes_no_more_than_its_share() {
    let rooms: Vec<String> = (0..3000).map(|i| format!("room {:x} {:x}", i * 7919 % 4093, i)).collect();
    let house = format!("areas: [{}]\nfloors: []\nentities: []\n", rooms.join(", "));
    let text = "language: en\nintents: {A: {data: [{sentences: ['[go] [to] [the] {area} [and] [{area}]']}]}}\n".to_owned();
    let corpus = Corpus::read("x", "en", &[SourceFile { path: "a.yaml".to_owned(), text }]).unwrap();
    let intents = Intents::new(corpus, &House::parse("home.yaml", &house).unwrap()).unwrap();
    let automaton = SpeechAutomaton::new(&intents, &Bytes::new());
    let before = automaton.bytes();
    let mut most = 0;
    for round in 0..3 {
        let mut states = vec![automaton.start()];
        for _ in 0..40 {
            let mut reached = Vec::new();
            states.iter().for_each(|&state| automaton.arcs(state, |_, to| reached.push(to)));
            reached.sort_by_key(|state| format!("{state:?}"));
            reached.dedup();
            reached.truncate(2000 + round);
            states = reached;
        }
        most = most.max(automaton.bytes() - before);
    }
    assert!((4 << 20..11 << 20).contains(&most), "{most}");
}
