//! The lines of a cue.

use super::pieces::{Before, Piece};
use super::script::{Ends, ends, links};

/// Costs of breaking a text: after a sentence nothing, within a word most.
const AFTER_CLAUSE: f64 = 12.0;
const AT_PAUSE: f64 = 15.0;
const BEFORE_LINK: f64 = 22.0;
const ANYWHERE: f64 = 35.0;
const AFTER_SHORT_WORD: f64 = 45.0;
const IN_WORD: f64 = 80.0;
/// For a line or a cue of one word.
pub(super) const ALONE: f64 = 40.0;
/// How much lines of different lengths cost.
const UNEVEN: f64 = 60.0;

/// A pause between words that readers would hear, in seconds.
const PAUSE: f64 = 0.3;
/// Columns of words such as "the" and "of", which lean on the word after them.
const SHORT: usize = 3;

/// What it costs to break between two pieces.
pub(super) fn break_cost(before: &Piece, after: &Piece) -> f64 {
    let pause = before.last || after.start - before.end >= PAUSE;
    match ends(&before.text, Some(&after.text)) {
        _ if after.before == Before::Word => IN_WORD,
        Ends::Sentence => 0.0,
        Ends::Clause => AFTER_CLAUSE,
        Ends::Nothing if pause && !links(&before.text) => AT_PAUSE,
        Ends::Nothing if pause => ANYWHERE,
        Ends::Nothing if after.before == Before::Space && (before.width <= SHORT || links(&before.text)) => AFTER_SHORT_WORD,
        Ends::Nothing if links(&after.text) => BEFORE_LINK,
        Ends::Nothing => ANYWHERE,
    }
}

/// Columns that a piece adds to a line that is not empty.
fn added(piece: &Piece) -> usize {
    piece.width + usize::from(piece.before == Before::Space)
}

/// Columns of a line.
pub(super) fn width(pieces: &[Piece]) -> usize {
    pieces.first().map_or(0, |first| first.width) + pieces.iter().skip(1).map(added).sum::<usize>()
}

/// The fewest lines of at most `most` columns.
pub(super) fn count(pieces: &[Piece], most: usize) -> usize {
    let (mut lines, mut line) = (0, usize::MAX);
    for piece in pieces {
        line = line.saturating_add(added(piece));
        if line > most {
            (lines, line) = (lines + 1, piece.width);
        }
    }
    lines
}

/// The text in as few lines of at most `most` columns as it takes, broken where readers pause, and of about equal lengths.
pub(super) fn broken(pieces: &[Piece], most: usize) -> Vec<String> {
    let lines = count(pieces, most);
    let ideal = width(pieces) as f64 / lines.max(1) as f64;
    let n = pieces.len();
    // The least cost of the first `end` pieces in so many lines, and where the last of these starts.
    let mut best = vec![vec![(f64::INFINITY, 0); n + 1]; lines + 1];
    best[0][0] = (0.0, 0);
    for line in 1..=lines {
        for end in 1..=n {
            for start in (0..end).rev() {
                let columns = width(&pieces[start..end]);
                if columns > most && start + 1 < end {
                    break;
                }
                let uneven = (columns as f64 - ideal) / ideal;
                let alone = if end - start == 1 && n > lines { ALONE } else { 0.0 };
                let breaking = pieces.get(end).map_or(0.0, |after| break_cost(&pieces[end - 1], after));
                let cost = best[line - 1][start].0 + UNEVEN * uneven * uneven + alone + breaking;
                if cost < best[line][end].0 {
                    best[line][end] = (cost, start);
                }
            }
        }
    }
    let (mut end, mut broken) = (n, vec![]);
    for line in (1..=lines).rev() {
        let start = best[line][end].1;
        broken.push(joined(&pieces[start..end]));
        end = start;
    }
    broken.reverse();
    broken
}

fn joined(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() && piece.before == Before::Space {
            text.push(' ');
        }
        text.push_str(&piece.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::pieces::of_segment;
    use super::*;
    use crate::formats::tests::segment;

    fn lines(text: &str, most: usize) -> Vec<String> {
        let pieces = of_segment(&segment(0, 0.0, 10.0, text), most);
        let lines = broken(&pieces, most);
        assert_eq!(lines.len(), count(&pieces, most), "{text}");
        lines
    }

    #[test]
    fn lines_break_at_signs_near_the_middle() {
        for (text, most, expected) in [
            (" Turn off the lights.", 42, &["Turn off the lights."][..]),
            (
                " And so, my fellow Americans, ask not what your country can do for you.",
                42,
                &["And so, my fellow Americans,", "ask not what your country can do for you."],
            ),
            (" Whoever comes late to the house must wait outside", 42, &["Whoever comes late", "to the house must wait outside"]),
            (" one two three four five six seven eight nine", 42, &["one two three four five", "six seven eight nine"]),
            ("吾輩は猫である。名前はまだ無い。どこで生れたか", 32, &["吾輩は猫である。", "名前はまだ無い。どこで生れたか"]),
        ] {
            assert_eq!(lines(text, most), expected, "{text}");
        }
    }

    #[test]
    fn no_line_is_wider_and_no_word_is_lost_or_alone() {
        let text = " The quick brown fox jumps over the lazy dog, then it sleeps; nobody knows for how long, internationally.";
        for most in 2..60 {
            let lines = lines(text, most);
            let ink = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(ink(&lines.concat()), ink(text), "{most}");
            assert!(lines.iter().all(|line| (1..=most).contains(&line.len())), "{most}: {lines:?}");
            assert!(most < 34 || lines.iter().all(|line| line.contains(' ')), "{most}: {lines:?}");
        }
    }
}
