//! Is a repeated phrase said again, or is it the decoder that repeats itself?
//!
//! The cross-attention knows: who says a thing twice does so in two places of the recording, and a decoder that loops looks at one.

/// Tokens that make a phrase.
const PHRASE: usize = 4;
/// A phrase said again lies at least this many positions of 20 ms later for each token in between: nobody speaks faster.
const POSITIONS_PER_TOKEN: usize = 3;
/// Tokens in a row that lie where they lay before: fewer are chance.
const FALSE_RUN: usize = 3;

/// The first text token of a phrase that is a copy of an earlier one and lies on the same sound; `positions` says where each token lies.
///
/// # Panics
/// If there is not a position for each token.
pub(super) fn first_false(tokens: &[u32], positions: &[usize]) -> Option<usize> {
    assert_eq!(tokens.len(), positions.len());
    let copied = copied(tokens);
    let mut run = 0;
    for i in 0..tokens.len() {
        let is_false = copied[i].is_some_and(|earlier| positions[i] < positions[earlier] + POSITIONS_PER_TOKEN * (i - earlier));
        run = if is_false { run + 1 } else { 0 };
        if run == FALSE_RUN {
            return Some(i + 1 - FALSE_RUN);
        }
    }
    None
}

/// For each token that is part of a phrase that came before, its place there, the last one of several.
fn copied(tokens: &[u32]) -> Vec<Option<usize>> {
    let mut copied = vec![None; tokens.len()];
    for (i, phrase) in tokens.windows(PHRASE).enumerate() {
        if let Some(earlier) = (0..i).rev().find(|&j| tokens[j..j + PHRASE] == *phrase) {
            (0..PHRASE).for_each(|k| copied[i + k] = Some(earlier + k));
        }
    }
    copied
}

/// Tokens of a sentence that is worth a look if it comes twice.
const SENTENCE: usize = 8;

/// Whether a text says so much twice that its attention should be looked at.
pub(super) fn has_copy(tokens: &[u32]) -> bool {
    tokens.windows(SENTENCE).enumerate().any(|(i, sentence)| tokens[i + 1..].windows(SENTENCE).any(|other| other == sentence))
}

/// Lengths, in tokens, of the phrases that are looked for three times in a row.
const THRICE: std::ops::RangeInclusive<usize> = 3..=32;

/// Whether a phrase comes three times in a row.
pub(super) fn says_thrice(tokens: &[u32]) -> bool {
    THRICE.into_iter().any(|period| tokens.windows(3 * period).any(|three| three[period..] == three[..2 * period]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE_SAID: [u32; 5] = [7, 3, 9, 4, 1];

    fn said(times: usize, start: impl Fn(usize) -> usize) -> (Vec<u32>, Vec<usize>) {
        let positions = (0..times).flat_map(|round| (0..5).map(move |token| (round, token)));
        (PHRASE_SAID.repeat(times), positions.map(|(round, token)| start(round) + 8 * token).collect())
    }

    #[test]
    fn what_is_said_again_lies_elsewhere() {
        let (tokens, positions) = said(12, |round| 60 * round);
        assert_eq!(first_false(&tokens, &positions), None);
    }

    #[test]
    fn what_the_decoder_repeats_lies_where_it_lay() {
        let (tokens, positions) = said(6, |round| 60 * round.min(2));
        assert_eq!(first_false(&tokens, &positions), Some(15), "three were said");
        let (tokens, positions) = said(3, |_| 10);
        assert_eq!(first_false(&tokens, &positions), Some(5));
        let jumps_back = said(3, |round| [100, 160, 20][round]);
        assert_eq!(first_false(&jumps_back.0, &jumps_back.1), Some(10));
    }

    #[test]
    fn three_times_in_a_row() {
        for (times, thrice) in [(1, false), (2, false), (3, true), (4, true)] {
            assert_eq!(says_thrice(&said(times, |_| 0).0), thrice, "{times}");
        }
        assert!(!says_thrice(&[1, 2, 1, 2, 1, 2]), "two tokens are no phrase");
        assert!(says_thrice(&[9, 9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 4]));
        assert!(!says_thrice(&[1, 2, 3, 1, 2, 3, 4, 1, 2, 3]));
    }

    #[test]
    fn a_sentence_that_comes_twice_is_looked_at() {
        let sentence: Vec<u32> = (0..9).collect();
        assert!(has_copy(&[&sentence[..], &[50], &sentence[..]].concat()));
        assert!(!has_copy(&[&sentence[..], &[50], &sentence[..7]].concat()));
    }

    #[test]
    fn other_words_are_no_copies_wherever_they_lie() {
        let tokens: Vec<u32> = (0..40).collect();
        assert_eq!(first_false(&tokens, &[5; 40]), None);
        assert_eq!(first_false(&[1, 2, 3], &[0, 0, 0]), None);
        assert_eq!(first_false(&[], &[]), None);
    }
}
