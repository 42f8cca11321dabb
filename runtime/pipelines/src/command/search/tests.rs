use super::super::automaton::tests::Trie;
use super::super::background;
use super::*;
use crate::whisper::engine::{Engine, LogitsFor};
use crate::whisper::fake::{Fake, Script};

const EOT: u32 = 50;

/// The best texts of `sentences` when `said` is said, each step's token with a logit of `confidence` among 0s.
fn search(said: &[u32], confidence: f32, sentences: &[&[u32]], free: Option<u32>) -> (Vec<Found>, background::Background) {
    let limits = Limits { spread: 12.0, ..Limits::default() };
    let (found, background, _) = search_in(&Trie::new(sentences, free), said, confidence, limits);
    (found, background)
}

/// The best texts of `automaton`, what was heard, and the tokens decoded in lanes.
fn search_in<A: Automaton<State = usize>>(
    automaton: &A,
    said: &[u32],
    confidence: f32,
    limits: Limits,
) -> (Vec<Found>, background::Background, usize) {
    let mut engine = Fake::new(vec![Script::says(said).confidence(confidence)]);
    engine.encode(&[0.0; 200 * 80], 200).unwrap();
    let after_prompt = engine.decode(&[51, 52, 55], LogitsFor::Last).unwrap().to_vec();
    let suppressed = [7, 8];
    engine.start_lanes();
    let background = background::decode(&mut engine, &after_prompt, EOT, &suppressed, 30).unwrap();
    let said = &background.tokens[..engine.position() - 3];
    let heard = Heard { after_prompt: &after_prompt, said, eot: EOT, suppressed: &suppressed, rivals: &background.rivals };
    let limits = Limits { bonus_tokens: background.tokens.len(), ..limits };
    let mut search = Search::default();
    let found = search.run(&mut engine, automaton, heard, limits).unwrap();
    assert_eq!(search.lane_tokens, engine.lane_rows);
    (found, background, engine.lane_rows)
}

/// "1 3 4" and "2 3 4", with 9, a comma, after the first token or without.
struct Joined;

impl Automaton for Joined {
    type State = usize;

    fn start(&self) -> usize {
        0
    }

    fn arcs(&self, state: usize, out: &mut Vec<(u32, usize)>) {
        out.extend_from_slice(match state {
            0 => &[(1, 1), (2, 1)][..],
            1 => &[(3, 2), (9, 4)],
            2 => &[(4, 3)],
            4 => &[(3, 2)],
            _ => &[],
        });
    }

    fn accepts(&self, state: usize) -> bool {
        state == 3
    }

    fn allows_text(&self, _: usize) -> bool {
        false
    }

    fn next(&self, state: usize, token: u32) -> Option<usize> {
        let mut arcs = Vec::new();
        self.arcs(state, &mut arcs);
        arcs.iter().find(|arc| arc.0 == token).map(|arc| arc.1)
    }
}

fn texts(found: &[Found]) -> Vec<&[u32]> {
    found.iter().map(|found| &found.tokens[..]).collect()
}

#[test]
fn what_was_said_costs_nothing_and_neither_do_turns_that_come_back_to_it() {
    let limits = Limits { spread: 7.0, ..Limits::default() };
    let (found, _, lanes) = search_in(&Joined, &[1, 3, 4], 4.0, limits);
    assert_eq!(texts(&found), [&[1, 3, 4][..], &[2, 3, 4]]);
    assert!((found[0].score - found[1].score - 4.0).abs() < 1e-4 && found[1].logprob < found[0].logprob - 3.9);
    assert_eq!(lanes, 1, "only the comma is decoded");
    let (found, _, lanes) = search_in(&Joined, &[1, 9, 3, 4], 4.0, limits);
    assert_eq!(texts(&found), [&[1, 9, 3, 4][..], &[1, 3, 4], &[2, 9, 3, 4]]);
    assert_eq!(lanes, 0);
    let (found, _, lanes) = search_in(&Joined, &[1, 3, 4], 9.0, limits);
    assert_eq!((texts(&found), lanes), (vec![&[1, 3, 4][..]], 0));
}

#[test]
fn close_turns_go_on_side_by_side() {
    let limits = Limits { spread: 7.0, same_spread: 5.0, ..Limits::default() };
    let (found, _, lanes) = search_in(&Joined, &[1, 3, 4], 4.0, limits);
    assert_eq!(found[0].tokens, [1, 3, 4]);
    assert!(texts(&found).contains(&&[2, 3, 4][..]) && lanes > 3, "{lanes}");
}

#[test]
fn what_nobody_said_is_decoded() {
    let limits = Limits { spread: 7.0, ..Limits::default() };
    let (found, _, lanes) = search_in(&Joined, &[1, 30, 4], 4.0, limits);
    assert_eq!(found[0].tokens, [1, 3, 4]);
    assert!(lanes >= 2, "{lanes}");
    let same = search_in(&Joined, &[1, 30, 4], 4.0, Limits { same_spread: f32::INFINITY, ..limits });
    assert_eq!(same.0[0], found[0]);
}

#[test]
fn what_was_said_wins_and_is_as_likely_as_when_decoded_freely() {
    let sentences: [&[u32]; 4] = [&[1, 2, 3], &[1, 2, 4], &[1, 2], &[5, 2, 3]];
    let (found, background) = search(&[1, 2, 4], 9.0, &sentences, None);
    assert_eq!(found[0].tokens, [1, 2, 4]);
    assert_eq!(background.tokens, [1, 2, 4]);
    // Of the tokens that nobody expects only the rest's small share is missing.
    assert!((found[0].logprob - background.logprob).abs() < 0.1, "{} {}", found[0].logprob, background.logprob);
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert_eq!(found[1].tokens, [1, 2, 3], "one token off");
    let most = background.tokens.len();
    assert_eq!(found[2].tokens, [1, 2], "one token short");
    let bonus = Limits::default().token_bonus;
    assert!(found.iter().all(|found| (found.score - found.logprob - bonus * found.tokens.len().min(most) as f32).abs() < 1e-4));
}

#[test]
fn a_sentence_with_one_way_on_pays_for_what_was_not_said() {
    let (found, background) = search(&[1, 30, 31, 32], 9.0, &[&[1, 2, 3, 4]], None);
    assert_eq!(background.tokens, [1, 30, 31, 32]);
    let ratio = found.first().map_or(f32::NEG_INFINITY, |found| found.logprob - background.logprob);
    assert!(ratio < -20.0, "{ratio}");
}

#[test]
fn suppressed_tokens_never_come() {
    let (found, background) = search(&[7, 2], 9.0, &[&[7, 2], &[3, 2]], None);
    assert_eq!(background.tokens[1..], [2]);
    assert!(found.iter().all(|found| found.tokens == [3, 2]));
}

#[test]
fn free_text_takes_what_was_said() {
    let (found, _) = search(&[1, 20, 33, 21], 9.0, &[&[1], &[2]], Some(1));
    assert_eq!(found[0].tokens, [1, 20, 33, 21]);
}

#[test]
fn nothing_of_an_empty_set() {
    let (found, _) = search(&[1], 9.0, &[], None);
    assert_eq!(found, []);
}

/// Ten sentences whose first words nobody said, of which only the last goes on as was said.
#[test]
fn a_first_word_that_was_misheard_is_found_by_the_next() {
    let sentences: Vec<Vec<u32>> = (10..29).map(|first| vec![first, 5, 6]).chain([vec![29, 2, 3]]).collect();
    let sentences: Vec<&[u32]> = sentences.iter().map(Vec::as_slice).collect();
    let trie = Trie::new(&sentences, None);
    let narrow = Limits { spread: 12.0, first_beam: 0, ..Limits::default() };
    let (found, _, lanes) = search_in(&trie, &[40, 2, 3], 4.0, narrow);
    assert!(found.iter().all(|found| found.tokens != [29, 2, 3]) && lanes >= 8, "{lanes}");
    let (found, _, lanes) = search_in(&trie, &[40, 2, 3], 4.0, Limits { first_beam: 24, ..narrow });
    assert_eq!(found[0].tokens, [29, 2, 3]);
    assert!(lanes > 20 + 8, "{lanes}");
    // As with lanes enough.
    let (few, ..) = search_in(&trie, &[28, 5, 6], 4.0, Limits { first_beam: 24, ..narrow });
    assert_eq!(few[0].tokens, [28, 5, 6]);
}

#[test]
fn first_tokens_that_fit_the_lanes_are_decoded_once() {
    let sentences: [&[u32]; 3] = [&[10, 2, 3], &[11, 2, 4], &[12, 2, 3]];
    let limits = Limits { spread: 12.0, first_beam: 0, ..Limits::default() };
    let narrow = search_in(&Trie::new(&sentences, None), &[40, 2, 3], 4.0, limits);
    let wide = search_in(&Trie::new(&sentences, None), &[40, 2, 3], 4.0, Limits { first_beam: 24, ..limits });
    assert_eq!((wide.0, wide.2), (narrow.0, narrow.2));
}
