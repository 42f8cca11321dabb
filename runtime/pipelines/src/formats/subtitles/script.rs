//! What signs and characters mean for breaking a text.

use unicode_width::UnicodeWidthChar;

/// Ends of sentences.
const SENTENCE: &str = ".!?…。！？｡؟۔।";
/// Ends of clauses.
const CLAUSE: &str = ",;:，、；：､،؛–—";
/// What may stand after them.
const CLOSERS: &str = "\"'”’»›)]}）」』】》〉";
/// What belongs to the character after it.
const OPENERS: &str = "\"'“‘«‹([{（「『【《〈¿¡";
/// What no line may begin with: small kana and marks of length and repetition.
const BOUND: &str = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々ゝゞヽヾ・～";
/// Titles and the like, whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 16] =
    ["mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "sr.", "jr.", "vs.", "e.g.", "i.e.", "z.b.", "d.h.", "bzw.", "nr.", "hr."];

/// Words that begin a phrase, in the languages with most speakers: better to break before than after them.
const LINKS: [&str; 58] = [
    "and", "or", "but", "because", "that", "which", "who", "when", "where", "while", "if", "than", "to", "for", "with", "from", "of", "in",
    "on", "at", "by", "into", "about", "und", "oder", "aber", "weil", "dass", "wenn", "als", "mit", "für", "von", "bei", "nach", "et",
    "ou", "mais", "que", "qui", "pour", "avec", "dans", "sur", "y", "o", "pero", "porque", "con", "para", "de", "en", "por", "e", "mas",
    "com", "em", "ma",
];

/// Whether a phrase begins with this word.
pub(super) fn links(word: &str) -> bool {
    LINKS.contains(&word.to_lowercase().as_str())
}

/// What ends with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Nothing,
    Clause,
    Sentence,
}

/// What ends with `word`, if `next` follows it.
pub(super) fn ends(word: &str, next: Option<&str>) -> Ends {
    let bare = word.trim_end_matches(|c| CLOSERS.contains(c));
    let Some(last) = bare.chars().next_back() else { return Ends::Nothing };
    if CLAUSE.contains(last) {
        return Ends::Clause;
    }
    if !SENTENCE.contains(last) || !word.contains(char::is_alphanumeric) {
        return Ends::Nothing;
    }
    let goes_on = next.and_then(|next| next.trim_start_matches(|c| OPENERS.contains(c)).chars().next()).is_some_and(char::is_lowercase);
    if matches!(last, '.' | '…') && (goes_on || is_abbreviation(bare)) { Ends::Nothing } else { Ends::Sentence }
}

/// Titles, and initials such as "J.".
fn is_abbreviation(word: &str) -> bool {
    let word = word.trim_start_matches(|c| OPENERS.contains(c));
    let mut letters = word.trim_end_matches('.').chars();
    let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && !word.starts_with('I');
    initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// The columns of a character on a screen.
pub(super) fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Whether a line may break between two characters with no space between them.
pub(super) fn breaks_between(before: char, after: char) -> bool {
    let bound = BOUND.contains(after) || CLOSERS.contains(after) || CLAUSE.contains(after) || SENTENCE.contains(after);
    let joined = columns(after) == 0 || OPENERS.contains(before) || bound;
    !joined && (is_unspaced(before) || is_unspaced(after))
}

/// Whether it is written without spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{0e00}'..='\u{0eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{2e80}'..='\u{312f}'
            | '\u{31a0}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff00}'..='\u{ff9f}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_readers_think_so() {
        for (word, next, expected) in [
            ("lights.", Some("And"), Ends::Sentence),
            ("lights.\"", None, Ends::Sentence),
            ("行く。", Some("次"), Ends::Sentence),
            ("Dr.", Some("Watson"), Ends::Nothing),
            ("J.", Some("Smith"), Ends::Nothing),
            ("I.", Some("And"), Ends::Sentence),
            ("etc.", Some("and"), Ends::Nothing),
            ("what?", Some("no"), Ends::Sentence),
            ("3.5", Some("Volt"), Ends::Nothing),
            ("...", Some("Well"), Ends::Nothing),
            ("so,", Some("then"), Ends::Clause),
            ("(so,)", Some("then"), Ends::Clause),
            ("so", Some("then"), Ends::Nothing),
        ] {
            assert_eq!(ends(word, next), expected, "{word} {next:?}");
        }
    }

    #[test]
    fn lines_break_between_ideographs_but_not_before_their_signs() {
        for (before, after, expected) in [
            ('日', '本', true),
            ('本', '。', false),
            ('「', '日', false),
            ('ち', 'ょ', false),
            ('ス', 'ー', false),
            ('a', 'b', false),
            ('a', '日', true),
            ('한', '국', false),
            ('ก', 'ข', true),
            ('ก', '\u{0e31}', false),
        ] {
            assert_eq!(breaks_between(before, after), expected, "{before}{after}");
        }
    }
}
