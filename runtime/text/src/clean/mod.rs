//! What CLIP's own tokenizers do to a text before they cut it into words: ftfy's repairs, HTML's references, small letters.
//!
//! Encodings that were mistaken for others are undone, and what people paste without meaning to is made plain: curly quotes, ligatures, wide letters,
//! terminal escapes, control characters. The steps, and what counts as unlikely, are those of ftfy 6.3.1 (Speer 2019); the reference is
//! `tests/text/clean.py`.

mod bytes;
mod encodings;
mod entities;
mod marks;
mod tables;
mod unlikely;

use std::borrow::Cow;

/// Longest piece that is repaired as a whole, in characters; lines are pieces of their own.
const MOST_CHARACTERS: usize = 1_000_000;

/// Most times that a piece goes through all steps. Each time undoes one layer, such as `&amp;amp;`; a text with more of them keeps the rest.
const MOST_ROUNDS: usize = 64;

/// A text as CLIP's tokenizers want it: repaired, in small letters, with single spaces.
pub(crate) fn clean(text: &str) -> String {
    let text = entities::unescape(&entities::unescape(&repair(text))).into_owned();
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.to_lowercase()
}

/// Repairs each line.
fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A text with tags is HTML already: from the first on nothing is a reference.
    let mut references = true;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(MOST_CHARACTERS).map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(end);
            references &= !piece.contains('<');
            out.push_str(&repair_piece(piece, references));
            rest = after;
        }
    }
    out
}

fn repair_piece(piece: &str, references: bool) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(piece);
    for _ in 0..MOST_ROUNDS {
        let plain = if references { entities::replace(&text) } else { Cow::Borrowed(&*text) };
        let next = marks::plain(&encodings::repair(&plain));
        if next == *text {
            break;
        }
        text = Cow::Owned(next);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistaken_encodings_are_undone() {
        assert_eq!(clean("schÃ¶n"), "schön");
        assert_eq!(clean("âœ” No problems"), "✔ no problems");
        // Twice over, and with a lost non-breaking space.
        assert_eq!(clean("l\u{c3}\u{192}\u{c2}\u{a0} bas"), "là bas");
        assert_eq!(clean("voilÃ  le travail"), "voilà le travail");
        // One part of a text only.
        assert_eq!(clean("日本 itâ€™s"), "日本 it's");
        // What was lost stays lost.
        assert_eq!(clean("â€œquoteâ€\u{fffd}"), "\"quote\u{fffd}");
    }

    #[test]
    fn what_is_right_stays() {
        for text in ["über", "à la carte", "señor ñandú", "5 €", "20°", "привет", "ελλάς", "日本語", "‘", "½"] {
            let expected = if text == "‘" { "'" } else { text };
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn marks_become_plain() {
        assert_eq!(clean("“It’s” ﬁne, ＬＯＵＤ　ＮＯＩＳＥ"), "\"it's\" fine, loud noise");
        assert_eq!(clean("\u{1b}[36;44mblue\u{1b}[0m\u{7}\u{feff}"), "blue");
        assert_eq!(clean("one\r\ntwo\u{2028}three\r"), "one two three");
        assert_eq!(clean("cafe\u{301}"), "caf\u{e9}");
    }

    #[test]
    fn references_are_read() {
        assert_eq!(clean("P&EACUTE;REZ &amp;amp; son"), "pérez & son");
        // The last two steps read them in spite of tags, and without a semicolon.
        assert_eq!(clean("<b>&lt;this&not that"), "<b><this¬ that");
        assert_eq!(clean("&#x80;&#0;&#xd800;&#11;&#x110000;"), "€\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(clean("&nonsense; &#; &"), "&nonsense; &#; &");
    }

    #[test]
    fn layers_without_end_take_no_time_without_end() {
        let text = format!("&{}lt;", "amp;".repeat(100_000));
        assert!(clean(&text).ends_with("amp;lt;"));
    }
}
