//! The automaton accepts what the grammar holds and nothing else.

use std::collections::VecDeque;

use ossicle_sentences::{CompileError, Grammar, PACKS, State, TextClass, TokenAutomaton, Vocabulary};
use proptest::prelude::*;

/// All bytes, and some pieces: words are cut into the longest pieces that fit, from the left, and never across their ends.
struct Pieces(Vec<Vec<u8>>);

impl Pieces {
    fn new() -> Self {
        let pieces = ["on", "in", "the", " the", "light", "ab", " -", ".,", "...", "00", " turn", "ee", "'s"];
        let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec());
        let begun = (0..128).filter(u8::is_ascii_alphanumeric).map(|letter| vec![b' ', letter]);
        Self((0..=255).map(|byte| vec![byte]).chain(begun).chain(pieces).collect())
    }

    fn encode_word(&self, mut word: &[u8], tokens: &mut Vec<u32>) {
        while !word.is_empty() {
            let fits = |(_, piece): &(usize, &Vec<u8>)| word.starts_with(piece);
            let (token, piece) = self.0.iter().enumerate().filter(fits).max_by_key(|(_, piece)| piece.len()).unwrap();
            tokens.push(token as u32);
            word = &word[piece.len()..];
        }
    }
}

impl Vocabulary for Pieces {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn bytes(&self, token: u32) -> &[u8] {
        &self.0[token as usize]
    }

    /// Cuts as GPT-2 does: letters, figures and signs apart, each with a space before it.
    fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        let class = |c: char| if c.is_alphabetic() { 0 } else { 1 + u8::from(c.is_numeric()) };
        let mut rest = text;
        while !rest.is_empty() {
            let space = usize::from(rest.starts_with(' ') && rest.len() > 1);
            let first = class(rest[space..].chars().next().unwrap());
            let len = space + rest[space..].find(|c| class(c) != first || c == ' ').unwrap_or(rest.len() - space).max(1);
            self.encode_word(&rest.as_bytes()[..len], tokens);
            rest = &rest[len..];
        }
    }
}

/// Tokens from each state to the nearest end of a text.
fn distances(automaton: &TokenAutomaton) -> Vec<u32> {
    let mut states = vec![automaton.start()];
    let mut from: Vec<Vec<State>> = vec![Vec::new(); automaton.len()];
    let mut seen = vec![false; automaton.len()];
    seen[automaton.start().index()] = true;
    let mut next = 0;
    while let Some(&state) = states.get(next) {
        next += 1;
        let text = automaton.any_text(state);
        let targets =
            automaton.arcs(state).iter().map(|arc| arc.to).chain(text.and_then(|text| text.word)).chain(text.and_then(|t| t.piece));
        for to in targets {
            from[to.index()].push(state);
            if !std::mem::replace(&mut seen[to.index()], true) {
                states.push(to);
            }
        }
    }
    assert_eq!(states.len(), automaton.len(), "all states can be reached");
    let mut distances = vec![u32::MAX; automaton.len()];
    let mut queue: VecDeque<State> = states.into_iter().filter(|&state| automaton.accepts(state)).collect();
    queue.iter().for_each(|state| distances[state.index()] = 0);
    while let Some(state) = queue.pop_front() {
        for &before in &from[state.index()] {
            if distances[before.index()] == u32::MAX {
                distances[before.index()] = distances[state.index()] + 1;
                queue.push_back(before);
            }
        }
    }
    assert!(!distances.contains(&u32::MAX), "from every state a text can end");
    distances
}

/// A text of the automaton: `random` choices, then the shortest way out. Says whether free text was on the way.
fn walk(automaton: &TokenAutomaton, vocabulary: &Pieces, distances: &[u32], random: &[u32]) -> (Vec<u32>, bool) {
    let (mut state, mut tokens, mut free) = (automaton.start(), Vec::new(), false);
    let mut choices = random.iter();
    loop {
        if choices.len() == 0 && automaton.accepts(state) {
            return (tokens, free);
        }
        let class = |class| (0..vocabulary.len()).filter(move |&token| automaton.text_class(token) == class);
        let mut options: Vec<u32> = automaton.arcs(state).iter().map(|arc| arc.token).collect();
        if let Some(text) = automaton.any_text(state) {
            options.extend(text.word.into_iter().flat_map(|_| class(TextClass::Word)));
            options.extend(text.piece.into_iter().flat_map(|_| class(TextClass::Piece)));
        }
        let distance = |token: &u32| distances[automaton.next(state, *token).unwrap().index()];
        let token = match choices.next() {
            Some(&choice) if !options.is_empty() => options[choice as usize % options.len()],
            Some(_) => continue,
            None => *options.iter().min_by_key(|token| distance(token)).unwrap(),
        };
        free |= automaton.any_text(state).is_some();
        tokens.push(token);
        state = automaton.next(state, token).unwrap();
    }
}

fn text_of(vocabulary: &Pieces, tokens: &[u32]) -> String {
    String::from_utf8(tokens.iter().flat_map(|&token| vocabulary.bytes(token)).copied().collect()).unwrap()
}

fn accepts(automaton: &TokenAutomaton, vocabulary: &Pieces, text: &str) -> bool {
    let mut tokens = Vec::new();
    vocabulary.encode(text, &mut tokens);
    let end = tokens.iter().try_fold(automaton.start(), |state, &token| automaton.next(state, token));
    end.is_some_and(|state| automaton.accepts(state))
}

fn check_arcs(automaton: &TokenAutomaton) {
    let mut states = vec![automaton.start()];
    let mut seen = vec![false; automaton.len()];
    while let Some(state) = states.pop() {
        assert!(automaton.arcs(state).windows(2).all(|pair| pair[0].token < pair[1].token));
        for arc in automaton.arcs(state) {
            if !std::mem::replace(&mut seen[arc.to.index()], true) {
                states.push(arc.to);
            }
        }
    }
}

/// Samples are accepted; what is accepted matches and is the tokenizer's own way to write it.
fn check(grammar: &Grammar, several_free_texts: bool, samples: usize, walks: impl Iterator<Item = Vec<u32>>) {
    let vocabulary = Pieces::new();
    let automaton = match TokenAutomaton::compile(grammar, &vocabulary) {
        // Several free texts side by side may need any number of states.
        Err(CompileError::TooLarge { .. }) if several_free_texts => return,
        result => result.unwrap(),
    };
    check_arcs(&automaton);
    for sample in grammar.samples(7).take(samples) {
        assert!(accepts(&automaton, &vocabulary, &format!(" {}", sample.text)), "{sample:?}");
        assert!(accepts(&automaton, &vocabulary, &format!("{}.", sample.text)), "{sample:?}");
    }
    let distances = distances(&automaton);
    for random in walks {
        let (tokens, free) = walk(&automaton, &vocabulary, &distances, &random);
        let text = text_of(&vocabulary, &tokens);
        assert!(!grammar.matches(&text).is_empty(), "{text:?} does not match");
        let mut own = Vec::new();
        vocabulary.encode(&text, &mut own);
        assert!(free || own == tokens, "{text:?} has a second path");
    }
}

#[test]
fn packs() {
    for pack in PACKS {
        let grammar = Grammar::parse(pack.name, pack.text).unwrap();
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let walks: Vec<Vec<u32>> = (0..400).map(|i| (0..i % 80).map(|_| random()).collect()).collect();
        // No samples: their free text takes more of these short pieces than it may. They are tried on a real vocabulary.
        check(&grammar, false, 0, walks.into_iter());
    }
}

#[test]
fn texts_are_written_as_a_recogniser_would() {
    let file = r#"
language: en
intents:
  A:
    data:
      - sentences:
          - "set the TV to {number}"
          - "what's on at {hour} pm"
          - "a double-shot okay"
          - "colour the light {item} now"
lists:
  number: {range: {from: 0, to: 2000, type: percentage}}
  hour: {range: {from: 1, to: 12}}
  item: {wildcard: true, max_tokens: 8}
skip_words: [please]
"#;
    let grammar = Grammar::parse("x.yaml", file).unwrap();
    let vocabulary = Pieces::new();
    let automaton = TokenAutomaton::compile(&grammar, &vocabulary).unwrap();
    for (text, accepted) in [
        (" Set the TV to 21%.", true),
        ("set the tv to twenty-one percent", true),
        (" Set the TV to twenty one.", true),
        (" Set the TV to one thousand and five %", false),
        (" Please, set the TV to 1,200%!", true),
        (" Set the TV to 1200, please.", true),
        (" set the TV to 2001", false),
        (" What's on at 7 p.m.?", true),
        (" Whats on at seven PM", true),
        (" What's on at", false),
        (" What's on at 7-", false),
        (" A double-shot, OK?", true),
        (" A double shot okay", true),
        (" A double shot-okay", false),
        (" Color the light ab, ab now", true),
        (" Colour the light ab ab ab ab ab ab ab ab ab now", false),
        (" Color the light now", false),
        ("", false),
        (" ", false),
        (".", false),
    ] {
        assert_eq!(accepts(&automaton, &vocabulary, text), accepted, "{text:?}");
        assert!(!accepted || !grammar.matches(text).is_empty(), "{text:?}");
    }
}

/// What would need any number of states is refused in bounded time and memory.
#[test]
fn free_texts_side_by_side_are_limited() {
    let sentence = "go ({w} a;{w} b;{w} c;{w} d;{w} e)";
    let file = format!(
        "language: en\nintents: {{A: {{data: [{{sentences: [\"{sentence}\"]}}]}}}}\nlists: {{w: {{wildcard: true, max_tokens: 64}}}}\n"
    );
    let grammar = Grammar::parse("x.yaml", &file).unwrap();
    assert!(matches!(TokenAutomaton::compile(&grammar, &Pieces::new()), Err(CompileError::TooLarge { .. })));
    assert_eq!(grammar.matches("go x b y a z c x d y e").len(), 1);
}

static NUMBERS: std::sync::OnceLock<Grammar> = std::sync::OnceLock::new();

/// Templates over a few words.
fn template() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("turn the".to_owned()),
        Just("light[s]".to_owned()),
        Just("b's".to_owned()),
        Just("(x|in)s".to_owned()),
        Just("twenty one".to_owned()),
        Just("{n}".to_owned()),
        Just("{v}".to_owned()),
        Just("q {w} on".to_owned()),
        Just("<r>".to_owned())
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| format!("[{x}]")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x}|{y})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!(" ({x};{y}) ")),
            (inner.clone(), inner).prop_map(|(x, y)| format!("{x} {y}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_grammar(templates in prop::collection::vec(template(), 1..4), walks in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..30), 20)) {
        let sentences: String = templates.iter().map(|template| format!("          - \"go {template}\"\n")).collect();
        let file = format!(
            "language: en\nintents:\n  A:\n    data:\n      - sentences:\n{sentences}\
             lists:\n  n: {{range: {{from: 0, to: 130}}}}\n  v: {{values: [c, ab c, c d]}}\n  w: {{wildcard: true, max_tokens: 40}}\n\
             expansion_rules:\n  r: \"(b;[c])\"\nskip_words: [um, oh my]\n"
        );
        let grammar = Grammar::parse("x.yaml", &file).unwrap();
        check(&grammar, templates.concat().matches("{w}").count() > 1, 20, walks.into_iter());
        for sample in grammar.samples(3).take(20) {
            let matches = grammar.matches(&sample.text);
            prop_assert!(!matches.is_empty(), "{:?} of {}", sample, file);
        }
    }

    /// However a number is written, it is that number and no other.
    #[test]
    fn numbers_are_themselves(tenths in -2000i32..=2000, form in 0usize..5) {
        let file = "language: en\nintents: {A: {data: [{sentences: [\"set {n} now\"]}]}}\n\
                    lists: {n: {range: {from: -200, to: 200, fractions: tenths}}}\n";
        let grammar = NUMBERS.get_or_init(|| Grammar::parse("x.yaml", file).unwrap());
        let (whole, tenth) = (tenths.abs() / 10, tenths.abs() % 10);
        let sign = if tenths >= 0 { "" } else { ["-", "\u{2212}", "negative ", "minus ", "\u{2013}"][form] };
        let wide = |text: String| text.chars().map(|c| c.to_digit(10).map_or(c, |d| char::from_u32(0xFF10 + d).unwrap())).collect::<String>();
        let text = match form {
            _ if tenth == 0 && form > 2 => format!("{whole}.0"),
            0 | 3 => format!("{whole}.{tenth}"),
            1 => format!("{whole} point {tenth}"),
            2 => wide(format!("{whole}.{tenth}")),
            _ if tenth == 5 => format!("{whole}\u{BD}"),
            _ => format!("{whole}.{tenth}"),
        };
        let text = format!("set {sign}{text} now");
        let matches = grammar.matches(&text);
        prop_assert_eq!(matches.len(), 1, "{}", text);
        prop_assert_eq!(matches[0].slots[0].value.to_string(), (f64::from(tenths) / 10.0).to_string(), "{}", text);
    }

    /// Words taken apart and put together mean the same.
    #[test]
    fn compounds_mean_the_same(parts in prop::collection::vec("[b-d]{2,3}", 2..4), spaces in prop::collection::vec(any::<bool>(), 2), written in any::<bool>()) {
        let apart = parts.join(if written { " " } else { "" });
        let file = format!("language: en\nintents: {{A: {{data: [{{sentences: [\"go {apart} now\"]}}]}}}}\n");
        let grammar = Grammar::parse("x.yaml", &file).unwrap();
        let mut said = parts[0].clone();
        for (part, space) in parts[1..].iter().zip(spaces) {
            said.push_str(if space { "-" } else { "" });
            said.push_str(part);
        }
        prop_assert_eq!(grammar.matches(&format!("Go {said} now.")).len(), 1, "{} for {}", said, apart);
        prop_assert_eq!(grammar.matches(&format!("Go {said}x now.")).len(), 0);
    }

    #[test]
    fn any_text_is_a_grammar_or_an_error(text in ".{0,200}", template in "[\\[\\](){}<>|;:ab \\\\-]{0,60}") {
        let _ = Grammar::parse("x.yaml", &text);
        let file = format!("language: en\nintents:\n  A:\n    data:\n      - sentences:\n          - {text}\n");
        let _ = Grammar::parse("x.yaml", &file);
        let file = format!("language: en\nintents:\n  A:\n    data:\n      - sentences:\n          - \"go {}\"\n", template.replace('\\', "\\\\"));
        if let Ok(grammar) = Grammar::parse("x.yaml", &file) {
            let sample = grammar.samples(1).next().unwrap();
            prop_assert!(!grammar.matches(&sample.text).is_empty(), "{:?}", sample);
            grammar.matches(&text);
        }
    }
}
