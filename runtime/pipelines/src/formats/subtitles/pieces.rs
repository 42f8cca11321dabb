//! A segment as pieces that stay on one line, each with its times.

use unicode_width::UnicodeWidthStr;

use super::script::{breaks_between, columns, is_unspaced};
use crate::whisper::transcript::Segment;

/// A word, a character of a language without spaces, or a part of a word too long for a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    /// Never empty, and without spaces around it.
    pub(super) text: String,
    /// Its columns.
    pub(super) width: usize,
    /// What separates it from the piece before it on its line.
    pub(super) before: Before,
    /// Seconds from the recording's start.
    pub(super) start: f64,
    /// Seconds from the recording's start.
    pub(super) end: f64,
    /// Whether a segment ends with it.
    pub(super) last: bool,
}

/// What stands before a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// A space.
    Space,
    /// Nothing, as between ideographs.
    Nothing,
    /// The first part of the same word, which was too long for a line.
    Word,
}

/// The pieces of a segment, none wider than `most`: by the times of its words, or else spread evenly.
pub(super) fn of_segment(segment: &Segment, most: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    match segment.words.as_deref().filter(|words| spells(words.iter().map(|word| word.word.as_str()), &segment.text)) {
        Some(words) => words.iter().for_each(|word| push(&mut pieces, &word.word, word.start, word.end)),
        None => push(&mut pieces, &segment.text, segment.start, segment.end),
    }
    let mut pieces: Vec<Piece> = pieces.into_iter().flat_map(|piece| cut(piece, most)).collect();
    if let Some(last) = pieces.last_mut() {
        last.last = true;
    }
    pieces
}

/// Whether words are the whole of a text; nothing may be lost with those that are not.
fn spells<'a>(words: impl Iterator<Item = &'a str>, text: &str) -> bool {
    let ink = |c: &char| !c.is_whitespace();
    words.flat_map(str::chars).filter(ink).eq(text.chars().filter(ink))
}

/// Adds a text from `start` to `end`; what may not be broken off goes to the piece before it.
fn push(pieces: &mut Vec<Piece>, text: &str, start: f64, end: f64) {
    // An arrow in it would end the cue.
    let text = text.replace("-->", "->");
    let all: usize = text.chars().map(weight).sum();
    let at = |done: usize| if all == 0 { start } else { start + (end - start) * done as f64 / all as f64 };
    let (mut done, mut space) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            space = true;
            continue;
        }
        let from = at(done);
        done += weight(c);
        match pieces.last_mut() {
            Some(piece) if !space && !piece.text.chars().next_back().is_some_and(|last| breaks_between(last, c)) => {
                piece.text.push(c);
                piece.end = piece.end.max(at(done));
            }
            _ => {
                let before = if space { Before::Space } else { Before::Nothing };
                pieces.push(Piece { text: c.into(), width: 0, before, start: from, end: at(done), last: false });
            }
        }
        space = false;
    }
}

/// How much of its text's time a character has.
fn weight(c: char) -> usize {
    if c.is_whitespace() { 0 } else { columns(c) }
}

/// Cuts a piece that is wider than `most`.
fn cut(mut piece: Piece, most: usize) -> Vec<Piece> {
    piece.width = piece.text.width();
    if piece.width <= most {
        return vec![piece];
    }
    let mut texts = vec![String::new()];
    for c in piece.text.chars() {
        let full = texts.last().is_some_and(|text| !text.is_empty() && text.width() + columns(c) > most);
        if full && columns(c) > 0 {
            texts.push(String::new());
        }
        if let Some(text) = texts.last_mut() {
            text.push(c);
        }
    }
    let (all, length) = (piece.width as f64, piece.end - piece.start);
    let mut start = piece.start;
    let parts = texts.into_iter().enumerate().map(|(i, text)| {
        let (width, from) = (text.width(), start);
        start = (from + length * width as f64 / all).min(piece.end);
        Piece { text, width, before: if i == 0 { piece.before } else { Before::Word }, start: from, end: start, last: false }
    });
    parts.collect()
}

/// What stands between the pieces of two segments; the second may lack the space that its first word has elsewhere.
pub(super) fn between(before: &Piece, after: &Piece) -> Before {
    let unspaced = |c: Option<char>| c.is_some_and(is_unspaced);
    if unspaced(before.text.chars().next_back()) || unspaced(after.text.chars().next()) { after.before } else { Before::Space }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::{segment, with_words};

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn words_keep_their_times() {
        let segment = with_words(&[(" Hello,", 0.5, 1.0), (" ( world)", 1.0, 2.0), ("!", 2.0, 2.25)]);
        let pieces = of_segment(&segment, 42);
        assert_eq!(texts(&pieces), ["Hello,", "(", "world)!"]);
        assert_eq!((pieces[0].start, pieces[0].end, pieces[2].end), (0.5, 1.0, 2.25));
        assert!(pieces.iter().all(|piece| piece.before == Before::Space) && pieces[2].last && !pieces[0].last);
    }

    #[test]
    fn a_text_without_words_or_with_others_is_spread() {
        let mut segment = segment(0, 10.0, 20.0, " ab\tcdefghij");
        for words in [None, with_words(&[(" ab", 1.0, 2.0)]).words] {
            segment.words = words;
            let pieces = of_segment(&segment, 42);
            assert_eq!(texts(&pieces), ["ab", "cdefghij"]);
            assert_eq!((pieces[0].end, pieces[1].start, pieces[1].end), (12.0, 12.0, 20.0));
        }
    }

    #[test]
    fn a_word_too_long_for_a_line_is_cut() {
        let pieces = of_segment(&segment(0, 0.0, 10.0, " abcdefghi\u{301}j"), 4);
        assert_eq!(texts(&pieces), ["abcd", "efgh", "i\u{301}j"]);
        assert_eq!(pieces.iter().map(|piece| piece.end).collect::<Vec<_>>(), [4.0, 8.0, 10.0]);
        assert_eq!(pieces[1].before, Before::Word);
        let wide = of_segment(&segment(0, 0.0, 1.0, "한국어말"), 4);
        assert_eq!(texts(&wide), ["한국", "어말"]);
    }

    #[test]
    fn ideographs_are_pieces_with_their_signs() {
        let pieces = of_segment(&segment(0, 0.0, 8.0, "「日本」は、ちょっとAB。"), 42);
        assert_eq!(texts(&pieces), ["「日", "本」", "は、", "ちょっ", "と", "AB。"]);
        assert!(pieces.iter().all(|piece| piece.before == Before::Nothing));
        assert_eq!(pieces[0].width, 4);
    }
}
